import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { redisMissing, RedisServer } from '../../../test/support/redis-server.ts';
import { faults } from '../../src/checker/witness.ts';
import { run } from '../../src/run/runner.ts';
import { loadScenario } from '../../src/scenario/load.ts';

/** Seconds that each scenario is played for; what has none is played at length only, for TRELLIS_FAULT_SECONDS. */
const SECONDS: ReadonlyMap<string, number | undefined> = new Map([
  ['tour', 10],
  ['kill-broker', 15],
  ['smart-home', undefined],
  ['factory', undefined],
  ['trackers', undefined],
  ['firmware-rollout', undefined],
  ['dashboard-wall', undefined],
]);
const LONG_SECONDS = Number(process.env['TRELLIS_FAULT_SECONDS'] ?? 0);
const VARIABLES = ['TRELLIS_STORE__TYPE', 'TRELLIS_REDIS__URL', 'TRELLIS_CLUSTER__NODE_ID'];

// All of them, for longer: TRELLIS_FAULT_SECONDS=120 npx vitest run --project all firmware-sim/test/e2e/redis.test.ts
describe.skipIf(redisMissing !== '')('no fault is found in a Trellis with its state in Redis:', () => {
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await RedisServer.start({ config: ['appendonly yes'] });
    // The broker that a run starts takes them over. A name of its own: with the first start its port is not known yet.
    for (const [index, value] of ['redis', redis.url, 'sim'].entries()) process.env[VARIABLES[index] as string] = value;
  });

  afterAll(async () => {
    for (const name of VARIABLES) delete process.env[name];
    await redis.stop();
  });

  const runs = [...SECONDS].map(([name, seconds]) => [name, Math.max(seconds ?? 0, LONG_SECONDS)] as const);
  test.each(runs.filter(([, seconds]) => seconds > 0))(
    '%s',
    async (name, durationSeconds) => {
      await redis.client().flushall();
      const options = { threads: 0, command: [], interrupt: new AbortController().signal };
      const { delivery, thresholds, broker } = await run(loadScenario(name, { durationSeconds }), options);
      const counts = faults.map((fault) => [fault, delivery.faults[fault].total] as const);
      expect(
        counts.filter(([, total]) => total > 0),
        JSON.stringify(delivery.examples.slice(0, 5)),
      ).toEqual([]);
      expect(thresholds.filter(({ holds }) => !holds)).toEqual([]);
      expect(delivery.counts.outstanding).toEqual([0, 0, 0]);
      if (name === 'kill-broker') expect(broker.kills).toBeGreaterThan(0);
      // Whether it was this Redis.
      expect(await redis.client().get('{trellis}:incarnations')).not.toBeNull();
    },
    240_000 + 4_000 * LONG_SECONDS,
  );
});
