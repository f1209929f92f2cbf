import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseRulesText, readRulesText } from '../../src/acl/read-rules.ts';
import { RulesError, type RuleSet } from '../../src/acl/rule-set.ts';
import { parseRules } from '../../src/acl/rules-file.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-rules-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

/** The problems of a text in a file of this name. */
function problemsOf(text: string | Buffer, name = 'rules.yaml'): string[] {
  const file = join(directory, name);
  writeFileSync(file, text);
  try {
    parseRulesText(readRulesText(file));
  } catch (error) {
    if (!(error instanceof RulesError)) throw error;
    return error.problems.map((problem) => problem.replaceAll(`${directory}/`, ''));
  }
  return [];
}

function rule(lines: string): string {
  return `roles:\n  r:\n    - ${lines.split('\n').join('\n      ')}\n`;
}

const filterHint = 'it is no topic filter: + and # stand alone in a level, # in the last one';

test.each<[string, string | Buffer, string[]]>([
  ['nothing at all', '', ['rules.yaml:1: the file must be sections such as "roles:", not nothing.']],
  ['comments only', '# soon\n', ['rules.yaml:1: the file must be sections such as "roles:", not nothing.']],
  ['a list', '- a\n', ['rules.yaml:1: the file must be sections such as "roles:", not a list.']],
  ['a word', 'roles\n', ['rules.yaml:1: the file must be sections such as "roles:", not a text.']],
  ['no roles', 'everyone: []\n', ['rules.yaml:1: there is no section "roles:"; without roles there are no rules.']],
  ['empty roles', 'roles: {}\n', ['rules.yaml:1: roles has no role; without roles there are no rules.']],
  ['roles without a value', '\nroles:\n', ['rules.yaml:2: roles must be roles with their rules, not nothing.']],
  [
    'a section misspelt',
    'roles: {r: []}\neveryon: [r]\n',
    ['rules.yaml:2: there is no section everyon; did you mean everyone?'],
  ],
  [
    'a section like nothing',
    'roles: {r: []}\nxyzzy: [r]\n',
    ['rules.yaml:2: there is no section xyzzy; there are roles, users, clients, anonymous, everyone.'],
  ],
  [
    'a key of a rule misspelt',
    rule('alow: publish\ntopics: [a]'),
    ['rules.yaml:3: there is no key in a rule alow; did you mean allow?'],
  ],
  [
    'a rule that is a word',
    rule('publish'),
    ['rules.yaml:3: a rule of role r must be "allow:" or "deny:" and "topics:", not "publish".'],
  ],
  ['a role that is a word', 'roles:\n  r: all\n', ['rules.yaml:2: role r must be a list of rules, not "all".']],
  ['a role without rules', 'roles:\n  r:\n', ['rules.yaml:2: role r must be a list of rules, not nothing.']],
  ['neither allow nor deny', rule('topics: [a]'), ['rules.yaml:3: a rule of role r needs either "allow:" or "deny:".']],
  [
    'both allow and deny',
    rule('allow: publish\ndeny: publish\ntopics: [a]'),
    ['rules.yaml:3: a rule of role r needs either "allow:" or "deny:".'],
  ],
  [
    'an action misspelt',
    rule('allow: subcribe\ntopics: [a]'),
    ['rules.yaml:3: allow must be one of publish, subscribe, all, not "subcribe"; did you mean subscribe?'],
  ],
  [
    'an action that is a list',
    rule('deny: [publish]\ntopics: [a]'),
    ['rules.yaml:3: deny must be one of publish, subscribe, all, not a list.'],
  ],
  ['no topics', rule('allow: publish'), ['rules.yaml:3: a rule of role r needs "topics:", a list of topic filters.']],
  [
    'topics that are one word',
    rule('allow: publish\ntopics: a/b'),
    [`rules.yaml:4: topics must be a list of topic filters such as ['a/b', 'c/#'], not "a/b".`],
  ],
  [
    'empty topics',
    rule('allow: publish\ntopics: []'),
    ['rules.yaml:4: topics is empty: a rule needs at least one topic filter.'],
  ],
  [
    'a list among topics',
    rule('allow: publish\ntopics: [a, [b]]'),
    ['rules.yaml:4: topics must hold topic filters, not a list.'],
  ],
  [
    'wildcards in the wrong places',
    rule("allow: publish\ntopics:\n  - a/b#\n  - 'a/#/b'\n  - '+a'"),
    [
      `rules.yaml:5: topic filter "a/b#": ${filterHint}.`,
      `rules.yaml:6: topic filter "a/#/b": ${filterHint}.`,
      `rules.yaml:7: topic filter "+a": ${filterHint}.`,
    ],
  ],
  ['an empty topic filter', rule('allow: publish\ntopics: [""]'), [`rules.yaml:4: topic filter "": ${filterHint}.`]],
  [
    'a wildcard beside a placeholder',
    rule("allow: publish\ntopics: ['+${clientId}']"),
    [`rules.yaml:4: topic filter "+\${clientId}": ${filterHint}.`],
  ],
  [
    'a placeholder misspelt',
    rule("allow: publish\ntopics: ['a/${clientid}']"),
    ['rules.yaml:4: topic filter "a/${clientid}": there is no placeholder ${clientid}; did you mean ${clientId}?'],
  ],
  [
    'a placeholder like nothing',
    rule("allow: publish\ntopics: ['a/${xyzzyxyzzy}']"),
    [
      'rules.yaml:4: topic filter "a/${xyzzyxyzzy}": there is no placeholder ${xyzzyxyzzy}; there are ${clientId}, ${username}, ${cert.cn}, ${claim.NAME}.',
    ],
  ],
  [
    'a placeholder that does not end',
    rule("allow: publish\ntopics: ['a/${clientId/b']"),
    ['rules.yaml:4: topic filter "a/${clientId/b": the placeholder that begins with "${" has no "}".'],
  ],
  [
    'a claim without a name',
    rule("allow: publish\ntopics: ['a/${claim.}']"),
    ['rules.yaml:4: topic filter "a/${claim.}": ${claim.} needs the name of a claim, as in ${claim.sub}.'],
  ],
  [
    'a placeholder after a $ that begins the filter',
    rule("allow: publish\ntopics: ['$${username}/a']"),
    ['rules.yaml:4: topic filter "$${username}/a": a placeholder cannot stand in a first level that begins with $.'],
  ],
  [
    'a shared subscription',
    rule("allow: subscribe\ntopics: ['$share/g/a']"),
    [
      'rules.yaml:4: topic filter "$share/g/a": leave out "$share/NAME/": rules hold for shared subscriptions as for others.',
    ],
  ],
  [
    'retain that is no boolean',
    rule('allow: publish\ntopics: [a]\nretain: no'),
    ['rules.yaml:5: retain must be one of true, false, not "no".'],
  ],
  [
    'a QoS there is not',
    rule('allow: publish\ntopics: [a]\nqos: 3'),
    ['rules.yaml:5: qos must be one of 0, 1, 2, not "3".'],
  ],
  [
    'retain with subscribe',
    rule('allow: subscribe\ntopics: [a]\nretain: false'),
    ['rules.yaml:5: retain goes with publish alone, not with subscribe.'],
  ],
  [
    'qos with deny',
    rule('deny: publish\ntopics: [a]\nqos: 1'),
    ['rules.yaml:5: qos goes with allow: what a rule allows up to a QoS is refused above it.'],
  ],
  [
    'roles that are not there',
    'roles: {sensor: []}\nusers:\n  alice: [sensr]\nclients:\n  c: [x]\nanonymous: [__proto__]\neveryone: [constructor]\n',
    [
      'rules.yaml:3: there is no role sensr; did you mean sensor?',
      'rules.yaml:5: there is no role x; roles are defined below "roles:".',
      'rules.yaml:6: there is no role __proto__; roles are defined below "roles:".',
      'rules.yaml:7: there is no role constructor; roles are defined below "roles:".',
    ],
  ],
  [
    'a user with one word for roles',
    'roles: {r: []}\nusers:\n  alice: r\n',
    ['rules.yaml:3: alice must be a list of roles, not "r".'],
  ],
  ['a user without a name', 'roles: {r: []}\nusers:\n  "": [r]\n', ['rules.yaml:2: a key of users is not a name.']],
  [
    'a map for a role',
    'roles: {r: []}\neveryone: [{a: b}]\n',
    ['rules.yaml:2: everyone must be a list of names of roles.'],
  ],
  ['the same role twice', 'roles:\n  r: []\n  r: []\n', ['rules.yaml:3: r stands twice in roles.']],
  [
    'a bracket that does not close',
    'roles:\n  r: [\n',
    [
      'rules.yaml:3:1: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ].',
    ],
  ],
  ['two documents', 'roles: {r: []}\n---\nroles: {}\n', []],
  ['an unknown tag', 'roles: {r: !!binary aGk=}\n', []],
  ['an alias to nothing', 'roles: {r: *x}\n', []],
  [
    'bytes that are not UTF-8',
    Buffer.from([0x72, 0xff]),
    ['Cannot read the access rules rules.yaml: it is not UTF-8 text.'],
  ],
])('%s is refused, with its line', (_, text, expected) => {
  const problems = problemsOf(text);
  expect(problems).not.toEqual([]);
  if (expected.length > 0) expect(problems).toEqual(expected);
  for (const problem of problems) expect(problem).toMatch(/^(rules\.yaml:\d+(:\d+)?: |Cannot read the access rules )/);
});

test('JSON is read as well, and its mistakes have lines', () => {
  expect(problemsOf('{\n\t"roles": {"r": []},\n\t"everyone": ["r"]\n}\n', 'rules.json')).toEqual([]);
  expect(problemsOf('{\n"roles": {"r": []},\n"everyone": ["s"]\n}\n', 'rules.json')).toEqual([
    'rules.json:3: there is no role s; did you mean r?',
  ]);
});

test('a file that is not there or is a directory is refused', () => {
  expect(() => readRulesText('/nonexistent/rules.yaml')).toThrow(
    'Cannot read the access rules /nonexistent/rules.yaml: there is no such file.',
  );
  expect(() => readRulesText(directory)).toThrow(`Cannot read the access rules ${directory}: it is a directory.`);
});

test('a file with very many mistakes is not read to its end', () => {
  expect(problemsOf(`roles:\n  r: x\nusers:\n  - x\n`)).toHaveLength(2);
  const many = Array.from({ length: 5_000 }, (_, index) => `  u${index}: r\n`).join('');
  expect(problemsOf(`roles: {r: []}\nusers:\n${many}`)).toHaveLength(100);
});

test('aliases that make very many rules of a few lines are refused', () => {
  const topics = `&t [${'a,'.repeat(1_000)}]`;
  const rules = `&r [{allow: all, topics: ${topics}}${', {allow: all, topics: *t}'.repeat(200)}]`;
  expect(problemsOf(`roles: {a: ${rules}}`)).toEqual(['rules.yaml:1: more than 100,000 rules.']);
});

test('aliases that give very many roles in a few lines are refused', () => {
  const roles = `&r [${'r,'.repeat(2_000)}]`;
  const users = Array.from({ length: 1_000 }, (_, index) => `u${index}: *r`).join(', ');
  expect(problemsOf(`roles: {r: []}\nusers: {u: ${roles}, ${users}}`)).toEqual([
    'rules.yaml:2: more than 1,000,000 roles of users, client ids and others.',
  ]);
});

test('an alias is the last node before it with its name', () => {
  const set = parseRules(
    'r.yaml',
    'roles: {a: [], b: []}\nusers: {u: &r [a], v: *r, w: &r [b], x: *r}\nanonymous: *r\n',
  );
  expect([...set.users.values()]).toEqual([['a'], ['a'], ['b'], ['b']]);
  expect(set.anonymous).toEqual(['b']);
});

test('a file of very many aliases is read in about the time that it takes written out', () => {
  const text = (value: string): string =>
    `roles: {a: []}\nanonymous: &r [a]\nusers:\n${Array.from({ length: 5_000 }, (_, index) => `  u${index}: ${value}\n`).join('')}`;
  const time = (value: string): number => {
    const start = performance.now();
    expect(parseRules('r.yaml', text(value)).users.size).toBe(5_000);
    return performance.now() - start;
  };
  time('[a]');
  expect(time('*r')).toBeLessThan(5 * time('[a]'));
});

test('names keep the text they are written with, whatever they look like', () => {
  const set: RuleSet = parseRules(
    'r.yaml',
    'roles: {007: [], null: [], __proto__: [], 1e3: []}\nusers: {true: [007], 0x10: [null], constructor: [__proto__]}\nclients: {~: [1e3]}\n',
  );
  expect([...set.roles.keys()]).toEqual(['007', 'null', '__proto__', '1e3']);
  expect([...set.users]).toEqual([
    ['true', ['007']],
    ['0x10', ['null']],
    ['constructor', ['__proto__']],
  ]);
  expect([...set.clients]).toEqual([['~', ['1e3']]]);
});

test('each topic filter is a rule with the line it stands on', () => {
  const set = parseRules(
    'r.yaml',
    rule("allow: publish\nqos: 1\nretain: false\ntopics:\n  - a\n\n  - 'b/${username}'"),
  );
  expect(
    set.roles.get('r')?.map(({ topicFilter, line, qosMax, retain }) => [topicFilter.text, line, qosMax, retain]),
  ).toEqual([
    ['a', 7, 1, false],
    ['b/${username}', 9, 1, false],
  ]);
});
