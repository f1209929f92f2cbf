import fc from 'fast-check';

/** Few enough that names and filters often meet. */
const level = fc.constantFrom('a', 'b', '', '$SYS', '$');

/** Topic names, some with `$` in front, some with empty levels. */
export const topicNames: fc.Arbitrary<string> = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'));

/** Topic filters with any wildcards. */
export const topicFilters: fc.Arbitrary<string> = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, hasRest]) => (hasRest ? [...levels.slice(1), '#'] : levels).join('/'));

/** Filter, name, and whether they match. */
export const matchingRows: readonly (readonly [string, string, boolean])[] = [
  ['a/b', 'a/b', true],
  ['a/b', 'a/c', false],
  ['a', 'a/b', false],
  ['a/b', 'a', false],
  ['A', 'a', false],
  ['#', 'a', true],
  ['#', 'a/b/c', true],
  ['#', '/', true],
  ['a/#', 'a', true],
  ['a/#', 'a/', true],
  ['a/#', 'a/b/c', true],
  ['a/#', 'ab', false],
  ['a/#', '/a', false],
  ['a/b/#', 'a', false],
  ['+', 'a', true],
  ['+', '', true],
  ['+', 'a/b', false],
  ['+', '/a', false],
  ['/+', '/a', true],
  ['+/+', '/a', true],
  ['+/+', 'a/', true],
  ['+/+', 'a', false],
  ['a/+', 'a', false],
  ['a/+', 'a/', true],
  ['a/+/c', 'a/b/c', true],
  ['a/+/c', 'a//c', true],
  ['a/+/c', 'a/c', false],
  ['+/#', 'a', true],
  ['+/#', 'a/b/c', true],
  ['+/#', '/', true],
  ['a/+/#', 'a/b', true],
  ['a/+/#', 'a/b/c/d', true],
  ['a/+/#', 'a', false],
  ['+/+/#', 'a', false],
  ['a//b', 'a//b', true],
  ['a/b', 'a//b', false],
  ['#', '$SYS/a', false],
  ['#', '$SYS', false],
  ['#', '$', false],
  ['+', '$SYS', false],
  ['+/a', '$SYS/a', false],
  ['+/#', '$SYS/a', false],
  ['$SYS/#', '$SYS/a', true],
  ['$SYS/#', '$SYS', true],
  ['$SYS/+', '$SYS/a', true],
  ['$SYS/a', '$SYS/a', true],
  ['a/#', 'a/$SYS', true],
  ['a/+', 'a/$SYS', true],
  ['/#', '/$SYS/a', true],
  ['$SYS/+/b', '$SYS/$a/b', true],
];
