import { describe, expect, test } from 'vitest';
import { ClusterTopics } from '../../src/admin/cluster-topics.ts';
import type { SysFigures } from '../../src/admin/sys-topics.ts';
import { parseRedisUrl } from '../../src/store/redis/redis-address.ts';
import { RedisStore } from '../../src/store/redis/redis-store.ts';
import { until } from '../support/polling.ts';
import { redisMissing, RedisServer } from '../support/redis-server.ts';
import { SILENT } from '../support/silent-logger.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const PREFIX = '$SYS/broker/cluster/';

function figures(some: Partial<SysFigures> = {}): SysFigures {
  return {
    version: 'Trellis 1.2.3',
    uptimeSeconds: 60,
    clientsConnected: 0,
    clientsDisconnected: 0,
    clientsMaximum: 0,
    clientsExpired: 0,
    messagesReceived: 0,
    messagesSent: 0,
    bytesReceived: 0,
    bytesSent: 0,
    publishesReceived: 0,
    publishesSent: 0,
    publishesDropped: 0,
    publishBytesReceived: 0,
    publishBytesSent: 0,
    messagesStored: 0,
    messagesStoredBytes: 0,
    retainedMessages: 0,
    subscriptions: 0,
    sharedSubscriptions: 0,
    heapBytes: 0,
    limits: {},
    ...some,
  };
}

/** What a node has told, as it lies in the store. */
function told(some: Partial<SysFigures> = {}): string {
  return JSON.stringify(figures(some));
}

/** The topics of one node beside others that a test makes up. */
class FakeCluster {
  /** What is published and retained below the prefix. */
  readonly retained: Map<string, string> = new Map();
  /** All that was published, in turn. */
  published: string[] = [];
  readonly others: Map<string, string> = new Map();
  readonly calls: PromiseWithResolvers<void>[] = [];
  readonly topics: ClusterTopics;

  constructor() {
    const share = async (own: string): Promise<ReadonlyMap<string, string>> => {
      const call = Promise.withResolvers<void>();
      this.calls.push(call);
      await call.promise;
      return new Map([['own', own], ...this.others]);
    };
    const publish = (topicName: string, payload: string): void => {
      this.published.push(topicName);
      if (payload === '') this.retained.delete(topicName);
      else this.retained.set(topicName, payload);
    };
    this.topics = new ClusterTopics(share, publish, SILENT);
  }

  get(topic: string): string | undefined {
    return this.retained.get(PREFIX + topic);
  }

  /** One interval that the store answers. */
  async update(own: SysFigures = figures()): Promise<void> {
    this.published = [];
    this.topics.update(own);
    this.calls.at(-1)?.resolve();
    await settled();
  }
}

/** Everything that waits for a promise that is settled has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe('the $SYS topics of a cluster', () => {
  test('name the nodes, and show the figures of each and their sums', async () => {
    const cluster = new FakeCluster();
    cluster.others.set('b', told({ clientsConnected: 5, clientsDisconnected: 2, messagesSent: 100, uptimeSeconds: 7 }));
    await cluster.update(figures({ clientsConnected: 3, messagesSent: 11, publishesDropped: 4 }));
    expect(cluster.get('nodes/count')).toBe('2');
    expect(cluster.get('nodes')).toBe('b,own');
    expect(cluster.get('nodes/b/uptime')).toBe('7 seconds');
    expect(cluster.get('nodes/own/clients/connected')).toBe('3');
    expect(cluster.get('nodes/b/clients/connected')).toBe('5');
    expect(cluster.get('nodes/own/publish/messages/dropped')).toBe('4');
    expect(cluster.get('clients/connected')).toBe('8');
    expect(cluster.get('clients/total')).toBe('10');
    expect(cluster.get('messages/sent')).toBe('111');
  });

  test('count retained messages once, as each node has all of them', async () => {
    const cluster = new FakeCluster();
    cluster.others.set('b', told({ messagesStored: 1_020, retainedMessages: 1_000 }));
    await cluster.update(figures({ messagesStored: 1_003, retainedMessages: 1_000 }));
    expect(cluster.get('nodes/b/messages/stored')).toBe('1020');
    expect(cluster.get('messages/stored')).toBe('1023');
  });

  test('are published where they changed only', async () => {
    const cluster = new FakeCluster();
    cluster.others.set('b', told());
    await cluster.update();
    expect(cluster.published.length).toBeGreaterThan(10);
    cluster.others.set('b', told({ messagesReceived: 1 }));
    await cluster.update();
    expect(cluster.published).toEqual([`${PREFIX}nodes/b/messages/received`, `${PREFIX}messages/received`]);
  });

  test('of a node that is gone are removed', async () => {
    const cluster = new FakeCluster();
    cluster.others.set('b', told());
    await cluster.update();
    cluster.others.delete('b');
    await cluster.update();
    expect([...cluster.retained.keys()].filter((topic) => topic.startsWith(`${PREFIX}nodes/b/`))).toEqual([]);
    expect(cluster.get('nodes')).toBe('own');
    expect(cluster.get('nodes/count')).toBe('1');
  });

  test('have node ids with what no topic level may hold percent-encoded, each its own', async () => {
    const cluster = new FakeCluster();
    for (const nodeId of ['host:1883/1', 'host:1883%2F1', 'a+#,b', '__proto__', 'käse\u0001']) {
      cluster.others.set(nodeId, told({ clientsConnected: 1 }));
    }
    await cluster.update();
    const levels = ['__proto__', 'a%2B%23%2Cb', 'host:1883%252F1', 'host:1883%2F1', 'käse%01', 'own'];
    expect(cluster.get('nodes')).toBe(levels.join(','));
    for (const level of levels) expect(cluster.get(`nodes/${level}/clients/connected`)).toBeDefined();
    expect(cluster.get('clients/connected')).toBe('5');
  });

  test('show a node that told nothing, or what nobody can read, by its name only', async () => {
    const cluster = new FakeCluster();
    const unreadable = ['', '{', 'null', '7', '[1]', '{"clientsConnected":"1"}', '{"clientsConnected":1e999}'];
    for (const [index, text] of unreadable.entries()) cluster.others.set(`n${index}`, text);
    await cluster.update(figures({ clientsConnected: 2 }));
    expect(cluster.get('nodes/count')).toBe(String(unreadable.length + 1));
    expect(cluster.get('clients/connected')).toBe('2');
    const ofOthers = [...cluster.retained.keys()].filter((topic) => topic.startsWith(`${PREFIX}nodes/n`));
    expect(ofOthers).toEqual([]);
  });

  test('stay as they are while the store does not answer, and are asked for once at a time', async () => {
    const cluster = new FakeCluster();
    await cluster.update(figures({ clientsConnected: 1 }));
    cluster.topics.update(figures({ clientsConnected: 2 }));
    cluster.topics.update(figures({ clientsConnected: 3 }));
    expect(cluster.calls.length).toBe(2);
    cluster.calls[1]?.reject(new Error('Redis is away'));
    await settled();
    expect(cluster.get('clients/connected')).toBe('1');
    await cluster.update(figures({ clientsConnected: 4 }));
    expect(cluster.get('clients/connected')).toBe('4');
  });

  test('are not published any more once they are closed', async () => {
    const cluster = new FakeCluster();
    cluster.topics.update(figures());
    cluster.topics.close();
    cluster.calls[0]?.resolve();
    await settled();
    cluster.topics.update(figures());
    expect([cluster.published.length, cluster.calls.length]).toEqual([0, 1]);
  });
});

function storeOf(redis: RedisServer, nodeId: string, leaseMs: number): RedisStore {
  const options = { prefix: 'trellis', nodeId, waitReplicas: 0, leaseMs, timeoutMs: 60_000 };
  return new RedisStore({ address: parseRedisUrl(redis.url), ...options, logger: SILENT });
}

function node(redis: RedisServer, nodeId: string, leaseMs = 60_000): Promise<TestBroker> {
  return startTestBroker({ store: storeOf(redis, nodeId, leaseMs), config: { admin: { sysIntervalSeconds: 1 } } });
}

/** What a broker retains below the prefix, kept up to date. */
function watch({ broker }: TestBroker): ReadonlyMap<string, string> {
  const retained = new Map<string, string>();
  broker.subscribe(`${PREFIX}#`, (message) => {
    const topic = message.topicName.slice(PREFIX.length);
    if (message.payload.length === 0) retained.delete(topic);
    else retained.set(topic, Buffer.from(message.payload).toString());
  });
  return retained;
}

const HASH = '{trellis}:figures';
const topicsOfNode = (seen: ReadonlyMap<string, string>, level: string): string[] =>
  [...seen.keys()].filter((topic) => topic.startsWith(`nodes/${level}/`));

describe.skipIf(redisMissing !== '')('two brokers on one Redis', () => {
  test('each shows the figures of both, and those of the other go with it', async () => {
    await using redis = await RedisServer.start();
    await using first = await node(redis, 'first');
    const seen = watch(first);
    const second = await node(redis, 'second/2');
    const seenBySecond = watch(second);
    await first.connect({ name: 'one' });
    await second.connect({ name: 'two' });
    await second.connect({ name: 'three' });
    for (const topics of [seen, seenBySecond]) {
      await until('all three clients to be counted', () =>
        topics.get('clients/connected') === '3' ? true : undefined,
      );
      expect(topics.get('nodes')).toBe('first,second%2F2');
      expect(topics.get('nodes/first/clients/connected')).toBe('1');
      expect(topics.get('nodes/second%2F2/clients/connected')).toBe('2');
    }
    await second.close();
    expect(await redis.client().hkeys(HASH)).toEqual(['first']);
    await until('the other to be gone', () => (seen.get('nodes') === 'first' ? true : undefined));
    expect(topicsOfNode(seen, 'second%2F2')).toEqual([]);
    await until('its clients to be gone', () => (seen.get('clients/connected') === '1' ? true : undefined));
    await first.close();
    expect(await redis.client().exists(HASH)).toBe(0);
  });

  test('the figures of one whose lease has ended go when its place is taken', async () => {
    await using redis = await RedisServer.start();
    await using first = await node(redis, 'first', 2_000);
    const seen = watch(first);
    // As one that a killed process has left.
    await redis.client().set('{trellis}:lease:dead', 0);
    await redis.client().hset('{trellis}:node:dead', { incarnation: 0, batch: 0 });
    await redis.client().hset('{trellis}:nodes', 'dead', JSON.stringify({ host: 'elsewhere', pid: 1 }));
    await redis.client().hset(HASH, 'dead', told({ clientsConnected: 9 }));
    await until('the dead node to be shown', () => (seen.get('clients/connected') === '9' ? true : undefined));
    await redis.client().del('{trellis}:lease:dead');
    await until('the dead node to be given up', () => (seen.get('nodes') === 'first' ? true : undefined));
    expect(topicsOfNode(seen, 'dead')).toEqual([]);
    expect(await redis.client().hkeys(HASH)).toEqual(['first']);
  });

  test('a node that was given up tells no figures any more, nor one that has ended', async () => {
    await using redis = await RedisServer.start();
    const store = storeOf(redis, 'late', 60_000);
    await store.open();
    expect(await store.shareFigures('{}')).toEqual(new Map([['late', '{}']]));
    await redis.client().del(HASH);
    await redis.client().hset('{trellis}:node:late', 'incarnation', 999);
    await expect(store.shareFigures('{}')).rejects.toThrow('FENCED');
    await store.close();
    await expect(store.shareFigures('{}')).rejects.toThrow('not open');
    expect(await redis.client().exists(HASH)).toBe(0);
  });

  test('what an earlier start of a node has told is gone when it starts again', async () => {
    await using redis = await RedisServer.start();
    await redis.client().hset(HASH, 'n', told());
    const store = storeOf(redis, 'n', 60_000);
    await store.open();
    expect(await redis.client().exists(HASH)).toBe(0);
    await store.close();
  });
});
