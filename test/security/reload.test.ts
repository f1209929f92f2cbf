import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Config, DeepPartial } from '../../src/config.ts';
import type { Hooks } from '../../src/hooks/hooks.ts';
import type { Logger } from '../../src/lib/logger.ts';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import type { NaiveFile, NaiveRule } from '../acl/naive-rules.ts';
import { until } from '../support/polling.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SecurityFiles } from './security-files.ts';
import { takeAll } from './take-all.ts';

const PASSWORDS: ReadonlyMap<string, string> = new Map(
  ['root', 'ann', 'bob'].map((user) => [user, `password of ${user}`]),
);
/** What ann may do; bob may always do everything. */
const ALL: NaiveRule[] = [{ allow: 'all', topics: ['#'] }];
const LITTLE: NaiveRule[] = [{ allow: 'all', topics: ['public/#'] }];

function rulesFor(ann: NaiveRule[]): string {
  const file: NaiveFile = { roles: { all: ALL, ann }, users: { root: ['all'], bob: ['all'], ann: ['ann'] } };
  return JSON.stringify(file);
}

let files: SecurityFiles;
let config: DeepPartial<Config>;
let lines: string[];
let logger: Logger;

beforeEach(() => {
  files = new SecurityFiles();
  config = {
    auth: { passwordFile: files.writeUsers(PASSWORDS) },
    acl: { file: files.write('rules.json', rulesFor(ALL)) },
  };
  lines = [];
  const keep = (message: string, fields: object = {}): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  logger = { level: 'info', error: keep, warn: keep, info: keep, debug: keep };
});

afterEach(() => files[Symbol.dispose]());

async function connect(broker: TestBroker, username: string, version: ProtocolVersion = 5): Promise<RawClient> {
  return await broker.connect({ version, username, password: PASSWORDS.get(username) ?? '' });
}

/** Publishes one number after the other, as fast as each is acknowledged, until it is stopped. */
class SteadyPublisher {
  /** The last number that was sent. */
  last = 0;
  readonly #client: RawClient;
  readonly #running: Promise<void>;
  #isStopped = false;

  constructor(client: RawClient) {
    this.#client = client;
    this.#running = this.#run();
  }

  /** Resolves once so many more are acknowledged. */
  async more(count: number): Promise<void> {
    const target = this.last + count;
    await until(`${count} more`, () => this.last > target || undefined);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.last += 1;
      await this.#client.publish('secret/x', String(this.last), { qos: 1 });
    }
  }
}

/** Takes all that the broker has for a client. @returns the numbers of the publishes among it. */
async function numbersOf(client: RawClient): Promise<readonly number[]> {
  return (await takeAll(client)).map(({ payload }) => Number(Buffer.from(payload).toString()));
}

const WAYS = ([3, 4, 5] as const).flatMap((version) =>
  ([0, 1, 2] as const).flatMap((qos) =>
    ['secret/x', 'secret/#', '+/x', `$share/${version}${qos}/secret/x`].map((filter) => ({ version, qos, filter })),
  ),
);

/** Clients of one user with subscriptions of every kind. */
async function subscribers(broker: TestBroker, username: string): Promise<readonly RawClient[]> {
  const clients: RawClient[] = [];
  for (const { version, qos, filter } of WAYS) {
    const client = await connect(broker, username, version);
    const isShared = filter.startsWith('$share');
    await client.subscribe(isShared ? filter.replace('/', `/${username}`) : filter, qos);
    clients.push(client);
  }
  return clients;
}

describe('rules that are read anew', () => {
  test('let nothing more through to who lost the right, and all to who has it', async () => {
    await using broker = await startTestBroker({ config, logger });
    const ann = await subscribers(broker, 'ann');
    const bob = await subscribers(broker, 'bob');
    const publisher = new SteadyPublisher(await connect(broker, 'root'));
    let judged = 0;
    for (let round = 0; round < 5; round++) {
      await publisher.more(20);
      files.write('rules.json', rulesFor(LITTLE));
      expect(await broker.broker.reload()).toBe(true);
      const marker = publisher.last;
      await publisher.more(50);
      for (const client of ann) {
        const numbers = await numbersOf(client);
        expect(numbers.length).toBeGreaterThan(0);
        expect(Math.max(...numbers), client.name).toBeLessThanOrEqual(marker);
        judged += 1;
      }
      // Its subscriptions are gone for good: rights that come back do not bring them back.
      files.write('rules.json', rulesFor(ALL));
      expect(await broker.broker.reload()).toBe(true);
      await publisher.more(10);
      for (const [index, client] of ann.entries()) {
        expect(await numbersOf(client)).toEqual([]);
        const { filter, qos } = WAYS[index] as (typeof WAYS)[number];
        await client.subscribe(filter.startsWith('$share') ? filter.replace('/', '/ann') : filter, qos);
      }
    }
    await publisher.stop();
    for (const client of bob) {
      const numbers = await numbersOf(client);
      expect(numbers).toEqual(Array.from({ length: publisher.last }, (_, index) => index + 1));
    }
    expect(judged).toBe(5 * WAYS.length);
  });

  test.each([3, 4, 5] as const)(
    'refuse publishes and subscriptions of who is connected, version %s',
    async (version) => {
      await using broker = await startTestBroker({ config, logger });
      const watcher = await connect(broker, 'bob');
      await watcher.subscribe('#', 2);
      const client = await connect(broker, 'ann', version);
      // The rule that allowed this one is remembered by then.
      await client.publish('secret/y', 'before', { qos: 1 });
      await watcher.expectMessage({ payload: 'before' });
      files.write('rules.json', rulesFor(LITTLE));
      await broker.broker.reload();
      const reasonCode = version === 5 ? 0x87 : 0;
      client.sendPublish('secret/y', 'after');
      const first = client.sendPublish('secret/y', 'after', { qos: 1 });
      await client.expect(PacketType.puback, { packetId: first, reasonCode });
      const second = client.sendPublish('secret/y', 'after', { qos: 2, retain: true });
      await client.expect(PacketType.pubrec, { packetId: second, reasonCode });
      client.sendSubscribe('secret/y');
      await client.expect(PacketType.suback, { reasonCodes: [version === 5 ? 0x87 : 0x80] });
      await client.publish('public/y', 'allowed', { qos: 1 });
      await watcher.expectMessage({ payload: 'allowed' });
      await watcher.expectNothing();
    },
  );

  test.each(['queue', 'retained'] as const)('stop what waits behind a Receive Maximum of 1: %s', async (what) => {
    await using broker = await startTestBroker({ config, logger });
    const publisher = await connect(broker, 'root');
    const client = await broker.connect({
      username: 'ann',
      password: PASSWORDS.get('ann') ?? '',
      properties: { receiveMaximum: 1 },
    });
    const isRetained = what === 'retained';
    if (!isRetained) await client.subscribe(['secret/#', 'public/#'], 1);
    for (let i = 1; i <= 50; i++) {
      const topic = `${i > 40 ? 'secret' : 'public'}/${i}`;
      await publisher.publish(topic, String(i), { qos: 1, retain: isRetained });
      await publisher.publish(`secret/a${i}`, String(100 + i), { qos: 1, retain: isRetained });
    }
    if (isRetained) await client.subscribe(['secret/#', 'public/#'], 1);
    const { packetId, payload } = await client.expectPublish();
    const isSecret = Number(Buffer.from(payload).toString()) > 40;
    files.write('rules.json', rulesFor(LITTLE));
    await broker.broker.reload();
    client.sendAck(PacketType.puback, packetId);
    const numbers = [...(await numbersOf(client)), ...(isSecret ? [] : [1])];
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  });

  test('take effect by themselves when the file is replaced or written to', async () => {
    await using broker = await startTestBroker({ config, logger });
    const publisher = new SteadyPublisher(await connect(broker, 'root'));
    const noticed: number[] = [];
    for (let round = 0; round < 5; round++) {
      lines.length = 0;
      files.write('rules.json', rulesFor(ALL));
      await until('the file is read', () => lines.some((line) => line.includes('read anew')) || undefined);
      const client = await connect(broker, 'ann');
      await client.subscribe('secret/#', 1);
      await publisher.more(5);
      const ended = new Promise<void>((resolve) => {
        broker.on('unsubscribed', ({ clientId }) => clientId === client.name && resolve());
      });
      const since = performance.now();
      files.write('rules.json', rulesFor(LITTLE));
      await ended;
      noticed.push(Math.round(performance.now() - since));
      const marker = publisher.last;
      await publisher.more(20);
      expect(Math.max(...(await numbersOf(client)))).toBeLessThanOrEqual(marker);
    }
    await publisher.stop();
    console.log(`a replaced file of rules is in force after ${noticed.join(', ')} ms`);
  });

  test('that cannot be used leave those before in force, and the log says where they are wrong', async () => {
    await using broker = await startTestBroker({ config, logger });
    files.write('rules.json', rulesFor(LITTLE));
    expect(await broker.broker.reload()).toBe(true);
    const client = await connect(broker, 'ann');
    for (const text of [
      '{"roles": {\n"all": [{"allow": "everything", "topics": ["#"]}]}}',
      '{"roles":\n',
      '',
      'topic read #\n',
    ]) {
      const path = files.write('rules.json', text);
      lines.length = 0;
      expect(await broker.broker.reload(), text).toBe(false);
      expect(lines.join('\n')).toContain(text === '' ? path : `${path}:`);
      client.sendSubscribe('secret/x');
      await client.expect(PacketType.suback, { reasonCodes: [0x87] });
    }
    files.write('rules.json', rulesFor(ALL));
    expect(await broker.broker.reload()).toBe(true);
    await client.subscribe('secret/x');
  });
});

describe('a user who is removed', () => {
  async function remove(broker: TestBroker, username: string): Promise<void> {
    files.writeUsers(new Map([...PASSWORDS].filter(([user]) => user !== username)));
    expect(await broker.broker.reload()).toBe(true);
  }

  test('is not let in by a password that was looked at before', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<boolean>();
    const authorize: Hooks['authorize'] = (_client, { action }) => {
      if (action !== 'will') return true;
      asked.resolve();
      return answer.promise;
    };
    await using broker = await startTestBroker({ config, logger, hooks: { authorize } });
    const client = await broker.open();
    client.sendConnect({ username: 'ann', password: PASSWORDS.get('ann') ?? '', will: { topicName: 'will' } });
    await asked.promise;
    await remove(broker, 'ann');
    answer.resolve(true);
    await client.expectConnack(0x86);
  });

  test.each([0, 10])('leaves no will that is published in its name, with a delay of %i s', async (delay) => {
    await using broker = await startTestBroker({ config, logger });
    const watcher = await connect(broker, 'bob');
    await watcher.subscribe('will/#', 1);
    const wills: RawClient[] = [];
    for (const username of ['ann', 'root']) {
      const client = await broker.connect({
        username,
        password: PASSWORDS.get(username) ?? '',
        properties: { sessionExpiryInterval: delay === 0 ? 0 : 1 },
        will: { topicName: `will/${username}`, properties: { willDelayInterval: delay } },
      });
      if (delay > 0) client.destroy();
      wills.push(client);
    }
    await remove(broker, 'ann');
    for (const client of wills) client.destroy();
    await watcher.expectMessage({ topicName: 'will/root' });
    await watcher.expectNothing();
    expect(lines.join('\n')).toContain('the user is not known any more');
  });
});
