import type { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { RemoteTable } from '../../../src/cluster/remote-table.ts';
import { Message } from '../../../src/protocol/message.ts';
import { RedisKeys } from '../../../src/store/redis/redis-keys.ts';
import type { StateReader } from '../../../src/store/redis/state-reader.ts';
import { TopologyReader } from '../../../src/store/redis/topology-reader.ts';
import type { Topology } from '../../../src/store/shared-store.ts';
import { StoreError } from '../../../src/store/store.ts';
import { encodeChanges } from '../../../src/store/topology-change.ts';

const keys = new RedisKeys('trellis');

/** A stored session of one subscription, and a Redis in which it moves from one node to another while it is looked for. */
class MovingSession {
  owner = 'b';
  version = 4;
  readonly reads: string[] = [];

  get(): Promise<string> {
    return Promise.resolve(`${this.version}`);
  }

  hkeys(): Promise<string[]> {
    return Promise.resolve(['a', 'b', 'me']);
  }

  smembers(key: string): Promise<string[]> {
    this.reads.push(key);
    const clientIds = key === keys.own(this.owner) ? ['x'] : [];
    // It is not with a any more when a was asked, and not with b when b is.
    if (key === keys.own('a')) {
      this.owner = 'a';
      this.version = 5;
    }
    return Promise.resolve(clientIds);
  }

  hgetallBuffer(): Promise<Record<string, Buffer>> {
    return Promise.resolve({});
  }

  xrangeBuffer(key: string, from: string): Promise<[Buffer, Buffer[]][]> {
    expect([key, from]).toEqual([keys.changes, '(4-0']);
    if (this.version < 5) return Promise.resolve([]);
    const change = encodeChanges([{ kind: 'session-moved', clientId: 'x', nodeId: 'a' }]);
    return Promise.resolve([[Buffer.from('5-0'), [Buffer.from('c'), change]]]);
  }

  readSessions(clientIds: readonly string[]): Promise<unknown> {
    const record = { topicFilter: 't', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 };
    return Promise.resolve({
      sessions: clientIds.map((clientId) => ({ clientId, queueId: 7 })),
      subscriptions: clientIds.map((clientId) => ({ clientId, record: { ...record, subscriptionIdentifier: 0 } })),
    });
  }
}

const replication = { confirmed: <T>(call: () => Promise<T>): Promise<T> => call() };

describe('TopologyReader', () => {
  test('finds a session that moved to a node whose sessions had been read already', async () => {
    const table = new RemoteTable('me', { overlap: 'once' }, () => false);
    const topology = {
      get version() {
        return table.version;
      },
      apply: (changes, version) => table.apply(changes, version),
      load: (changes, version) => {
        table.clear();
        table.apply(changes, version);
      },
    } satisfies Partial<Topology> as unknown as Topology;
    const moving = new MovingSession();
    const redis = moving as unknown as Redis;
    const states = moving as unknown as StateReader;
    const reader = new TopologyReader({ redis, keys, states, replication, topology });
    await reader.load();
    expect(moving.reads).toContain(keys.own('b'));
    expect(reader.take(await moving.xrangeBuffer(keys.changes, '(4-0'))).toBe(true);
    const message = new Message({ topicName: 't', payload: Buffer.from('m'), qos: 1, publisherId: 'p' });
    expect(table.match(message).entries).toMatchObject([{ queueId: 7, nodeId: 'a' }]);
  });

  test('takes damage for damage, which is not looked at again and again', () => {
    const topology = { version: 4, apply: () => {} } as unknown as Topology;
    const reader = new TopologyReader({
      redis: {} as unknown as Redis,
      keys,
      states: {} as unknown as StateReader,
      replication,
      topology,
    });
    const entry = [Buffer.from('5-0'), [Buffer.from('c'), Buffer.from([9, 9, 9])]] as const;
    expect(() => reader.take([entry])).toThrow(StoreError);
    expect(() => reader.take([entry])).toThrow('A change of the topology in Redis is damaged');
  });
});
