import { expect, test } from 'vitest';
import { AccessRules } from '../../src/acl/access-rules.ts';
import { parseMosquittoAcl } from '../../src/acl/mosquitto-acl.ts';
import { RulesError } from '../../src/acl/rule-set.ts';

const text = `# access
topic read $SYS/#
topic read public/#

user alice smith
topic sensors/#
topic read with space/+
topic deny sensors/secret
pattern write in/%c/#
  # indented
user bob
topic write\tout/%c\r
topic \${clientId}/x
pattern readwrite users/%u/%c
`;

const rules = new AccessRules(parseMosquittoAcl('acl', text), 'deny');

test.each<[string, string, 'publish' | 'subscribe', string, boolean]>([
  ['', 'c', 'subscribe', '$SYS/#', true],
  ['', 'c', 'subscribe', 'public/#', true],
  ['', 'c', 'publish', 'public/a', false],
  ['', 'c', 'publish', 'in/c/x', true],
  ['', 'c', 'publish', 'in/d/x', false],
  ['', 'c', 'publish', 'users//c', false],
  ['alice smith', 'c', 'subscribe', 'public/#', false],
  ['alice smith', 'c', 'publish', 'sensors/a', true],
  ['alice smith', 'c', 'subscribe', 'sensors/a/#', true],
  ['alice smith', 'c', 'subscribe', 'sensors/#', false],
  ['alice smith', 'c', 'publish', 'sensors/secret', false],
  ['alice smith', 'c', 'subscribe', 'with space/a', true],
  ['alice smith', 'c', 'publish', 'with space/a', false],
  ['alice smith', 'c', 'publish', 'users/alice smith/c', true],
  ['bob', 'c', 'publish', 'out/%c', true],
  ['bob', 'c', 'publish', 'out/c', false],
  ['bob', 'c', 'publish', '${clientId}/x', true],
  ['bob', 'c', 'publish', 'c/x', false],
  ['bob', '+', 'publish', 'in/+/x', false],
  ['bob', '#', 'subscribe', 'users/bob/#', false],
  ['carol', 'c', 'publish', 'in/c/x', true],
  ['carol', 'c', 'publish', 'sensors/a', false],
])('user %j, client %j: %s %s is %s', (username, clientId, action, topic, expected) => {
  const subject = { username, clientId };
  const allowed =
    action === 'publish'
      ? rules.mayPublish(subject, topic, { retain: true, qos: 2 })
      : rules.maySubscribe(subject, topic);
  expect(allowed).toBe(expected);
});

test('a rule is named by its line and by whose it is', () => {
  const reason = rules.reason(
    { username: 'alice smith', clientId: 'c' },
    { action: 'subscribe', topicFilter: 'sensors/#' },
  );
  expect(reason).toBe('denied by acl:8 (role user alice smith): deny all sensors/secret');
});

test('a user named twice has the rules of both places, and an empty file has none', () => {
  const set = parseMosquittoAcl('acl', 'user a\ntopic x\nuser b\ntopic y\nuser a\ntopic z\nuser constructor\n');
  expect(set.roles.get('user a')?.map(({ line }) => line)).toEqual([2, 6]);
  expect([...set.users.keys()]).toEqual(['a', 'b', 'constructor']);
  expect(parseMosquittoAcl('acl', '').roles.size).toBe(0);
});

const filterHint = 'it is no topic filter: + and # stand alone in a level, # in the last one';

test('a file with very many mistakes is not read to its end', () => {
  expect(problemsOf('what is this\n'.repeat(5_000))).toHaveLength(100);
});

test.each<[string, string, string[]]>([
  ['a user without a name', 'user\n', ['acl:1: user needs a name.']],
  ['a topic without a filter', '\ntopic\n', ['acl:2: topic needs a topic filter.']],
  ['a pattern without a filter', 'pattern  \n', ['acl:1: pattern needs a topic filter.']],
  ['an access without a filter', 'topic read\n', ['acl:1: topic read needs a topic filter.']],
  [
    'an access misspelt',
    'user a\ntopic raed x\n',
    ['acl:2: access is read, write, readwrite or deny, not raed; did you mean read?'],
  ],
  ['an access like nothing', 'topic xyzzy x\n', ['acl:1: access is read, write, readwrite or deny, not xyzzy.']],
  ['a keyword misspelt', 'topics read x\n', ['acl:1: a line cannot begin with topics; did you mean topic?']],
  [
    'YAML under another name',
    'roles:\n',
    [
      'acl:1: a line begins with user, topic or pattern, which this one does not; a file in YAML has a name that ends in .yaml.',
    ],
  ],
  [
    'wildcards in the wrong places',
    'topic a#\npattern read %c+/a\n',
    [`acl:1: topic filter "a#": ${filterHint}.`, `acl:2: topic filter "%c+/a": ${filterHint}.`],
  ],
  [
    'a pattern after a $',
    'pattern read $%u/a\n',
    ['acl:1: topic filter "$%u/a": a placeholder cannot stand in a first level that begins with $.'],
  ],
  [
    'a shared subscription',
    'topic read $share/g/a\n',
    ['acl:1: topic filter "$share/g/a": leave out "$share/NAME/": rules hold for shared subscriptions as for others.'],
  ],
  ['U+0000 in a filter', 'topic read a\0b\n', [`acl:1: topic filter "a\\u0000b": ${filterHint}.`]],
])('%s is refused, with its line', (_, broken, expected) => {
  expect(problemsOf(broken)).toEqual(expected);
});

function problemsOf(broken: string): readonly string[] {
  try {
    parseMosquittoAcl('acl', broken);
  } catch (error) {
    return (error as RulesError).problems;
  }
  return [];
}
