import { afterEach, expect, it } from 'vitest';
import { type Fault, faults, type Verdict } from '../src/checker/witness.ts';
import type { Plant } from './faulty-broker/planter.ts';
import { allows, delay, die, doze, live, livePlants, look, rove } from './proof/activities.ts';
import { ProofScene } from './proof/proof-scene.ts';

/** What the checker has to call it. */
const faultOf: Readonly<Record<Plant, Fault | undefined>> = {
  lose: 'lost',
  duplicate: 'duplicated',
  repeat: undefined, // QoS 1 may come again: counted apart
  reorder: 'reordered',
  corrupt: 'corrupted',
  leak: 'leaked',
  phantom: 'phantom',
  'wrong-topic': 'phantom',
  'stale-retained': 'retained',
  'no-retained': 'retained',
  'no-will': 'will',
  'second-will': 'will',
  'clean-will': 'will',
  'session-lost': 'sessionPresent',
  'session-invented': 'sessionPresent',
  late: 'late',
};

const plants = Object.keys(faultOf) as Plant[];

type Times = Partial<Record<Plant, number>>;

type ClientKind = 'packet' | 'mqttjs';

/** Seeds for both kinds of clients. */
const seeds = [
  [1, 'packet'],
  [2, 'packet'],
  [3, 'packet'],
  [4, 'mqttjs'],
] as const;

const scenes: ProofScene[] = [];

afterEach(async () => {
  for (const scene of scenes.splice(0)) await scene.stop();
});

async function sceneOf(seed: number, times: Times, client: ClientKind = 'packet'): Promise<ProofScene> {
  const scene = new ProofScene({ seed, times, allows, client });
  scenes.push(scene);
  await scene.broker.up();
  return scene;
}

/** The faults of a verdict that are not 0, with the examples for whoever has to look into it. */
function found(verdict: Verdict): Record<string, number> {
  return Object.fromEntries(
    faults.map((fault): [string, number] => [fault, verdict.faults[fault].total]).filter(([, total]) => total > 0),
  );
}

function expectPlanted(scene: ProofScene, verdict: Verdict, times: Times): void {
  const { planter } = scene.broker.router;
  expect(planter.left, 'all was planted').toEqual([]);
  const expected: Record<string, number> = {};
  for (const [plant, number] of Object.entries(times) as [Plant, number][]) {
    const fault = faultOf[plant];
    if (fault !== undefined) expected[fault] = (expected[fault] ?? 0) + number;
  }
  expect(found(verdict), JSON.stringify(verdict.examples, undefined, 1)).toEqual(expected);
}

async function act(scene: ProofScene, times: Times): Promise<void> {
  const has = (...some: readonly Plant[]): boolean => some.some((plant) => times[plant] !== undefined);
  await Promise.all([
    live(scene, 5),
    has('session-lost', 'session-invented') && doze(scene, 3),
    has('no-will', 'second-will', 'clean-will') && die(scene, 3),
    has('no-retained', 'stale-retained') && look(scene, 3),
  ]);
  await scene.drained();
  if (has('late')) await delay(scene);
  await scene.drained();
}

it.each(plants.flatMap((plant) => [1, 2, 3].map((seed) => [plant, seed] as const)))(
  'finds each %s of a broker, and nothing else (seed %i)',
  async (plant, seed) => {
    const times = { [plant]: 2 + 3 * seed };
    const scene = await sceneOf(seed, times);
    await act(scene, times);
    const verdict = await scene.verdict();
    expectPlanted(scene, verdict, times);
    const repeats = times.repeat ?? 0;
    expect(verdict.counts.repeated).toEqual({ total: repeats, withoutDup: repeats });
  },
);

it.each(seeds)(
  'finds each of many faults of all kinds at once, by QoS and class (seed %i, %s)',
  async (seed, client) => {
    const times: Times = {};
    for (const [place, plant] of plants.entries()) times[plant] = 3 + ((place + seed) % 5);
    const scene = await sceneOf(seed, times, client);
    await act(scene, times);
    const verdict = await scene.verdict();
    expectPlanted(scene, verdict, times);
    for (const plant of livePlants) {
      const fault = faultOf[plant];
      if (fault === undefined || fault === 'phantom') continue;
      const spots = scene.broker.router.planter.planted(plant);
      const byQos = [0, 1, 2].map((qos) => spots.filter((spot) => spot.qos === qos).length);
      expect(verdict.faults[fault].byQos, fault).toEqual(byQos);
      const byClass: Record<string, number> = {};
      for (const { clientId } of spots) {
        const name = clientId.split('-')[0] ?? '';
        byClass[name] = (byClass[name] ?? 0) + 1;
      }
      expect(verdict.faults[fault].byClass, fault).toEqual(byClass);
    }
  },
);

it.each(seeds)('finds each fault while connections are cut all the time (seed %i, %s)', async (seed, client) => {
  const times = { lose: 4, duplicate: 5, reorder: 3, corrupt: 2, phantom: 3 };
  const scene = await sceneOf(seed, times, client);
  await rove(scene, 2000);
  await scene.drained();
  expectPlanted(scene, await scene.verdict(1000), times);
});

it.each(seeds)(
  'finds nothing where nothing is wrong, with cuts, deaths, sleep and restarts (seed %i, %s)',
  async (seed, client) => {
    const scene = await sceneOf(seed, {}, client);
    const restart = async (): Promise<void> => {
      for (let round = 0; round < 4; round++) {
        await scene.elapse(500);
        scene.checker.broker('down', scene.timers.now());
        await scene.broker.down();
        await scene.elapse(50);
        await scene.broker.up();
        scene.checker.broker('up', scene.timers.now());
      }
    };
    await Promise.all([rove(scene, 2500), live(scene, 20), restart()]);
    await Promise.all([doze(scene, 6), die(scene, 9), look(scene, 9)]);
    await scene.drained();
    const verdict = await scene.verdict(1000);
    expect(found(verdict), JSON.stringify(verdict.examples, undefined, 1)).toEqual({});
    expect(verdict.counts.missedQos0.unexcused).toBe(0);
    expect(verdict.counts.outstanding).toEqual([0, 0, 0]);
    expect(verdict.counts.owed[2]).toBeGreaterThan(100);
    expect(verdict.counts.willsDue).toBeGreaterThan(0);
    expect(verdict.counts.retainedChecked).toBeGreaterThan(0);
    expect(verdict.counts.sessionsResumed).toBeGreaterThan(0);
  },
);
