const SLASH = 0x2f;
const PLUS = 0x2b;
const DOLLAR = 0x24;

/**
 * A place in the trie, reached by one or more levels at once.
 *
 * Every node but the root has a value or at least two children: chains are compressed into one label.
 */
class Node<V> {
  /** The levels from the parent to here, at least one, joined by `/`; a level `+` matches any. Unused in the root. */
  label: string;
  /** The only child whose label begins with a literal level; undefined when there is none or more than one. */
  only: Node<V> | undefined = undefined;
  /** Two or more children whose labels begin with a literal level, by that level. */
  children: Map<string, Node<V>> | undefined = undefined;
  /** The child whose label begins with `+`. */
  plus: Node<V> | undefined = undefined;
  /** Value of the filter that ends here. */
  here: V | undefined = undefined;
  /** Value of the filter that goes on with a last level `#`. */
  below: V | undefined = undefined;

  constructor(label: string) {
    this.label = label;
  }
}

/**
 * Values by topic filter, found again by topic name; made for filters with wildcards, section 4.7.
 *
 * A radix trie over levels. `s/p/+/1`, `s/p/+/2` and `s/q/#` make five nodes, whatever the number of levels between the
 * forks, and `#` is no node but a second value of the level before it:
 *
 *     (root) -- s --+-- p/+ --+-- 1 (here)
 *                   |         +-- 2 (here)
 *                   +-- q (below)
 *
 * A match follows, at each node, at most the one child of the literal level and the child `+`, so that it costs the nodes
 * reached this way and never more than there are. Nothing is split into levels before it is needed: a name of 65,535
 * levels costs no more than the filters it meets. Filters given have to be valid.
 */
export class WildcardTrie<V> {
  readonly #root: Node<V> = new Node('');
  /** Branches still to follow during `collect`, kept to spare the allocation; empty between calls. */
  readonly #pendingNodes: Node<V>[] = [];
  readonly #pendingPositions: number[] = [];

  /** Returns the value of a topic filter. */
  get(topicFilter: string): V | undefined {
    const below = topicFilter.endsWith('#');
    const path = pathOf(topicFilter, below);
    let node = this.#root;
    let position = startOf(topicFilter);
    while (position <= path.length) {
      const child = childOf(node, firstLevel(path, position));
      if (child === undefined) return undefined;
      const common = commonLength(child.label, path, position);
      if (common < child.label.length) return undefined;
      node = child;
      position += common + 1;
    }
    return below ? node.below : node.here;
  }

  /** Sets the value of a topic filter. */
  set(topicFilter: string, value: V): void {
    const below = topicFilter.endsWith('#');
    const path = pathOf(topicFilter, below);
    let node = this.#root;
    let position = startOf(topicFilter);
    while (position <= path.length) {
      const level = firstLevel(path, position);
      const child = childOf(node, level);
      if (child === undefined) {
        const isLast = position + level.length === path.length;
        const leaf = new Node<V>(isLast ? level : path.slice(position));
        addChild(node, level, leaf);
        node = leaf;
        break;
      }
      const common = commonLength(child.label, path, position);
      node = common === child.label.length ? child : splitChild(node, level, common);
      position += common + 1;
    }
    if (below) node.below = value;
    else node.here = value;
  }

  /** Removes a topic filter with its value, and the nodes that only it needed. @returns false when it was not there. */
  delete(topicFilter: string): boolean {
    const below = topicFilter.endsWith('#');
    const path = pathOf(topicFilter, below);
    let node = this.#root;
    let parent: Node<V> | undefined;
    let grandparent: Node<V> | undefined;
    let position = startOf(topicFilter);
    while (position <= path.length) {
      const child = childOf(node, firstLevel(path, position));
      if (child === undefined) return false;
      const common = commonLength(child.label, path, position);
      if (common < child.label.length) return false;
      grandparent = parent;
      parent = node;
      node = child;
      position += common + 1;
    }
    if ((below ? node.below : node.here) === undefined) return false;
    if (below) node.below = undefined;
    else node.here = undefined;
    if (parent === undefined || node.here !== undefined || node.below !== undefined) return true;
    if (node.only === undefined && node.children === undefined && node.plus === undefined) {
      removeChild(parent, firstLevel(node.label, 0));
      if (grandparent !== undefined) joinOnlyChild(grandparent, parent);
    } else {
      joinOnlyChild(parent, node);
    }
    return true;
  }

  /** Appends the values of all filters that match a topic name to `found`. @returns how many nodes it looked at. */
  collect(topicName: string, found: V[]): number {
    const nodes = this.#pendingNodes;
    const positions = this.#pendingPositions;
    const root = this.#root;
    // A leading wildcard does not match a leading `$`. [MQTT-4.7.2-1]
    const isReserved = topicName.charCodeAt(0) === DOLLAR;
    let visited = 0;
    let node: Node<V> | undefined = root;
    let position = 0;
    while (node !== undefined) {
      visited++;
      const wildcardsApply = !isReserved || node !== root;
      if (node.below !== undefined && wildcardsApply) found.push(node.below);
      let next: Node<V> | undefined;
      let nextPosition = -1;
      if (position > topicName.length) {
        if (node.here !== undefined) found.push(node.here);
      } else {
        next = node.only;
        if (node.children !== undefined) next = node.children.get(firstLevel(topicName, position));
        if (next !== undefined) nextPosition = matchLabel(next.label, topicName, position);
        if (node.plus !== undefined && wildcardsApply) {
          const plusPosition = matchLabel(node.plus.label, topicName, position);
          if (plusPosition >= 0) {
            nodes.push(node.plus);
            positions.push(plusPosition);
          }
        }
      }
      if (nextPosition >= 0) {
        node = next;
        position = nextPosition;
      } else {
        node = nodes.pop();
        position = positions.pop() ?? 0;
      }
    }
    return visited;
  }

  /** True when there is no filter left, and so no node but the root. */
  get isEmpty(): boolean {
    const { only, children, plus, below } = this.#root;
    return only === undefined && children === undefined && plus === undefined && below === undefined;
  }
}

/** The levels of a filter that make nodes: all, or all but a last `#`. */
function pathOf(topicFilter: string, below: boolean): string {
  return below ? topicFilter.slice(0, -2) : topicFilter;
}

/** Where the levels of the path begin; beyond its end for `#` alone, which has none (an empty path is one empty level). */
function startOf(topicFilter: string): number {
  return topicFilter === '#' ? 1 : 0;
}

function firstLevel(levels: string, position: number): string {
  const end = levels.indexOf('/', position);
  return end < 0 ? levels.slice(position) : levels.slice(position, end);
}

/** How many characters, to the end of a level, a label has in common with a path; the first level has to be the same. */
function commonLength(label: string, path: string, position: number): number {
  if (path.startsWith(label, position) && isLevelEnd(path, position + label.length)) return label.length;
  let same = 0;
  while (same < label.length && label.charCodeAt(same) === path.charCodeAt(position + same)) same++;
  return isLevelEnd(label, same) && isLevelEnd(path, position + same) ? same : label.lastIndexOf('/', same - 1);
}

function isLevelEnd(levels: string, position: number): boolean {
  return position === levels.length || levels.charCodeAt(position) === SLASH;
}

/**
 * Follows a label in a topic name.
 * @returns the position behind it, where the next level begins (one beyond the length when there is none), or -1.
 */
function matchLabel(label: string, topicName: string, position: number): number {
  let at = position;
  for (let i = 0; i < label.length; i++) {
    const code = label.charCodeAt(i);
    if (code === PLUS) {
      while (at < topicName.length && topicName.charCodeAt(at) !== SLASH) at++;
    } else {
      if (at >= topicName.length || topicName.charCodeAt(at) !== code) return -1;
      at++;
    }
  }
  return at === topicName.length || topicName.charCodeAt(at) === SLASH ? at + 1 : -1;
}

function childOf<V>(node: Node<V>, level: string): Node<V> | undefined {
  if (level === '+') return node.plus;
  if (node.children !== undefined) return node.children.get(level);
  return node.only !== undefined && firstLevel(node.only.label, 0) === level ? node.only : undefined;
}

function addChild<V>(node: Node<V>, level: string, child: Node<V>): void {
  if (level === '+') {
    node.plus = child;
  } else if (node.children !== undefined) {
    node.children.set(level, child);
  } else if (node.only === undefined) {
    node.only = child;
  } else {
    node.children = new Map([
      [firstLevel(node.only.label, 0), node.only],
      [level, child],
    ]);
    node.only = undefined;
  }
}

function replaceChild<V>(node: Node<V>, level: string, child: Node<V>): void {
  if (level === '+') node.plus = child;
  else if (node.children !== undefined) node.children.set(level, child);
  else node.only = child;
}

function removeChild<V>(node: Node<V>, level: string): void {
  if (level === '+') {
    node.plus = undefined;
  } else if (node.children === undefined) {
    node.only = undefined;
  } else {
    node.children.delete(level);
    if (node.children.size > 1) return;
    for (const last of node.children.values()) node.only = last;
    node.children = undefined;
  }
}

/** Puts a node between a node and its child, where the label of the child is cut. @returns the new node. */
function splitChild<V>(node: Node<V>, level: string, at: number): Node<V> {
  const child = childOf(node, level)!;
  const fork = new Node<V>(child.label.slice(0, at));
  child.label = child.label.slice(at + 1);
  addChild(fork, firstLevel(child.label, 0), child);
  replaceChild(node, level, fork);
  return fork;
}

/** Takes a node out that has neither a value nor a second child, and gives its label to its only child. */
function joinOnlyChild<V>(parent: Node<V>, node: Node<V>): void {
  if (node.here !== undefined || node.below !== undefined || node.children !== undefined) return;
  if (node.only !== undefined && node.plus !== undefined) return;
  const child = (node.only ?? node.plus)!;
  child.label = `${node.label}/${child.label}`;
  replaceChild(parent, firstLevel(child.label, 0), child);
}
