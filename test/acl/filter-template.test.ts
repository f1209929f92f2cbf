import { expect, test } from 'vitest';
import { ANY_LEVEL } from '../../src/acl/filter-algebra.ts';
import { parsePercentTemplate, parseTemplate, substitute, type ParsedTemplate } from '../../src/acl/filter-template.ts';

const subject = {
  clientId: 'c1',
  username: 'alice',
  certificate: { commonName: 'dev.example', alternativeNames: [], fingerprint: '' },
  claims: JSON.parse(
    '{"s":"x","n":7,"big":1e21,"id":9007199254740993,"part":0.5,"list":["a"],"yes":true,"nil":null,"https://a/b":"u","__proto__":"p"}',
  ),
};

function levels(parsed: ParsedTemplate): readonly string[] {
  if ('problem' in parsed) throw new Error(parsed.problem);
  return substitute(parsed.template, subject).levels;
}

test.each<[string, string[]]>([
  ['a/${clientId}/#', ['a', 'c1', '#']],
  ['${username}', ['alice']],
  ['x-${clientId}-${username}/${cert.cn}/+', ['x-c1-alice', 'dev.example', '+']],
  ['${claim.s}/${claim.n}', ['x', '7']],
  ['${claim.https://a/b}/b', ['u', 'b']],
  ['${claim.__proto__}', ['p']],
  ['/${clientId}/', ['', 'c1', '']],
  ['a/${claim.big}/b', ['a', ANY_LEVEL, 'b']],
  ['${claim.id}', [ANY_LEVEL]],
  ['${claim.part}', ['0.5']],
  ['${claim.list}', [ANY_LEVEL]],
  ['${claim.yes}', [ANY_LEVEL]],
  ['${claim.nil}', [ANY_LEVEL]],
  ['${claim.constructor}', [ANY_LEVEL]],
  ['a-${claim.missing}-${clientId}/b', [ANY_LEVEL, 'b']],
  ['%c/$x', ['%c', '$x']],
  ['#', ['+', '#']],
])('%s stands for %j', (text, expected) => {
  expect(levels(parseTemplate(text))).toEqual(expected);
});

test("Mosquitto's patterns know %c and %u only", () => {
  expect(levels(parsePercentTemplate('%u/a%c%c/${clientId}/%x'))).toEqual(['alice', 'ac1c1', '${clientId}', '%x']);
});

test.each<[string, string | undefined, string | undefined]>([
  ['c', 'x', undefined],
  ['c', '', '${claim.v} has no value'],
  ['c', undefined, '${claim.v} has no value'],
  ['c', 'a/b', '${claim.v} has a value with +, #, / or a character no topic can have'],
  ['c', '\ud83d', '${claim.v} has a value with +, #, / or a character no topic can have'],
  ['c', '$SYS', '${claim.v} has a value that begins with $'],
])('a value that cannot be put in is named, never shown: %s %j', (clientId, value, problem) => {
  const parsed = parseTemplate('${claim.v}/x');
  if ('problem' in parsed) throw new Error(parsed.problem);
  const claims = value === undefined ? {} : { v: value };
  expect(substitute(parsed.template, { clientId, username: '', claims }).problem).toBe(problem);
});

test('a value with $ is put in where it does not begin the filter', () => {
  const parsed = parseTemplate('a/${clientId}/x-${clientId}');
  if ('problem' in parsed) throw new Error(parsed.problem);
  const { levels: found, problem } = substitute(parsed.template, { clientId: '$SYS', username: '' });
  expect([found, problem]).toEqual([['a', '$SYS', 'x-$SYS'], undefined]);
});

test('what an object inherits is no claim', () => {
  const parsed = parseTemplate('${claim.tenant}');
  if ('problem' in parsed) throw new Error(parsed.problem);
  const claims = Object.create({ tenant: 'acme' }) as Record<string, unknown>;
  expect(substitute(parsed.template, { clientId: 'c', username: '', claims }).levels).toEqual([ANY_LEVEL]);
});

test('two halves of a character that come from two values do not become one', () => {
  const parsed = parseTemplate('${clientId}${username}');
  if ('problem' in parsed) throw new Error(parsed.problem);
  expect(substitute(parsed.template, { clientId: '\ud83d', username: '\ude00' }).levels).toEqual([ANY_LEVEL]);
});
