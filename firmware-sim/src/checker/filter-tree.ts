interface Node<Value> {
  /** By level; `+` and `#` are levels like others, which no topic name has. */
  children: Map<string, Node<Value>> | undefined;
  values: Value[];
}

/**
 * Values by topic filter, found by topic name: a tree with one level of the filter per edge. A name of k levels meets at
 * most 2^k nodes, and in practice a handful.
 */
export class FilterTree<Value> {
  readonly #root: Node<Value> = { children: undefined, values: [] };

  add(topicFilter: string, value: Value): void {
    let node = this.#root;
    for (const level of topicFilter.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) node.children.set(level, (child = { children: undefined, values: [] }));
      node = child;
    }
    node.values.push(value);
  }

  remove(topicFilter: string, value: Value): void {
    const levels = topicFilter.split('/');
    const path = [this.#root];
    for (const level of levels) {
      const child = (path.at(-1) as Node<Value>).children?.get(level);
      if (child === undefined) return;
      path.push(child);
    }
    const { values } = path.at(-1) as Node<Value>;
    const place = values.indexOf(value);
    if (place !== -1) values.splice(place, 1);
    for (let depth = levels.length; depth > 0; depth--) {
      const { values: left, children } = path[depth] as Node<Value>;
      if (left.length > 0 || (children !== undefined && children.size > 0)) return;
      (path[depth - 1] as Node<Value>).children?.delete(levels[depth - 1] as string);
    }
  }

  /** Everything whose filter matches the name [MQTT-4.7.1-1 to 4.7.2-1]. */
  match(topicName: string): Value[] {
    const found: Value[] = [];
    const levels = topicName.split('/');
    let nodes = [this.#root];
    for (const [depth, level] of levels.entries()) {
      const isHidden = depth === 0 && level.startsWith('$'); // [MQTT-4.7.2-1]
      const next: Node<Value>[] = [];
      for (const { children } of nodes) {
        if (children === undefined) continue;
        const same = children.get(level);
        if (same !== undefined) next.push(same);
        if (isHidden) continue;
        const any = children.get('+');
        if (any !== undefined) next.push(any);
        const rest = children.get('#');
        if (rest !== undefined) found.push(...rest.values);
      }
      nodes = next;
    }
    for (const { values, children } of nodes) {
      found.push(...values);
      const rest = children?.get('#');
      if (rest !== undefined) found.push(...rest.values); // `a/#` matches `a`.
    }
    return found;
  }
}
