import { expect, test } from 'vitest';
import { AccessRules } from '../../src/acl/access-rules.ts';
import type { AccessRequest } from '../../src/acl/active-rules.ts';
import { explanationText } from '../../src/acl/explain.ts';
import type { Subject } from '../../src/acl/filter-template.ts';
import { parseRules } from '../../src/acl/rules-file.ts';

const set = parseRules(
  'rules.yaml',
  `roles:
  sensor:
    - allow: publish
      topics: ['sensors/\${clientId}/#']
      retain: false
      qos: 1
    - allow: publish
      topics: ['tenants/\${claim.tenant}/#']
  dashboard:
    - allow: subscribe
      topics:
        - 'sensors/#'
        - 'sensors/+/state'
    - deny: subscribe
      topics: ['sensors/secret/#']
    - deny: publish
      topics: ['audit/\${claim.tenant}']
  admin:
    - allow: all
      topics: ['#']
users:
  alice: [dashboard]
everyone: [sensor]
`,
);
const rules = new AccessRules(set, 'deny');
const alice: Subject = { clientId: 'c1', username: 'alice' };

function publish(topicName: string, qos = 0, retain = false): AccessRequest {
  return { action: 'publish', topicName, qos, retain };
}

function subscribe(topicFilter: string): AccessRequest {
  return { action: 'subscribe', topicFilter };
}

test.each<[AccessRequest, string]>([
  [subscribe('sensors/#'), 'denied by rules.yaml:15 (role dashboard): deny subscribe sensors/secret/#'],
  [subscribe('sensors/c1/state'), 'allowed by rules.yaml:12 (role dashboard): allow subscribe sensors/#'],
  [
    { action: 'receive', topicName: 'sensors/secret/x' },
    'denied by rules.yaml:15 (role dashboard): deny subscribe sensors/secret/#',
  ],
  [{ action: 'receive', topicName: 'x' }, 'no rule allows delivery of x for user alice: 6 rules looked at'],
  [publish('sensors/c1/t'), 'allowed by rules.yaml:4 (role sensor): allow publish sensors/${clientId}/#'],
  [publish('x\n\u001b[0m'), 'no rule allows publish to x\\n\\u001b[0m for user alice: 6 rules looked at'],
  [
    publish('audit/x'),
    'denied by rules.yaml:17 (role dashboard): deny publish audit/${claim.tenant} (${claim.tenant} has no value)',
  ],
])('%j: %s', (request, line) => {
  expect(rules.reason(alice, request)).toBe(line);
  expect(rules.explain(alice, request).line).toBe(line);
});

test('clients without a user name are named by their id, and long texts are cut', () => {
  const line = rules.reason({ clientId: 'c\u0000'.repeat(40_000), username: '' }, publish('x'.repeat(60_000)));
  expect(line).toContain('without a user name: 2 rules looked at');
  expect(line).not.toContain('\0');
  expect(line.length).toBeLessThan(1_200);
});

test('a default that allows says so, and a grant is named as one', () => {
  const open = new AccessRules(set, 'allow');
  expect(open.reason(alice, publish('x'))).toBe('no rule denies publish to x for user alice: 6 rules looked at');
  const granted: Subject = { ...alice, grants: [{ action: 'publish', topicFilter: 'x/#' }] };
  expect(rules.reason(granted, publish('x'))).toBe('allowed by a grant of the client: allow publish x/#');
});

/** Why each rule but the deciding one did not decide, by line. */
function because(subject: Subject, request: AccessRequest): [string | undefined, string][] {
  return rules.explain(subject, request).others.map(({ place, because: phrase }) => [place, phrase]);
}

test('every other rule of the client has a reason of its own', () => {
  expect(because(alice, publish('sensors/c1/t', 2))).toEqual([
    ['rules.yaml:4', 'for QoS up to 1, not 2'],
    ['rules.yaml:8', '${claim.tenant} has no value'],
    ['rules.yaml:12', 'another action'],
    ['rules.yaml:13', 'another action'],
    ['rules.yaml:15', 'another action'],
    ['rules.yaml:17', 'does not match sensors/c1/t'],
  ]);
  expect(because(alice, publish('sensors/c1/t', 1, true))[0]?.[1]).toBe('not for retained publishes');
  expect(because({ ...alice, claims: { tenant: '+' } }, publish('x'))[1]?.[1]).toBe(
    '${claim.tenant} has a value with +, #, / or a character no topic can have',
  );
  expect(because(alice, subscribe('sensors/#')).slice(2)).toEqual([
    ['rules.yaml:12', 'matches, but a deny wins'],
    ['rules.yaml:13', 'covers only a part of sensors/#'],
    ['rules.yaml:17', 'another action'],
  ]);
  expect(because(alice, subscribe('sensors/a/state')).slice(2)).toEqual([
    ['rules.yaml:13', 'matches as well'],
    ['rules.yaml:15', 'has no topic in common with sensors/a/state'],
    ['rules.yaml:17', 'another action'],
  ]);
});

test('as text it says what decided, why the others did not, which roles there are, and what other roles would do', () => {
  const subject: Subject = { ...alice, roles: ['guest'], claims: { tenant: 'acme' } };
  expect(explanationText(rules.explain(subject, publish('tenants/acme/x')))).toBe(`Allowed: publish to tenants/acme/x
  allowed by rules.yaml:8 (role sensor): allow publish tenants/\${claim.tenant}/#
  The filter of this client is tenants/acme/#.
Other rules of this client:
  rules.yaml:4 (role sensor): allow publish sensors/\${clientId}/# (sensors/c1/#): does not match tenants/acme/x
  rules.yaml:12 (role dashboard): allow subscribe sensors/#: another action
  rules.yaml:13 (role dashboard): allow subscribe sensors/+/state: another action
  rules.yaml:15 (role dashboard): deny subscribe sensors/secret/#: another action
  rules.yaml:17 (role dashboard): deny publish audit/\${claim.tenant} (audit/acme): does not match tenants/acme/x
Roles of this client: sensor (everyone), dashboard (users), guest (authentication, not in the file).
Rules of other roles that would match:
  rules.yaml:20 (role admin): allow all #: its role is not held
`);
  const bob: Subject = { clientId: 'c2', username: 'bob' };
  expect(explanationText(rules.explain(bob, publish('$SYS/x')))).toBe(`Refused: publish to $SYS/x
  no rule allows publish to $SYS/x for user bob: 2 rules looked at
Rules of this client:
  rules.yaml:4 (role sensor): allow publish sensors/\${clientId}/# (sensors/c2/#): does not match $SYS/x
  rules.yaml:8 (role sensor): allow publish tenants/\${claim.tenant}/#: \${claim.tenant} has no value
Roles of this client: sensor (everyone).
Rules of other roles that would not match: 5.
`);
});
