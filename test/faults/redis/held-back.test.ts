import { expect, test } from 'vitest';
import { PacketType } from '../../../src/protocol/packets.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisStore } from '../../../src/store/redis/redis-store.ts';
import { expectBalanced } from '../../support/balance.ts';
import { until } from '../../support/polling.ts';
import { redisMissing, RedisServer } from '../../support/redis-server.ts';
import { SILENT } from '../../support/silent-logger.ts';
import { startTestBroker } from '../../support/test-broker.ts';

const PUBLISHERS = 4;
const MESSAGES = 300;
const PAYLOAD = Buffer.alloc(64 * 1024, 'x');
/** What all of them send is several times as much. */
const TAKEN_MAX = 40 * 1024 * 1024;

test.skipIf(redisMissing !== '')(
  'publishers that do not wait for acknowledgements are held back while Redis is away, and get them all when it is back',
  async () => {
    await using redis = await RedisServer.start();
    const address = parseRedisUrl(redis.url);
    const options = { prefix: 'trellis', nodeId: 'n', waitReplicas: 0, leaseMs: 10_000, timeoutMs: 500 };
    const store = new RedisStore({ address, ...options, logger: SILENT });
    await using broker = await startTestBroker({ store, config: { session: { queueBytesMax: 2 ** 30 } } });
    const taker = await broker.connect({ name: 'taker', properties: { sessionExpiryInterval: 3600 } });
    await taker.subscribe([{ topicFilter: 'flood/#', qos: 1 }]);
    await taker.disconnect();
    const speaker = await broker.connect({ name: 'speaker' });
    const listener = await broker.connect({ name: 'listener' });
    await listener.subscribe('talk');
    const publishers = await Promise.all(
      Array.from({ length: PUBLISHERS }, (_, index) => broker.connect({ name: `publisher-${index}`, version: 4 })),
    );
    const taken = (): number => broker.broker.counters().traffic.payloadBytesReceived;

    redis.pause();
    for (let count = 0; count < MESSAGES; count++) {
      for (const publisher of publishers) publisher.sendPublish(`flood/${publisher.name}`, PAYLOAD, { qos: 1 });
    }
    // Everything that is going to be read has been when a while of talk finds nothing more.
    for (let before = -1, said = 0; before !== taken(); ) {
      before = taken();
      for (let end = said + 100; said < end; said++) {
        speaker.sendPublish('talk', '');
        await listener.expectPublish({ topicName: 'talk' });
      }
    }
    expect(taken()).toBeGreaterThan(0);
    expect(taken()).toBeLessThan(TAKEN_MAX);
    await until('the broker to notice', () => (store.isReady ? undefined : true));

    redis.resume();
    for (const publisher of publishers) {
      for (let count = 0; count < MESSAGES; count++) await publisher.expect(PacketType.puback);
    }
    expect(broker.broker.counters().messages.queued).toBe(PUBLISHERS * MESSAGES);
    expectBalanced(broker.broker);
  },
);
