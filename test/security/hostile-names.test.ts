import { describe, expect, test } from 'vitest';
import type { Hooks } from '../../src/hooks/hooks.ts';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { hostileTexts } from '../acl/hostile-texts.ts';
import type { NaiveFile } from '../acl/naive-rules.ts';
import { mqttString, rawConnect } from '../support/raw-bytes.ts';
import type { RawClient } from '../support/raw-client.ts';
import { takeAll } from './take-all.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SecurityFiles, tokenOf } from './security-files.ts';

const SECRET = 'nobody else signs tokens with this secret of thirty-two bytes';

const RULES: NaiveFile = {
  roles: {
    own: [
      { allow: 'all', topics: ['id/${clientId}/x', '${username}/own/#', 'dev-${clientId}', 'c/${claim.tenant}'] },
      { allow: 'publish', topics: ['guarded/+'] },
      { deny: 'publish', topics: ['guarded/${clientId}'] },
    ],
    admin: [{ allow: 'all', topics: ['#', '$SYS/#', '$/#', '$x/#'] }],
  },
  users: { root: ['admin'], alice: ['admin'] },
  clients: { alice: ['admin'] },
  everyone: ['own'],
};

/** Topics of others, among them what a wildcard, a pattern or a property of an object would give. */
const PROBES: readonly string[] = [
  ...[
    'id/other/x',
    'id/a/b/x',
    'id//x',
    'nobody/own/y',
    'other/own',
    '/own/x',
    'own/x',
    'dev-other',
    'dev-',
    'dev-a/b',
    'c/other',
  ],
  ...[
    'c/',
    'c/undefined',
    'c/object Object',
    'other',
    '/',
    'id',
    'id/constructor/y',
    '__proto__/x',
    'constructor/x',
    'alice',
  ],
];
const FILTERS: readonly string[] = [
  ...['#', '+', '+/#', '+/own/#', 'id/+/x', 'id/#', 'c/+', 'c/#', '$SYS/#', '$SYS/broker/+', 'other/#', '$share/g/#'],
  ...['$share/g/id/+/x', 'guarded/+'],
];

/** Names that MQTT forbids, or that are longer than it can write. */
function isForbidden(text: string): boolean {
  return text.includes('\0') || !text.isWellFormed() || Buffer.byteLength(text) > 65_535;
}

/** What a name gives by itself: all that begins with it, or nothing where it is no level. */
function literalOf(text: string, { withClaim }: { withClaim: boolean }): readonly string[] {
  if (/[+#/]/.test(text)) return [];
  const own = text.startsWith('$') ? [] : [`${text}/own`, `${text}/own/x`];
  return [`id/${text}/x`, `dev-${text}`, ...own, ...(withClaim ? [`c/${text}`] : [])].filter(
    (topic) => Buffer.byteLength(topic) <= 65_535,
  );
}

/** A client under a hostile name tries everything. @returns what it got that is not its own, or did not get that is. */
async function tryAll(client: RawClient, watcher: RawClient, text: string, withClaim: boolean): Promise<string[]> {
  const own = new Set(literalOf(text, { withClaim }));
  const isGuarded = /[+#/]/.test(text) || text === 'z';
  const topics = [...new Set([...PROBES, ...own])].filter((topic) => !/[+#]/.test(topic));
  const wrong: string[] = [];
  const packetIds = [...topics, 'guarded/z'].map((topic) => client.sendPublish(topic, topic.slice(0, 40), { qos: 1 }));
  const due: string[] = [];
  for (const [index, packetId] of packetIds.entries()) {
    const topic = topics[index] ?? 'guarded/z';
    const isDue = topic === 'guarded/z' ? !isGuarded : own.has(topic);
    if (isDue) due.push(topic);
    const { reasonCode } = await client.expect(PacketType.puback, { packetId });
    if (![0, 0x10, 0x87].includes(reasonCode) || (reasonCode === 0x87) === isDue)
      wrong.push(`publish ${topic}: ${reasonCode}`);
  }
  const seen = (await takeAll(watcher)).map(({ topicName }) => topicName);
  if (seen.join() !== due.join()) wrong.push(`published: ${seen.join()}, not ${due.join()}`);
  const asked = [...topics, ...FILTERS];
  for (let at = 0; at < asked.length; at += 20) {
    const part = asked.slice(at, at + 20);
    const packetId = client.sendSubscribe(part, 1);
    const { reasonCodes } = await client.expect(PacketType.suback, { packetId });
    for (const [index, code] of reasonCodes.entries()) {
      const filter = part[index] as string;
      if ((code === 1) !== own.has(filter)) wrong.push(`subscribe ${filter}: ${code}`);
    }
  }
  return wrong;
}

interface Trial {
  readonly broker: TestBroker;
  readonly watcher: RawClient;
  /** The password of a hostile user. */
  readonly passwordOf: (text: string) => Promise<string> | string;
}

/** Everybody is who he says, by the hook of an embedding program or by a token. */
async function withTrial(kind: 'hook' | 'token', run: (trial: Trial) => Promise<void>): Promise<void> {
  using files = new SecurityFiles();
  const acl = { file: files.write('rules.json', JSON.stringify(RULES)) };
  const hooks: Hooks = { authenticate: ({ username }) => ({ allow: true, username }) };
  const jwt = { secretFile: files.write('token-secret', SECRET) };
  await using broker = await startTestBroker(
    kind === 'hook' ? { config: { acl }, hooks } : { config: { acl, auth: { jwt } } },
  );
  const passwordOf = (text: string): Promise<string> | string =>
    kind === 'hook' ? 'any' : tokenOf(SECRET, { sub: text, tenant: text });
  const watcher = await broker.connect({ name: 'root', username: 'root', password: await passwordOf('root') });
  await watcher.subscribe(['#', '$x/#', '$/#'], 1);
  await run({ broker, watcher, passwordOf });
}

describe('hostile client ids and user names give nothing but what they are literally', () => {
  const texts = hostileTexts();

  test('500 of them, of users that a hook knows', async () => {
    await withTrial('hook', async ({ broker, watcher }) => {
      let tried = 0;
      for (const text of texts.filter((one) => !isForbidden(one))) {
        const client = await broker.connect({ name: 'hostile', clientId: text, username: text, password: 'any' });
        expect(await tryAll(client, watcher, text, false), JSON.stringify(text.slice(0, 40))).toEqual([]);
        await client.disconnect();
        tried += 1;
      }
      console.log(`${tried} hostile names tried, ${texts.length - tried} cannot be written`);
      expect(tried).toBeGreaterThan(500);
    });
  });

  test('as names and claims of tokens, which are fit for a name or refused', async () => {
    await withTrial('token', async ({ broker, watcher, passwordOf }) => {
      const short = texts.filter((text) => !isForbidden(text) && text.length <= 256);
      const unfit = short.filter((text) => /[\p{Cc}\u061c\u2028-\u202e]/u.test(text));
      let accepted = 0;
      // More refusals than these would hold off everybody at this address.
      for (const text of [...unfit.slice(0, 20), ...short.filter((one) => !unfit.includes(one))]) {
        const client = await broker.open({ name: 'hostile' });
        client.sendConnect({ clientId: text, username: JSON.stringify(text), password: await passwordOf(text) });
        const { reasonCode } = await client.expect(PacketType.connack);
        expect(reasonCode, JSON.stringify(text)).toBe(unfit.includes(text) ? 0x86 : 0);
        if (reasonCode !== 0) continue;
        expect(await tryAll(client, watcher, text, true), JSON.stringify(text)).toEqual([]);
        await client.disconnect();
        accepted += 1;
      }
      expect(accepted).toBeGreaterThan(300);
    });
  });

  test.each([3, 4, 5] as const)('that MQTT forbids are refused at CONNECT, version %s', async (version) => {
    await withTrial('hook', async ({ broker, watcher }) => {
      const forbidden = [...new Set([...texts.filter((text) => text.includes('\0')).map(bytesOf), ...MALFORMED])];
      for (const bytes of forbidden) {
        for (const place of ['client id', 'user name', 'topic name of the will'] as const) {
          const client = await broker.open({ version });
          client.send(connectWith(version, place, bytes));
          const first = await client.next().catch(() => undefined);
          if (first !== undefined && first.type !== PacketType.disconnect) {
            expect(first, `${place} ${bytes.toString('hex')}`).toMatchObject({ type: PacketType.connack });
            expect((first as { reasonCode: number }).reasonCode).toBeGreaterThan(0);
          }
          await client.expectClose();
        }
      }
      await watcher.expectNothing();
      expect(broker.broker.counters().connections.clients).toBe(1);
    });
  });
});

/** Half a surrogate, an overlong slash, an overlong U+0000, and bytes that no text has. */
const MALFORMED: readonly Buffer[] = [
  'eda080',
  'edb080',
  'c0af',
  'c080',
  'e080af',
  'ff',
  'f8888080',
  'f4908080',
  '61c3',
].map((hex) => Buffer.from(hex, 'hex'));

function bytesOf(text: string): Buffer {
  return Buffer.from(text).subarray(0, 65_535);
}

function connectWith(
  version: ProtocolVersion,
  place: 'client id' | 'user name' | 'topic name of the will',
  bytes: Buffer,
): Buffer {
  const string = mqttString(bytes);
  if (place === 'client id') return rawConnect(version, { payload: [string] });
  const id = mqttString('c');
  if (place === 'user name') return rawConnect(version, { flags: 0xc2, payload: [id, string, mqttString('p')] });
  const properties = version === 5 ? [Buffer.from([0])] : [];
  return rawConnect(version, { flags: 0x06, payload: [id, ...properties, string, mqttString('payload')] });
}
