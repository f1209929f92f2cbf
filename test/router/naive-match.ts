import * as fc from 'fast-check';

/** Whether a filter matches a name, level by level and as slowly as section 4.7 reads. */
export function naiveMatch(topicFilter: string, topicName: string): boolean {
  const filter = topicFilter.split('/');
  const name = topicName.split('/');
  if (topicName.startsWith('$') && (filter[0] === '+' || filter[0] === '#')) return false;
  for (let i = 0; i < filter.length; i++) {
    if (filter[i] === '#') return name.length >= i;
    if (i >= name.length) return false;
    if (filter[i] !== '+' && filter[i] !== name[i]) return false;
  }
  return filter.length === name.length;
}

/** What section 4.7 says about pairs that are easily got wrong: filter, name, whether they match. */
export const KNOWN_PAIRS: readonly (readonly [topicFilter: string, topicName: string, matches: boolean])[] = [
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/tennis/player1/#', 'sport/tennis/player10', false],
  ['sport/#', 'sport', true],
  ['sport/#', 'sports', false],
  ['sport/#', 'sport/', true],
  ['#', 'sport', true],
  ['#', '/', true],
  ['#', '$SYS', false],
  ['#', '$SYS/x', false],
  ['#', 'a/$SYS', true],
  ['+', 'sport', true],
  ['+', '$x', false],
  ['+', '/finance', false],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['/+', '/', true],
  ['/#', '/', true],
  ['/#', '/a/b', true],
  ['/#', 'a', false],
  ['//#', '/', true],
  ['/', '/', true],
  ['/', '//', false],
  ['+/+', '/', true],
  ['+/', '/', true],
  ['+//', '//', true],
  ['+/+', '//', false],
  ['+/#', 'a', true],
  ['+/#', 'a/b/c', true],
  ['+/#', '/', true],
  ['+/#', '$SYS', false],
  ['+/#', '$SYS/a', false],
  ['a/+/#', 'a/b', true],
  ['a/+/#', 'a', false],
  ['a/+/#', 'a/', true],
  ['a/+/#', 'a/b/c/d', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/tennis/#', 'sport/tennis', true],
  ['sport/+/player1', 'sport/tennis/player1', true],
  ['+/monitor/Clients', '$SYS/monitor/Clients', false],
  ['$SYS/#', '$SYS/monitor/Clients', true],
  ['$SYS/#', '$SYS', true],
  ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
  ['$SYS/+/#', '$SYS/monitor', true],
  ['a/b', 'a/b', true],
  ['a/b', 'A/b', false],
  ['a/b', 'a/b/', false],
  ['__proto__/+', '__proto__/constructor', true],
  ['é/+', 'é/😀', true],
];

const level: fc.Arbitrary<string> = fc.constantFrom('', 'a', 'b', 'ab', '$', 'a!');

/** Topic names of up to five levels over a small alphabet, so that they meet; never the empty one. */
export const topicNames: fc.Arbitrary<string> = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((topicName) => topicName !== '');

/** Topic filters that match them here and there. */
export const topicFilters: fc.Arbitrary<string> = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 5 }), fc.boolean())
  .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/'))
  .filter((topicFilter) => topicFilter !== '');
