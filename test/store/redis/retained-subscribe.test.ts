import { expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { retained } from '../../contract/store-records.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';
import { startTestBroker } from '../../support/test-broker.ts';

const RETAINED = 10_000;
/** Commands that look through many keys or a whole hash or set. */
const SCANS = ['keys', 'scan', 'hscan', 'sscan', 'zscan', 'hgetall', 'hkeys', 'hvals', 'smembers'];

/** How often Redis has run each command. */
async function commandsOf(server: RedisServer): Promise<Map<string, number>> {
  const stats = await server.client().info('commandstats');
  const calls = stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gmu);
  return new Map([...calls].map(([, name, count]) => [name as string, Number(count)]));
}

test.skipIf(redisMissing !== '')('a wildcard subscription finds what is retained without a scan of Redis', async () => {
  await using server = await RedisServer.start();
  const makeStore = (): RedisStore => {
    const times = { leaseMs: 60_000, timeoutMs: 60_000 };
    const options = { prefix: 'trellis', nodeId: 'n', waitReplicas: 0, ...times, logger: SILENT };
    return new RedisStore({ address: parseRedisUrl(server.url), ...options });
  };
  const filling = makeStore();
  await filling.open();
  await filling.commit(Array.from({ length: RETAINED }, (_, at) => retained(`t/${at % 100}/${at}`, `${at}`)));
  await filling.close();

  await using broker = await startTestBroker({ store: makeStore() });
  const client = await broker.connect({ clientId: 'a', properties: { sessionExpiryInterval: 600 } });
  const before = await commandsOf(server);
  // They were read when the broker was started: the test would see it if it happened again.
  expect(before.get('hscan')).toBeGreaterThan(0);
  await client.subscribe('#', 1);
  const topics = new Set<string>();
  while (topics.size < RETAINED) {
    topics.add((await client.expectMessage({ qos: 1, retain: true })).topicName);
  }
  await client.ping();
  const after = await commandsOf(server);
  const added = SCANS.map((name) => [name, (after.get(name) ?? 0) - (before.get(name) ?? 0)]);
  expect(added).toEqual(SCANS.map((name) => [name, 0]));
  // What the subscription did do is store itself.
  expect((after.get('evalsha') ?? 0) - (before.get('evalsha') ?? 0)).toBeGreaterThan(0);
});
