import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Broker, startBroker } from '../../src/broker.ts';
import { type Config, createConfig, type DeepPartial } from '../../src/config.ts';
import type { BrokerEvents } from '../../src/hooks/hooks.ts';
import { createLogger, type Logger } from '../../src/lib/logger.ts';
import { systemClock } from '../../src/lib/system-clock.ts';
import { PacketType, type Packet } from '../../src/protocol/packets.ts';
import { HttpBackend } from '../auth/http-backend.ts';
import { ScramClient } from '../auth/scram-client.ts';
import { endAll, finished } from '../cli/trellis.ts';
import { type ClientSocket, openTcp, openTls } from '../support/client-socket.ts';
import type { RawConnectOptions } from '../support/connect-packet.ts';
import { until } from '../support/polling.ts';
import { RawClient } from '../support/raw-client.ts';
import { redisMissing, RedisServer } from '../support/redis-server.ts';
import { SecurityFiles, tokenOf } from './security-files.ts';

const HOST = '127.0.0.1';
const JWT_SECRET = 'JwtSecret-uE3bX7qLw0Zr9sKd5VfTgNhY';
const REDIS_PASSWORD = 'RedisPass-Jq8ZkX2';
const WEBHOOK_TOKEN = 'WebhookToken-Pl0oKm9';
const PSK_HEX = '5ec2e7'.repeat(8);
const ANN_PASSWORD = 'AnnsPassword-Wn4Rt6';
const WRONG_PASSWORD = 'WrongPassword-Bv5Cx1';
const HOOKED_PASSWORD = 'HookedPassword-Yt7Ui3';
const SERVER_ERROR = 'ErrorBody-Gh2Jk8';

/** What a text may look like where something is carried on: as it is, in hexadecimal, base64 and percent-encoding, as bytes. */
function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  const forms = [secret, hex, hex.toUpperCase(), encodeURIComponent(secret), JSON.stringify([...bytes]).slice(1, -1)];
  // Behind one or two other bytes base64 is another; the characters that share bits with what stands around are left out.
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replaceAll('=', '');
    const inner = text.slice(before === 0 ? 0 : before + 1, -1);
    forms.push(inner, inner.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...new Set(forms)];
}

/** All that was written or sent anywhere, to be looked through for secrets. */
class Trail {
  readonly #texts: { where: string; text: string }[] = [];

  add(where: string, value: unknown): void {
    const text = typeof value === 'string' ? value : JSON.stringify(value, (_, part: unknown) => readable(part));
    this.#texts.push({ where, text });
  }

  /** How many texts there are of a place. */
  count(where: string): number {
    return this.#texts.filter((entry) => entry.where === where).length;
  }

  has(where: string, part: string): boolean {
    return this.#texts.some((entry) => entry.where === where && entry.text.includes(part));
  }

  /** Every text with one of the secrets in it, in whichever form. */
  leaks(secrets: readonly string[]): string[] {
    const forms = secrets.flatMap(formsOf);
    return this.#texts
      .filter(({ text }) => forms.some((form) => text.includes(form)))
      .map(({ where, text }) => `${where}: ${text}`);
  }
}

/** Bytes as a text would show them. */
function readable(part: unknown): unknown {
  if (part instanceof Error) return inspect(part, { depth: 5 });
  if (typeof part === 'object' && part !== null && 'type' in part && part.type === 'Buffer' && 'data' in part)
    return Buffer.from(part.data as number[]).toString('latin1');
  return part;
}

const EVENTS: readonly (keyof BrokerEvents)[] = [
  ...([
    'listening',
    'clientConnected',
    'clientDisconnected',
    'connectionRefused',
    'subscribed',
    'unsubscribed',
  ] as const),
  ...(['published', 'sessionCreated', 'sessionEnded', 'willPublished', 'messageDropped', 'fatal'] as const),
];

let files: SecurityFiles;
let trail: Trail;
let logger: Logger;
let clients: RawClient[];

beforeEach(() => {
  files = new SecurityFiles();
  trail = new Trail();
  clients = [];
  // Once as it is handed over, before any field is masked by its name, and once as it is written.
  const written = createLogger({
    level: 'debug',
    format: 'json',
    write: (line) => trail.add('log', line),
    clock: systemClock,
  });
  const keep = (level: 'error' | 'warn' | 'info' | 'debug') => (message: string, fields?: Record<string, unknown>) => {
    trail.add('log fields', { message, ...fields });
    written[level](message, fields);
  };
  logger = { level: 'debug', error: keep('error'), warn: keep('warn'), info: keep('info'), debug: keep('debug') };
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await endAll();
  files[Symbol.dispose]();
});

function watch(broker: Broker): void {
  for (const name of EVENTS) broker.on(name, (...args: unknown[]) => trail.add('event', { name, args }));
}

function portOf(broker: Broker, scheme: string): number {
  return broker.listeners.find(({ url }) => url.startsWith(scheme))?.port ?? 0;
}

/** Connects and waits for the answer. @returns its reason code; -1 for none. */
async function attempt(
  broker: Broker,
  options: RawConnectOptions,
  more: { psk?: { identity: string; hex: string } } = {},
): Promise<number> {
  const client = new RawClient(`client-${clients.length}`, 5);
  clients.push(client);
  const { psk } = more;
  const socket =
    psk === undefined ? openTcp(HOST, portOf(broker, 'mqtt:'), client) : openPsk(portOf(broker, 'mqtts:'), client, psk);
  const opened = await socket.catch((error: unknown) => {
    trail.add('error of the client', String(error));
    return undefined;
  });
  if (opened === undefined) return -1;
  client.attach(opened).sendConnect(options);
  return codeOf(await answerOf(client));
}

function codeOf(packet: Packet | undefined): number {
  return packet?.type === PacketType.connack ? packet.reasonCode : -1;
}

async function answerOf(client: RawClient): Promise<Packet | undefined> {
  const packet = await client.next().catch(() => undefined);
  if (packet !== undefined && packet.type !== PacketType.auth) trail.add('answer', packet);
  return packet;
}

function openPsk(
  port: number,
  handler: RawClient,
  { identity, hex }: { identity: string; hex: string },
): Promise<ClientSocket> {
  const ciphers = 'TLS_AES_128_GCM_SHA256:PSK';
  const pskCallback = () => ({ psk: Buffer.from(hex, 'hex'), identity });
  return openTls({ host: HOST, port, ca: [], ciphers, checkServerIdentity: () => undefined, pskCallback }, handler);
}

/** SCRAM with a password, right or wrong. @returns the reason code of CONNACK. */
async function scram(broker: Broker, password: string): Promise<number> {
  const side = new ScramClient({ mechanism: 'SCRAM-SHA-256', username: 'ann', password });
  const client = new RawClient(`scram-${clients.length}`, 5);
  clients.push(client);
  client.attach(await openTcp(HOST, portOf(broker, 'mqtt:'), client));
  client.sendConnect({ properties: { authenticationMethod: 'SCRAM-SHA-256', authenticationData: side.first() } });
  const first = await answerOf(client);
  if (first?.type !== PacketType.auth) return codeOf(first);
  const authenticationData = side.final(Buffer.from(first.properties.authenticationData ?? ''));
  const properties = { authenticationMethod: 'SCRAM-SHA-256', authenticationData };
  client.send({ type: PacketType.auth, reasonCode: 0x18, properties });
  const packet = await client.next();
  return codeOf(packet);
}

test('a secret is found in whichever form it is written', () => {
  const bytes = Buffer.from('SomeSecret-1');
  trail.add('text', { text: 'it is SomeSecret-1.' });
  trail.add('hex', bytes.toString('hex'));
  trail.add('bytes', [...bytes]);
  trail.add('buffer', { bytes });
  for (const before of ['', 'u', 'u:', 'us:', '\0us\0'])
    trail.add('base64', Buffer.from(`${before}SomeSecret-1!`).toString('base64'));
  expect(trail.leaks(['SomeSecret-1'])).toHaveLength(9);
  expect(trail.leaks(['AnotherSecret'])).toEqual([]);
});

describe.skipIf(redisMissing !== '')('a run at log level debug shows no secret', () => {
  test('in logs, $SYS topics, events and answers', async () => {
    await using redis = await RedisServer.start({ config: [`requirepass ${REDIS_PASSWORD}`] });
    await using webhook = await HttpBackend.start((response, { body }) => {
      const { username } = JSON.parse(body) as { username: string };
      if (username === 'failing') response.statusCode = 500;
      const answer =
        username === 'hooked' ? { result: 'allow' } : { result: username === 'denied' ? 'deny' : 'ignore' };
      response.end(username === 'failing' ? SERVER_ERROR : JSON.stringify(answer));
    });
    const passwordFile = files.path('passwords');
    files.writeUsers(
      new Map([
        ['ann', ANN_PASSWORD],
        ['root', 'RootPassword-Zx3'],
      ]),
    );
    const acl = { roles: { admin: [{ allow: 'all', topics: ['#', '$SYS/#'] }] }, users: { root: ['admin'] } };
    const config = createConfig({
      listeners: { tcp: { host: HOST, port: 0 }, websocket: { port: 'off' }, tls: { host: HOST, port: 0 } },
      tls: { pskFile: files.write('psk', `sensor:${PSK_HEX}\n`) },
      store: { type: 'redis' },
      redis: { url: `redis://${HOST}:${redis.port}`, passwordFile: files.write('redis-password', REDIS_PASSWORD) },
      auth: {
        passwordFile,
        jwt: { secretFile: files.write('jwt-secret', JWT_SECRET) },
        webhook: { url: `${webhook.url}?key=${WEBHOOK_TOKEN}`, tokenFile: files.write('webhook-token', WEBHOOK_TOKEN) },
      },
      acl: { file: files.write('rules.json', JSON.stringify(acl)), explainToClients: true },
      log: { level: 'debug' },
      admin: { sysIntervalSeconds: 1 },
    });
    const broker = await startBroker(config, { logger });
    const secrets = [
      JWT_SECRET,
      REDIS_PASSWORD,
      WEBHOOK_TOKEN,
      ANN_PASSWORD,
      WRONG_PASSWORD,
      HOOKED_PASSWORD,
      PSK_HEX,
      SERVER_ERROR,
    ];
    secrets.push('RootPassword-Zx3', 'RootPassword');
    try {
      watch(broker);
      broker.subscribe('$SYS/#', (message) =>
        trail.add('$SYS', { topic: message.topicName, payload: Buffer.from(message.payload).toString() }),
      );
      const token = await tokenOf(JWT_SECRET, { sub: 'tess' });
      const forged = await tokenOf(WRONG_PASSWORD.repeat(3), { sub: 'tess' });
      const aged = await tokenOf(JWT_SECRET, { sub: 'tess', nbf: 4_000_000_000 });
      for (const one of [token, forged, aged]) secrets.push(one, ...one.split('.').slice(1));
      const will = { topicName: 'will', payload: 'a will' };
      expect(await attempt(broker, { username: 'ann', password: ANN_PASSWORD })).toBe(0);
      expect(await attempt(broker, { username: 'ann', password: WRONG_PASSWORD })).toBe(0x86);
      expect(await attempt(broker, { username: 'nobody', password: WRONG_PASSWORD })).toBe(0x86);
      expect(await attempt(broker, { username: 'ann', password: ANN_PASSWORD, will })).toBe(0x87);
      expect(await attempt(broker, { username: 'x', password: token })).toBe(0);
      expect(await attempt(broker, { username: 'x', password: forged })).toBe(0x86);
      expect(await attempt(broker, { username: 'x', password: aged })).toBe(0x86);
      expect(await attempt(broker, { username: 'x', password: `${token}.x` })).toBe(0x86);
      expect(await attempt(broker, { username: 'hooked', password: HOOKED_PASSWORD })).toBe(0);
      expect(await attempt(broker, { username: 'denied', password: HOOKED_PASSWORD })).toBe(0x86);
      expect(await attempt(broker, { username: 'failing', password: HOOKED_PASSWORD })).toBe(0x86);
      expect(await attempt(broker, {}, { psk: { identity: 'sensor', hex: PSK_HEX } })).toBe(0);
      expect(
        await attempt(broker, {}, { psk: { identity: 'sensor', hex: Buffer.from(WRONG_PASSWORD).toString('hex') } }),
      ).toBe(-1);
      expect(await scram(broker, WRONG_PASSWORD)).toBeGreaterThan(0);
      for (const [name, text] of [
        ['passwords', `ann:${ANN_PASSWORD}\nbob:$7$x$${WRONG_PASSWORD}\n`],
        ['jwt-secret', 'JwtSecret-uE3b'],
        ['webhook-token', `${WEBHOOK_TOKEN} ${HOOKED_PASSWORD}`],
        ['psk', `sensor:${PSK_HEX}0\n${WRONG_PASSWORD}\n`],
        ['rules.json', `{"roles": "${WRONG_PASSWORD.slice(0, 3)}"}`],
      ] as const) {
        files.write(name, text);
        expect(await broker.reload(), name).toBe(false);
      }
      // Redis does not know the password for a while.
      await redis.client().config('SET', 'requirepass', WRONG_PASSWORD);
      await redis.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await until('a log of that', () => trail.has('log', 'Redis is away') || undefined);
      await redis.client().config('SET', 'requirepass', REDIS_PASSWORD);
      await until('Redis to be back', () => trail.has('log', 'Redis is back') || undefined);
      expect(await attempt(broker, { username: 'hooked', password: HOOKED_PASSWORD })).toBe(0);
      await until('$SYS topics', () => trail.count('$SYS') > 20 || undefined);
      trail.add('counters', broker.counters());
    } finally {
      await broker.close();
    }
    for (const where of ['log', 'log fields', 'event', 'answer']) expect(trail.count(where), where).toBeGreaterThan(10);
    expect(trail.has('log', 'not let in')).toBe(true);
    expect(trail.leaks(secrets)).toEqual([]);
  });

  test('where tokens are user names', async () => {
    const config: DeepPartial<Config> = {
      listeners: { tcp: { host: HOST, port: 0 }, websocket: { port: 'off' } },
      store: { type: 'memory' },
      auth: { jwt: { from: 'username', secretFile: files.write('jwt-secret', JWT_SECRET) } },
      acl: { default: 'allow' },
      log: { level: 'debug' },
      admin: { sysIntervalSeconds: 1 },
    };
    const broker = await startBroker(createConfig(config), { logger });
    watch(broker);
    const token = await tokenOf(JWT_SECRET, { sub: 'tess' });
    const forged = await tokenOf(WRONG_PASSWORD.repeat(3), { sub: 'tess' });
    expect(await attempt(broker, { username: token })).toBe(0);
    expect(await attempt(broker, { username: forged, clientId: 'f' })).toBe(0x86);
    expect(await attempt(broker, { username: token, will: { topicName: '$SYS/x' } })).not.toBe(0);
    expect(await attempt(broker, { username: token, properties: { authenticationMethod: 'none' } })).toBe(0x8c);
    for (const client of clients) client.destroy();
    await until('all are gone', () => broker.counters().connections.clients === 0 || undefined);
    await broker.close();
    expect(trail.has('event', '"tess"')).toBe(true);
    expect(
      trail.leaks([token, forged, ...token.split('.').slice(1), ...forged.split('.').slice(1), JWT_SECRET]),
    ).toEqual([]);
  });
});

const QUIET: DeepPartial<Config> = {
  listeners: { tcp: { host: HOST, port: 0 }, websocket: { port: 'off' } },
  store: { type: 'memory' },
};

/** Files that cannot be used, some in the place of others: what is in them, and what they are configured as. */
const WRONG_FILES: readonly [string, string, (file: string) => DeepPartial<Config>][] = [
  ['passwords', 'ann:SECRET\n', (passwordFile) => ({ auth: { passwordFile } })],
  ['passwords', 'SECRET\n', (passwordFile) => ({ auth: { passwordFile } })],
  ['passwords', 'ann:$scrypt$ln=15,r=8,p=1$SECRET$SECRET\n', (passwordFile) => ({ auth: { passwordFile } })],
  ['passwords', 'ann:SCRAM-SHA-256$4096:SECRET$SECRET:SECRET\n', (passwordFile) => ({ auth: { passwordFile } })],
  ['secret', 'SECRET', (secretFile) => ({ auth: { jwt: { secretFile } } })],
  ['keys', '{"keys": [{"kty": "oct", "k": "SECRET"}]}', (keySetFile) => ({ auth: { jwt: { keySetFile } } })],
  ['keys', '{"keys": [SECRET', (keySetFile) => ({ auth: { jwt: { keySetFile } } })],
  [
    'key',
    '-----BEGIN PUBLIC KEY-----\nSECRET\n-----END PUBLIC KEY-----',
    (publicKeyFile) => ({ auth: { jwt: { publicKeyFile } } }),
  ],
  ['token', 'SECRET and more', (tokenFile) => ({ auth: { webhook: { url: 'https://h/', tokenFile } } })],
  ['rules', 'ann:SECRET\n', (file) => ({ acl: { file } })],
  ['rules', 'SECRET\n', (file) => ({ acl: { file } })],
  ['rules', 'user ann\nSECRET more\n', (file) => ({ acl: { file } })],
  ['rules.yaml', 'ann:SECRET\n', (file) => ({ acl: { file } })],
  ['rules.yaml', 'redis: redis://u:SECRET@h\n', (file) => ({ acl: { file } })],
];

describe('what is wrong with a configuration is said without its secrets', () => {
  const SECRET = 'ConfSecret-Qw8Er2';

  test.each<[string, string[], Record<string, string>?]>([
    ['a Redis with a password', ['--set', `redis.url=redis://u:${SECRET}@h:1/0`]],
    ['a wrong port', ['--store', `redis://u:${SECRET}@h:x`]],
    ['forgotten slashes', ['--set', `redis.url=redis:u:${SECRET}@h`]],
    ['no scheme', ['--set', `redis.url=u:${SECRET}@h`]],
    ['no key', ['--set', `redis://u:${SECRET}@h`]],
    ['no flag', [`redis://u:${SECRET}@h`]],
    ['a webhook with a password', ['--set', `auth.webhook.url=https://u:${SECRET}@h/`]],
    ['a webhook with a query', ['--set', `auth.webhook.url=https://h/?key=${SECRET}`]],
    ['a key set with a query', ['--set', `auth.jwt.keySetUrl=https://h/?key=${SECRET}`]],
    ['a wrong URL with a query', ['--set', `auth.jwt.keySetUrl=http://h/?key=${SECRET}`]],
    ['the environment', [], { TRELLIS_REDIS__URL: `redis://u:${SECRET}@` }],
    ['an unknown variable', [], { TRELLIS_REDIS__PASSWORD: SECRET }],
    ['an unknown key', ['--set', `redis.password=${SECRET}`]],
  ])('%s, by trellis check', async (_, args, environment = {}) => {
    const { stdout, stderr } = await finished(['check', ...args], { environment, directory: files.directory });
    trail.add('trellis check', stdout + stderr);
    expect(stdout + stderr).not.toBe('');
    expect(trail.leaks([SECRET])).toEqual([]);
  });

  test.each([
    `redis: redis://u:${SECRET}@h:1\n`,
    `redis:\n  url: [redis://u:${SECRET}@h:1]\n`,
    `redis:\n  url: "redis://u:${SECRET}@h:1\n`,
    `redis:\n  password: ${SECRET}\n`,
    `redis:\n  url:\n    - url: redis://u:${SECRET}@h:1\n`,
    `auth:\n  webhook: https://u:${SECRET}@h/\n`,
  ])('a file %j', async (text) => {
    const file = files.write('broker.yaml', text);
    const { stderr, code } = await finished(['check', '--config', file]);
    expect(code).toBe(2);
    trail.add('trellis check', stderr);
    expect(trail.leaks([SECRET])).toEqual([]);
  });

  test.each(WRONG_FILES)('%s with %j', async (name, text, use) => {
    const file = files.write(name, text.replaceAll('SECRET', SECRET));
    const error: unknown = await startBroker(createConfig({ ...QUIET, ...use(file) }), { logger }).then(
      (broker) => broker.close(),
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toContain(file);
    trail.add('error', String(error));
    trail.add('error', error);
    expect(trail.leaks([SECRET])).toEqual([]);
  });
});
