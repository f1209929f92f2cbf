import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { Metrics } from '../../src/agent/metrics.ts';
import type { WitnessBatch } from '../../src/checker/witness-recorder.ts';
import { Random } from '../../src/lib/random.ts';
import type { FleetPlan, FleetTurn } from '../../src/run/fleet.ts';
import { packTurn, unpackTurn, WorkerFleet } from '../../src/run/worker-fleet.ts';
import { sampleMetrics } from '../report/sample-report.ts';
import { fleetClass } from './scene.ts';

/** A turn as it arrives at the other end. */
async function posted(turn: FleetTurn): Promise<FleetTurn> {
  const { port1, port2 } = new MessageChannel();
  try {
    const arrived = once(port2, 'message');
    port1.postMessage(packTurn(turn));
    const [packed] = (await arrived) as [ReturnType<typeof packTurn>];
    return unpackTurn(packed);
  } finally {
    port1.close();
  }
}

const turnOf = (metrics: readonly (readonly [string, Metrics])[], more: Partial<FleetTurn> = {}): FleetTurn => ({
  metrics: new Map(metrics),
  switchedOn: 0,
  pending: 0,
  notes: [],
  ...more,
});

/** All that metrics say. */
function figures(metrics: Metrics | undefined): unknown {
  if (metrics === undefined) return undefined;
  const { delivery, acknowledgement, connect, roundTrip, ...counters } = metrics;
  return [counters, ...[delivery, acknowledgement, connect, roundTrip].map((histogram) => histogram.percentiles())];
}

describe('a turn that is posted', () => {
  test('arrives with every figure of every class, and what else it says', async () => {
    const sent = turnOf(
      [
        ['a', sampleMetrics(new Random(1), 1000, 1)],
        ['__proto__', sampleMetrics(new Random(2), 77, 3)],
        ['idle', new Metrics()],
      ],
      { switchedOn: 12, pending: 34, notes: [{ kind: 'crashed', text: 'a-1 crashed' }] },
    );
    const arrived = await posted(sent);
    expect([...arrived.metrics.keys()]).toEqual(['a', '__proto__', 'idle']);
    for (const [name, metrics] of sent.metrics) expect(figures(arrived.metrics.get(name))).toEqual(figures(metrics));
    expect(arrived).toMatchObject({ switchedOn: 12, pending: 34, notes: [{ kind: 'crashed', text: 'a-1 crashed' }] });
  });

  test('can be added to sums, and leaves what it came from as it was', async () => {
    const metrics = sampleMetrics(new Random(1), 1000, 1);
    const before = figures(metrics);
    const arrived = (await posted(turnOf([['a', metrics]]))).metrics.get('a') as Metrics;
    const sum = sampleMetrics(new Random(5), 500, 2);
    const { count } = sum.delivery;
    sum.add(arrived);
    expect(sum.sent).toEqual([600, 600, 300]);
    expect(sum.delivery.count).toBe(count + metrics.delivery.count);
    arrived.sent[0] += 1;
    expect(figures(metrics)).toEqual(before);
  });

  test('lends its histograms, and does not copy them', async () => {
    const metrics = new Metrics();
    const arrived = (await posted(turnOf([['a', metrics]]))).metrics.get('a');
    metrics.delivery.record(5);
    expect(arrived?.delivery.count).toBe(1);
  });
});

const plan: FleetPlan = {
  scenario: {
    ...{ name: 'scene', description: '', seed: 1, topicPrefix: 'sim', broker: {}, stages: [], thresholds: [] },
    ...{ chaos: { killBrokerEverySeconds: 0 }, checker: { lateAfterSeconds: 10 } },
    fleet: [fleetClass('a', 5)],
  },
  // Nobody listens there.
  tcp: { transport: 'tcp', host: '127.0.0.1', port: 1, path: '/mqtt' },
  websocket: undefined,
  run: 1,
  thread: 0,
  threads: 2,
};

describe('a fleet in a thread', () => {
  test('does what it is told, and tells what came of it', async () => {
    const batches: WitnessBatch[] = [];
    const fleet = new WorkerFleet(plan, (batch) => void batches.push(batch));
    try {
      expect((await fleet.turn()).switchedOn).toBe(0);
      fleet.tell({ do: 'ramp', to: 1, seconds: 0 });
      const turn = await fleet.turn();
      expect(turn.switchedOn).toBe(3); // Every other one of five.
      expect([...turn.metrics.keys()]).toEqual(['a']);
      // Facts are there before the turn that belongs to them.
      expect(batches.flatMap(({ strings }) => strings).join(' ')).toContain('a-0');
      for (let failures = 0; failures === 0; ) {
        failures += (await fleet.turn()).metrics.get('a')?.connectFailures ?? 0;
      }
    } finally {
      await fleet.close();
    }
  });

  test('that cannot begin says why, at every turn', async () => {
    const broken = { ...plan, scenario: { ...plan.scenario, fleet: undefined } } as unknown as FleetPlan;
    const fleet = new WorkerFleet(broken, () => {});
    const reason = /undefined/; // What reading `map` of it failed with.
    await expect(fleet.turn()).rejects.toThrow(reason);
    fleet.tell({ do: 'stop' });
    // That the thread then ends is no news.
    for (let turn = 0; turn < 100; turn++) {
      await nextTurn();
      await expect(fleet.turn()).rejects.toThrow(reason);
    }
    await fleet.close();
  });
});
