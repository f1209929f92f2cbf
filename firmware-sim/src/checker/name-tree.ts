interface Node<Value> {
  children: Map<string, Node<Value>> | undefined;
  value: Value | undefined;
}

/** Values by topic name, found by topic filter: what a subscription finds retained. Names only come, never go. */
export class NameTree<Value> {
  readonly #root: Node<Value> = { children: undefined, value: undefined };

  set(topicName: string, value: Value): void {
    let node = this.#root;
    for (const level of topicName.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) node.children.set(level, (child = { children: undefined, value: undefined }));
      node = child;
    }
    node.value = value;
  }

  /** The values of all names that match the filter [MQTT-4.7.1-1 to 4.7.2-1]. */
  match(topicFilter: string): Value[] {
    let nodes = [this.#root];
    for (const [depth, level] of topicFilter.split('/').entries()) {
      if (level === '#') return below(nodes, depth === 0);
      const next: Node<Value>[] = [];
      for (const { children } of nodes) {
        if (children === undefined) continue;
        if (level === '+') {
          for (const [name, child] of children) if (depth > 0 || !name.startsWith('$')) next.push(child);
        } else {
          const child = children.get(level);
          if (child !== undefined) next.push(child);
        }
      }
      nodes = next;
    }
    return nodes.flatMap(({ value }) => (value === undefined ? [] : [value]));
  }
}

/** The values of these nodes and of all below; at the root those of names with `$` are left out [MQTT-4.7.2-1]. */
function below<Value>(nodes: readonly Node<Value>[], isRoot: boolean): Value[] {
  const found: Value[] = [];
  const open = [...nodes];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node.value !== undefined) found.push(node.value);
    for (const [name, child] of node.children ?? []) {
      if (!isRoot || node !== nodes[0] || !name.startsWith('$')) open.push(child);
    }
  }
  return found;
}
