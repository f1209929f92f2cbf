import { expect, test } from 'vitest';
import { RedisCluster, type SlotMoveStep } from './redis-cluster.ts';
import { redisMissing } from './redis-server.ts';

test.skipIf(redisMissing)(
  `a cluster comes up, moves a slot step by step, and elects a replica in place of a dead master ${redisMissing}`,
  async () => {
    await using cluster = await RedisCluster.start({ config: ['requirepass secret'] });
    const key = '{trellis}:a';
    const slot = await cluster.slotOf(key);
    const from = await cluster.slotOwner(key);
    await from.client().mset(key, '1', '{trellis}:b', '2');
    const to = cluster.nodes.slice(0, 3).find((node) => node !== from)!;

    const steps: SlotMoveStep[] = [];
    await cluster.moveSlot(slot, from.port, to.port, {
      onStep: async (step) => {
        steps.push(step);
        const read = from.client().mget(key, '{trellis}:b');
        if (step === 'announced') expect(await read).toEqual(['1', '2']);
        else
          await expect(read).rejects.toThrow(
            { 'keys-moved': /TRYAGAIN|ASK/, taken: /ASK|MOVED/, given: /MOVED/ }[step],
          );
      },
    });
    expect(steps).toEqual(['announced', 'keys-moved', 'keys-moved', 'taken', 'given']);
    expect(await cluster.slotOwner(key)).toBe(to);
    expect(await to.client().mget(key, '{trellis}:b')).toEqual(['1', '2']);

    expect(await to.client().wait(1, 10_000)).toBe(1);
    await to.kill();
    const elected = await cluster.slotOwner(key);
    expect(elected).toBe(cluster.nodes[cluster.nodes.indexOf(to) + 3]);
    expect(await elected.client().get(key)).toBe('1');
  },
);
