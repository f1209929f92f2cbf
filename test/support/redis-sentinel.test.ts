import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { RedisSentinel } from './redis-sentinel.ts';
import { until } from './polling.ts';
import { redisMissing } from './redis-server.ts';

test.skipIf(redisMissing)(
  `sentinels come up, name the master, and put a replica in the place of a dead one ${redisMissing}`,
  async () => {
    await using group = await RedisSentinel.start({ config: ['requirepass secret'] });
    const first = await group.master();
    expect(first).toBe(group.servers[0]);
    await first.client().set('a', '1');
    expect(await first.client().wait(2, 10_000)).toBe(2);

    await first.kill();
    const second = await group.masterAfter(first);
    expect(await group.master()).toBe(second);
    expect(await second.client().get('a')).toBe('1');

    const client = new Redis({ sentinels: group.sentinels, name: group.name, password: 'secret' });
    try {
      await client.set('b', '2');
    } finally {
      client.disconnect();
    }
    await first.restart();
    await until('the old master as a replica', async () => (await first.client().get('b')) === '2' || undefined);
  },
);
