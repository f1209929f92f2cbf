import { allTopics, type NaiveClient, type NaiveFile } from '../acl/naive-rules.ts';
import { tokenOf } from './security-files.ts';

/** The secret that tokens are signed with. */
export const TOKEN_SECRET = 'a secret of this test, and of no other one: 0123456789';

/** Users of the password file, and their passwords. */
export const PASSWORDS: ReadonlyMap<string, string> = new Map(
  ['root', 'alice', 'bob', 'carol', 'dave'].map((user) => [user, `password of ${user}`]),
);

/** Somebody who connects. */
export interface Identity extends NaiveClient {
  /** What is in CONNECT; both are undefined for an anonymous client. */
  readonly connectAs: { username?: string; password?: string };
}

/** What holds in the end. */
export const STRICT: NaiveFile = {
  roles: {
    admin: [{ allow: 'all', topics: ['#', '$x/#'] }],
    sensor: [
      { allow: 'publish', topics: ['a/${clientId}/#', 'dev-${clientId}/b'], retain: false },
      { allow: 'publish', topics: ['b/${clientId}'], qos: 1 },
      { allow: 'subscribe', topics: ['b/${clientId}/+'] },
    ],
    dashboard: [
      { allow: 'subscribe', topics: ['a/#', '$x/#', '+/x'] },
      { deny: 'subscribe', topics: ['a/b/#'] },
    ],
    operator: [
      { allow: 'all', topics: ['#'] },
      { deny: 'publish', topics: ['$x/#', 'a/alice'], retain: true },
      { deny: 'all', topics: ['b/${claim.tenant}/b'] },
    ],
    tenant: [
      { allow: 'all', topics: ['${claim.tenant}/#', '${username}/+/${claim.line}'] },
      { deny: 'publish', topics: ['acme/y'] },
    ],
    own: [
      { allow: 'all', topics: ['own/${clientId}/#', 'u/${username}', '${username}/own/#', 'k/${claim.constructor}'] },
    ],
    guard: [
      { allow: 'all', topics: ['guarded/+'] },
      { deny: 'all', topics: ['guarded/${clientId}'] },
    ],
    nothing: [],
  },
  users: {
    root: ['admin'],
    alice: ['dashboard', 'guard'],
    bob: ['operator'],
    $x: ['tenant'],
    constructor: ['dashboard'],
  },
  clients: { c1: ['sensor'], c4: ['sensor', 'guard'], '#': ['guard'], 'a/b': ['sensor', 'guard'], '+': ['sensor'] },
  anonymous: ['tenant'],
  everyone: ['own'],
};

/** What holds before that: everything is allowed. */
export const OPEN: NaiveFile = {
  roles: { admin: [{ allow: 'all', topics: ['#', '$x/#'] }] },
  everyone: ['admin'],
};

/** Topic names that are published to. */
export const TOPIC_NAMES: readonly string[] = [
  ...['a', 'a/b/z', 'a/c1/x', 'a/alice', 'b/c1', 'b/c1/x', 'b/c4', 'b/acme/b', 'dev-c1/b', 'acme/x', 'acme/y'],
  ...['own/c1/x', 'own/c4', 'own/__proto__/z', 'own/$x', 'u/alice', 'u/constructor', 'alice/own/x', '$x/own/x', '$x/a'],
  ...['guarded/z', 'guarded/c4', 'k/b', 'grant/x', 'alice/z/7', 'nobody/at/all'],
];

/** Topic filters with wildcards that are subscribed to. */
export const WILDCARDS: readonly string[] = [
  ...['#', '+', '+/#', '+/+', 'a/#', 'a/+', 'a/+/#', 'a/c1/#', 'a/b/#', '+/x', '$x/#', '$x/+', 'acme/#', 'acme/+'],
  ...[
    'own/#',
    'own/+/x',
    'own/c1/#',
    'own/$x/#',
    'guarded/+',
    'guarded/#',
    'b/c1/+',
    'b/+',
    '+/own/#',
    'grant/#',
    'u/+',
  ],
];

/** Everybody that the matrix asks for. */
export async function allIdentities(): Promise<readonly Identity[]> {
  return await Promise.all([
    byPassword('alice', 'c1'),
    byPassword('bob', 'c2'),
    byPassword('carol', 'c3'),
    byPassword('dave', 'c4'),
    anonymous('c5'),
    byToken('frank', 'c6', { roles: ['tenant'], tenant: 'acme', line: 7 }),
    byToken('alice', 'c7', { roles: 'tenant', tenant: '+', line: '#' }),
    byToken('grace', 'c8', { roles: ['operator', 'unheard of'], tenant: 'acme' }),
    byToken('heidi', 'c9', { acl: { sub: ['grant/#', '+/x'], pub: ['$x/a'], all: ['u/+'] } }),
    // Hostile ones: ids and names that would be wildcards, levels, properties of objects.
    byPassword('dave', '+'),
    anonymous('#'),
    byPassword('carol', 'a/b'),
    byToken('$x', '$x', { tenant: '$x' }),
    byToken('+', 'h1', { roles: ['tenant'], tenant: 'acme/x' }),
    byToken('#', 'h2', { roles: ['guard', 'dashboard'] }),
    byToken('a/#', '+/x', { roles: ['sensor'], tenant: ['acme'] }),
    byToken('constructor', '__proto__', { roles: ['tenant'], constructor: 'b', tenant: { name: 'acme' } }),
  ]);
}

/** Every topic over the levels that rules, questions and names of clients have, and over one that none has. */
export function worldOf(identities: readonly Identity[]): readonly string[] {
  const texts = [
    ...TOPIC_NAMES,
    ...WILDCARDS,
    ...Object.values(STRICT.roles).flatMap((rules) => rules.flatMap((rule) => rule.topics)),
  ];
  for (const { clientId, username, claims } of identities) {
    texts.push(clientId, username);
    for (const value of Object.values(claims ?? {}))
      if (['string', 'number'].includes(typeof value)) texts.push(String(value));
  }
  const levels = texts
    .flatMap((text) => text.split('/'))
    .filter((level) => level !== '+' && level !== '#' && !level.includes('${'));
  return allTopics([...new Set([...levels, '', 'unnamed'])], 3);
}

async function byPassword(username: string, clientId: string): Promise<Identity> {
  const password = PASSWORDS.get(username);
  if (password === undefined) throw new Error(`${username} has no password`);
  return { clientId, username, connectAs: { username, password } };
}

async function anonymous(clientId: string): Promise<Identity> {
  return { clientId, username: '', connectAs: {} };
}

async function byToken(
  username: string,
  clientId: string,
  claims: Readonly<Record<string, unknown>>,
): Promise<Identity> {
  const { roles = [], acl } = claims as { roles?: string | string[]; acl?: Record<'pub' | 'sub' | 'all', string[]> };
  const grants = [...grantsOf('publish', acl?.pub, acl?.all), ...grantsOf('subscribe', acl?.sub, acl?.all)];
  const password = await tokenOf(TOKEN_SECRET, { ...claims, sub: username });
  // The user name of CONNECT counts for nothing: root is somebody else.
  const connectAs = { username: 'root', password };
  return { clientId, username, claims, grants, roles: typeof roles === 'string' ? [roles] : roles, connectAs };
}

function grantsOf(
  action: 'publish' | 'subscribe',
  ...lists: (readonly string[] | undefined)[]
): NonNullable<NaiveClient['grants']> {
  return lists.flatMap((list) => list ?? []).map((topicFilter) => ({ action, topicFilter }));
}
