import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { AccessRules } from '../../src/acl/access-rules.ts';
import type { AccessRequest } from '../../src/acl/active-rules.ts';
import type { Subject } from '../../src/acl/filter-template.ts';
import { parseRules } from '../../src/acl/rules-file.ts';
import {
  allTopics,
  type NaiveClient,
  type NaiveFile,
  type NaiveQuestion,
  type NaiveRule,
  NaiveRules,
} from './naive-rules.ts';
import { hostileTexts } from './hostile-texts.ts';

/** Every level named below, and one that nobody names. */
const world = allTopics(['', 'a', 'b', 'c1', 'alice', 'dev-c1', 'acme', '7', '$SYS', 'z'], 4);

const file: NaiveFile = {
  roles: {
    sensor: [
      { allow: 'publish', topics: ['a/${clientId}/#', 'dev-${clientId}/b'], retain: false },
      { allow: 'publish', topics: ['b/${clientId}'], qos: 1 },
      { allow: 'subscribe', topics: ['b/${clientId}/+'] },
    ],
    dashboard: [
      { allow: 'subscribe', topics: ['a/#', '$SYS/#', '+/b'] },
      { deny: 'subscribe', topics: ['a/b/#'] },
    ],
    operator: [
      { allow: 'all', topics: ['#'] },
      { deny: 'publish', topics: ['$SYS/#', 'a/alice'], retain: true },
      { deny: 'all', topics: ['b/${claim.tenant}/b'] },
    ],
    tenant: [
      { allow: 'all', topics: ['${claim.tenant}/#', '${username}/+/${claim.line}'] },
      { deny: 'publish', topics: ['acme/${cert.cn}'] },
    ],
    nothing: [],
  },
  users: { alice: ['dashboard', 'tenant'], bob: ['operator'], __proto__x: ['nothing'] },
  clients: { c1: ['sensor'] },
  anonymous: ['tenant'],
  everyone: ['nothing'],
};

const clients: NaiveClient[] = ['', 'alice', 'bob', 'carol', '$SYS', 'a/b', 'constructor'].flatMap((username) =>
  ['c1', 'c2', '+', '$SYS'].flatMap((clientId): NaiveClient[] => [
    { clientId, username },
    { clientId, username, roles: ['tenant', 'unheard of'], claims: { tenant: 'acme', line: 7 }, commonName: 'c1' },
    { clientId, username, roles: ['operator'], claims: { tenant: '+', line: ['b'] }, commonName: '#' },
    { clientId, username, grants: [{ action: 'subscribe', topicFilter: '+/c1' }] },
    { clientId, username, roles: ['sensor'], grants: [{ action: 'publish', topicFilter: '$SYS/#' }] },
  ]),
);

const topicNames = [
  ...['a', 'b', 'a/b', 'a/c1', 'a/c1/z', 'b/c1', 'b/c1/b', 'dev-c1/b', '$SYS', '$SYS/a', 'acme', 'acme/b', 'acme/c1'],
  ...['alice/z/7', 'alice/a/b', '/', '/a', 'z', 'a/alice', 'b/acme/b', 'a/b/c1/z'],
];

const topicFilters = [
  ...['#', '+', '+/#', '+/+', '/#', 'a/#', 'a/+', 'a/c1/#', 'a/b/#', '+/b', '+/c1', '$SYS/#', '$SYS/+', 'acme/#'],
  ...['acme/+/b', 'alice/+/7', 'alice/#', 'b/c1/+', 'b/c1/#', 'b/+/b', '+/b/#', 'dev-c1/#', 'z/+/#'],
];

function questionsOf(names: readonly string[], filters: readonly string[]): NaiveQuestion[] {
  return [
    ...names.flatMap((topic): NaiveQuestion[] => [
      { way: 'publish', topic, qos: 0, retain: false },
      { way: 'publish', topic, qos: 1, retain: true },
      { way: 'publish', topic, qos: 1, retain: false },
      { way: 'publish', topic, qos: 2, retain: false },
      { way: 'receive', topic },
      { way: 'subscribe', topic },
    ]),
    ...filters.map((topic): NaiveQuestion => ({ way: 'subscribe', topic })),
  ];
}

function subjectOf({ clientId, username, commonName, roles, claims, grants }: NaiveClient): Subject {
  return {
    clientId,
    username,
    ...(commonName === undefined
      ? {}
      : { certificate: { commonName, alternativeNames: [`DNS:${commonName}`], fingerprint: 'AA:BB' } }),
    ...(roles === undefined ? {} : { roles }),
    ...(claims === undefined ? {} : { claims }),
    ...(grants === undefined ? {} : { grants }),
  };
}

function isAllowed(rules: AccessRules, subject: Subject, { way, topic, ...message }: NaiveQuestion): boolean {
  if (way === 'publish') return rules.mayPublish(subject, topic, message as { qos: number; retain: boolean });
  return way === 'receive' ? rules.mayReceive(subject, topic) : rules.maySubscribe(subject, topic);
}

function requestOf(question: NaiveQuestion): AccessRequest {
  const { way, topic } = question;
  if (way === 'publish') return { action: way, topicName: topic, retain: question.retain, qos: question.qos };
  return way === 'receive' ? { action: way, topicName: topic } : { action: way, topicFilter: topic };
}

/** Every cell that is wrong, and how many there are. */
function compare(naive: NaiveRules, rules: AccessRules, who: readonly NaiveClient[], asked: readonly NaiveQuestion[]) {
  const wrong: string[] = [];
  let allowed = 0;
  for (const client of who) {
    const subject = subjectOf(client);
    for (const question of asked) {
      const expected = naive.isAllowed(client, question);
      const request = requestOf(question);
      // Twice, the second time from memory.
      const answers = [isAllowed(rules, subject, question), isAllowed(rules, subject, question)];
      const explanation = rules.explain(subject, request);
      answers.push(explanation.allowed, explanation.line === rules.reason(subject, request) ? expected : !expected);
      if (answers.some((answer) => answer !== expected)) wrong.push(JSON.stringify({ client, question, expected }));
      if (expected) allowed += 1;
    }
  }
  return { wrong, allowed, cells: who.length * asked.length };
}

describe.each(['allow', 'deny'] as const)('where the default is %s', (otherwise) => {
  test('every identity, topic and way is decided as the naive model does', () => {
    const naive = new NaiveRules(file, otherwise === 'allow', world);
    const rules = new AccessRules(parseRules('rules.yaml', stringify(file)), otherwise);
    const { wrong, allowed, cells } = compare(naive, rules, clients, questionsOf(topicNames, topicFilters));
    expect(wrong).toEqual([]);
    expect(cells).toBeGreaterThan(5_000);
    expect(allowed).toBeGreaterThan(cells / 10);
    expect(allowed).toBeLessThan((cells * 19) / 20);
  });

  test('random rules are decided as the naive model does', () => {
    const small = allTopics(['', 'a', 'b', 'x-a', 'x-b', 'x-$S', '$S', 'z'], 4);
    const level = fc.constantFrom(
      'a',
      'b',
      '',
      '+',
      '$S',
      '${clientId}',
      '${username}',
      '${claim.tenant}',
      'x-${cert.cn}',
    );
    const filter = fc
      .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
      .filter((text) => text !== '');
    const action = fc.constantFrom('publish' as const, 'subscribe' as const, 'all' as const);
    const topics = fc.array(filter, { minLength: 1, maxLength: 2 });
    const rule: fc.Arbitrary<NaiveRule> = fc.oneof(
      fc.record({ allow: action, topics }),
      fc.record({ allow: fc.constant('publish' as const), topics, retain: fc.boolean(), qos: fc.nat({ max: 2 }) }),
      fc.record({ deny: action, topics }),
    );
    const role = fc.array(rule, { maxLength: 4 });
    const names = fc.subarray(['r', 's', 't']);
    const files = fc.record({
      roles: fc.record({ r: role, s: role, t: role }),
      users: fc.dictionary(fc.constantFrom('a', 'b', '$S'), names),
      clients: fc.dictionary(fc.constantFrom('a', 'b', '#'), names),
      anonymous: names,
      everyone: names,
    });
    const value = fc.constantFrom('', 'a', 'b', '+', '$S', 'a/b');
    const client: fc.Arbitrary<NaiveClient> = fc.record(
      {
        clientId: value,
        username: value,
        commonName: value,
        roles: names,
        claims: fc.record({ tenant: fc.oneof(value, fc.constant(null), fc.constant(['a'])) }),
      },
      { requiredKeys: ['clientId', 'username'] },
    );
    const someFilters = ['#', '+/+', 'a/#', '$S/#', '+/a', 'a/+', 'x-a/#', 'b/+/#', '/#', '+'];
    const questions = questionsOf(['a', 'b', 'a/b', '$S/a', '/', 'x-a', 'b/a/z', 'a/$S'], someFilters);
    fc.assert(
      fc.property(files, fc.array(client, { minLength: 1, maxLength: 3 }), (random, who) => {
        const naive = new NaiveRules(random, otherwise === 'allow', small);
        const rules = new AccessRules(parseRules('rules.json', JSON.stringify(random)), otherwise);
        expect(compare(naive, rules, who, questions).wrong).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });
});

describe('hostile ids and names grant nothing beyond the literal', () => {
  const own = parseRules(
    'rules.yaml',
    stringify({
      roles: {
        all: [
          { allow: 'all', topics: ['id/${clientId}/x', '${username}/own/#', 'dev-${clientId}', 'c/${claim.tenant}'] },
          { allow: 'all', topics: ['cn/${cert.cn}/#'] },
          { allow: 'publish', topics: ['guarded/+'] },
          { deny: 'publish', topics: ['guarded/${clientId}'] },
        ],
        alice: [{ allow: 'all', topics: ['#', '$SYS/#'] }],
      },
      users: { alice: ['alice'], constructor: [] },
      everyone: ['all'],
    }),
  );
  const texts = hostileTexts();
  const probes = [
    ...['id/a/x', 'id/b/x', 'id/a/b/x', 'id//x', 'a/own/x', 'b/own', '$SYS/own/x', '$SYS/broker', '/own/x', 'own/x'],
    ...['dev-a', 'dev-', 'dev-a/b', 'c/a', 'c/b', 'c/', 'cn/a/b', 'cn/b', 'cn/', 'a', '/', 'x', 'id', '$share/g/own/x'],
    ...['__proto__/own/x', 'constructor/own/x', 'id/constructor/x', 'c/object Object', 'c/undefined', 'cn/undefined'],
  ];
  const asked = ['#', '+/#', '+/own/#', 'id/+/x', 'id/#', 'c/+', 'cn/#', 'cn/+/#', '$SYS/#', 'dev-a/#', 'a/#'];

  test('for 500 of them, only what they are literally is theirs', () => {
    const rules = new AccessRules(own, 'deny');
    const wrong: string[] = [];
    for (const text of texts) {
      const subject = subjectOf({ clientId: text, username: text, commonName: text, claims: { tenant: text } });
      const isPlain = !/[+#/\0]/.test(text) && text.isWellFormed();
      const literal = new Set(
        isPlain ? [`id/${text}/x`, `dev-${text}`, `c/${text}`, `cn/${text}`, `cn/${text}/b`] : [],
      );
      if (isPlain && !text.startsWith('$')) for (const end of ['own', 'own/x']) literal.add(`${text}/${end}`);
      for (const topic of [...probes, ...literal, text]) {
        const isOwn = literal.has(topic);
        if (rules.mayPublish(subject, topic, { qos: 0, retain: false }) !== isOwn)
          wrong.push(`publish ${text} ${topic}`);
        if (rules.maySubscribe(subject, topic) !== isOwn) wrong.push(`subscribe ${text} ${topic}`);
        if (rules.mayReceive(subject, topic) !== isOwn) wrong.push(`receive ${text} ${topic}`);
      }
      for (const topicFilter of asked) {
        if (rules.maySubscribe(subject, topicFilter)) wrong.push(`subscribe ${text} ${topicFilter}`);
      }
    }
    expect(texts.length).toBeGreaterThan(500);
    expect(wrong).toEqual([]);
  });

  test('a deny that a hostile id would leave without effect denies all it could have meant', () => {
    const rules = new AccessRules(own, 'deny');
    const may = (clientId: string): boolean =>
      rules.mayPublish(subjectOf({ clientId, username: 'u' }), 'guarded/other', { qos: 0, retain: false });
    expect(may('mine')).toBe(true);
    for (const clientId of texts.filter((text) => /[+#/\0]/.test(text))) expect(may(clientId)).toBe(false);
  });
});

test('rights are those of the object that asks: new claims are a new object', () => {
  const set = parseRules('r.yaml', 'roles: {r: [{allow: publish, topics: ["${claim.tenant}/#"]}]}\neveryone: [r]');
  const rules = new AccessRules(set, 'deny');
  const message = { qos: 0, retain: false };
  const before = subjectOf({ clientId: 'c', username: 'u', claims: { tenant: 'a' } });
  expect(rules.mayPublish(before, 'a/x', message)).toBe(true);
  expect(rules.mayPublish({ ...before, claims: { tenant: 'b' } }, 'a/x', message)).toBe(false);
  expect(rules.mayPublish(before, 'a/x', message)).toBe(true);
});

test('several allows that cover a filter only together do not allow it', () => {
  const set = parseRules('r.yaml', 'roles: {r: [{allow: subscribe, topics: [a, a/+/#]}]}\neveryone: [r]');
  const rules = new AccessRules(set, 'deny');
  const subject = subjectOf({ clientId: 'c', username: 'u' });
  expect(rules.maySubscribe(subject, 'a/#')).toBe(false);
  expect(rules.maySubscribe(subject, 'a/+/b')).toBe(true);
});

test('a grant that is no topic filter, or one with $share, grants nothing', () => {
  const rules = new AccessRules(parseRules('r.yaml', 'roles: {r: []}'), 'deny');
  for (const topicFilter of ['a#', '#/a', '', 'a/+b', '$share/g/a', 'a\0']) {
    const subject = subjectOf({ clientId: 'c', username: 'u', grants: [{ action: 'subscribe', topicFilter }] });
    for (const topic of ['a', 'a#', 'b', '$share/g/a', topicFilter])
      expect(rules.maySubscribe(subject, topic)).toBe(false);
  }
});
