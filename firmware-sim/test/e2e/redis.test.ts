import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { redisMissing, RedisServer } from '../../../test/support/redis-server.ts';
import { run } from '../../src/run/runner.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { expectFaultless, SCENARIO_TIMEOUT_MS, scenarios } from './scenarios.ts';

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

  test.each(scenarios({ tour: 10, 'kill-broker': 15 }))(
    '%s',
    async (name, durationSeconds) => {
      await redis.client().flushall();
      const options = { threads: 0, command: [], interrupt: new AbortController().signal };
      expectFaultless(name, await run(loadScenario(name, { durationSeconds }), options));
      // Whether it was this Redis.
      expect(await redis.client().get('{trellis}:incarnations')).not.toBeNull();
    },
    SCENARIO_TIMEOUT_MS,
  );
});
