/**
 * A level that matches any text, even a first level that begins with `$`. It stands in deny rules where a placeholder has
 * no value. No topic and no filter holds U+0000, so it is mistaken for neither.
 */
export const ANY_LEVEL = '\0';

/**
 * The levels of a valid topic filter (without `$share/name/`) or topic name, as the questions below take them.
 *
 * A `#` also matches its parent, but `#` alone and `/#` have none: the empty topic does not exist [MQTT-4.7.3-1]. They
 * become `+/#` and `/+/#`, which match the same topics, so that `#` always means "the parent and all below it".
 *
 * @param levelsMax further levels are left out: to compare with filters of n levels, n + 1 are enough.
 */
export function levelsOf(topicFilter: string, levelsMax: number = Number.POSITIVE_INFINITY): string[] {
  // The runtime's split keeps what it split for next time, which costs five times as much for a new topic.
  const levels: string[] = [];
  let start = 0;
  for (let slash = topicFilter.indexOf('/'); slash !== -1; slash = topicFilter.indexOf('/', start)) {
    levels.push(topicFilter.slice(start, slash));
    if (levels.length === levelsMax) return levels;
    start = slash + 1;
  }
  levels.push(topicFilter.slice(start));
  if (topicFilter === '#' || topicFilter === '/#') levels.splice(-1, 1, '+', '#');
  return levels;
}

/**
 * Whether every topic that `inner` can match is matched by `outer`, section 4.7. Linear in the shorter of the two.
 *
 * ```text
 * outer  sport/+/#        sport/#          +/#
 * inner  sport/a/b   yes  sport      yes   $SYS/a   no: a wildcard does not stand for a first level with $
 *        sport/#     no   sport/+    yes   #        yes
 * ```
 */
export function covers(outer: readonly string[], inner: readonly string[]): boolean {
  if (!mayShareFirstLevel(outer[0]!, inner[0]!)) return false;
  for (let i = 0; i < outer.length; i++) {
    const level = outer[i]!;
    if (level === '#') return true;
    const other = inner[i]!;
    if (other === '#' || (level !== other && level !== '+')) return false;
    // Where the inner one ends, the outer one must end too, or match its parent: `a/#` covers `a`.
    if (i === inner.length - 1) return i === outer.length - 1 || outer[i + 1] === '#';
  }
  return false;
}

/** Whether some topic is matched by both filters, section 4.7. Linear in the shorter of the two. */
export function overlaps(one: readonly string[], other: readonly string[]): boolean {
  if (!mayShareFirstLevel(one[0]!, other[0]!) || !mayShareFirstLevel(other[0]!, one[0]!)) return false;
  const shorter = Math.min(one.length, other.length);
  for (let i = 0; i < shorter; i++) {
    const a = one[i]!;
    const b = other[i]!;
    if (a === '#' || b === '#') return true;
    if (a !== b && !isWildcard(a) && !isWildcard(b)) return false;
  }
  // What is left of the longer one must be able to match nothing.
  const longer = one.length > other.length ? one : other;
  return longer.length === shorter || longer[shorter] === '#';
}

/** A leading wildcard matches no topic that begins with `$` [MQTT-4.7.2-1]. */
function mayShareFirstLevel(wild: string, other: string): boolean {
  return wild !== '+' || !other.startsWith('$');
}

function isWildcard(level: string): boolean {
  return level === '+' || level === ANY_LEVEL;
}
