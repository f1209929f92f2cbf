import { describe, expect, test } from 'vitest';
import type { Verdict } from '../../src/checker/witness.ts';
import type { BrokerKiller } from '../../src/run/broker-killer.ts';
import { Conductor } from '../../src/run/conductor.ts';
import { type Progress, RunError } from '../../src/run/run.ts';
import { Totals } from '../../src/run/totals.ts';
import type { Scenario, Stage } from '../../src/scenario/scenario.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';
import { sampleVerdict } from '../report/sample-report.ts';
import { FakeFleet, fleetClass, pass } from './scene.ts';

/** A checker to whom nothing happens unless a test says so. */
class FakeChecker {
  outstanding = 0;
  found: Verdict = sampleVerdict([]);
  readonly broken: string[] = [];
  advancedTo = 0;
  readonly #timers: FakeTimers;
  readonly #startedAt: number;

  constructor(timers: FakeTimers) {
    this.#timers = timers;
    this.#startedAt = timers.now();
  }

  advance(at: number): void {
    this.advancedTo = at - this.#startedAt;
  }

  broker(state: 'down' | 'up', at: number): void {
    expect(at).toBe(this.#timers.now());
    this.broken.push(`${state} ${at - this.#startedAt}`);
  }

  verdict(): Verdict {
    return this.found;
  }
}

interface SceneOptions {
  readonly stages: readonly Stage[];
  readonly killEverySeconds?: number;
  readonly killer?: BrokerKiller;
  readonly fleets?: number;
}

/** A conductor with all it works with. */
class Scene {
  readonly timers = new FakeTimers();
  readonly checker = new FakeChecker(this.timers);
  readonly fleets: readonly FakeFleet[];
  readonly interrupt = new AbortController();
  readonly progress: Progress[] = [];
  readonly totals: Totals;
  readonly conductor: Conductor;
  /** How the play ended: `over`, or the error. */
  outcome: string | Error | undefined;
  endedAt = Number.NaN;

  constructor({ stages, killEverySeconds = 0, killer, fleets = 1 }: SceneOptions) {
    const scenario: Scenario = {
      ...{ name: 'scene', description: '', seed: 1, topicPrefix: 'sim', broker: {}, fleet: [fleetClass('a', 1)] },
      ...{ stages, thresholds: [], checker: { lateAfterSeconds: 10 } },
      chaos: { killBrokerEverySeconds: killEverySeconds },
    };
    this.fleets = Array.from({ length: fleets }, () => new FakeFleet(this.timers));
    this.totals = new Totals(scenario.fleet);
    this.conductor = new Conductor({
      scenario,
      timers: this.timers,
      checker: this.checker,
      fleets: this.fleets,
      totals: this.totals,
      killer,
      interrupt: this.interrupt.signal,
      brokerUrl: 'mqtt://h',
      onProgress: (progress) => this.progress.push(progress),
    });
  }

  get fleet(): FakeFleet {
    return this.fleets[0] as FakeFleet;
  }

  /** Since the start, ms. */
  get now(): number {
    return Math.round(this.conductor.elapsedSeconds * 1000);
  }

  play(): this {
    this.conductor.play().then(
      () => this.#end('over'),
      (error: Error) => this.#end(error),
    );
    return this;
  }

  /** Commands with their times, in short. */
  get told(): string[] {
    return this.fleet.told.map(({ at, command: { do: what, ...more } }) =>
      [at, what, ...Object.values(more)].join(' '),
    );
  }

  get stages(): string[] {
    const { stages } = this.totals.report([], 1);
    return stages.map(({ name, startSeconds, durationSeconds }) => `${name} ${startSeconds}+${durationSeconds}`);
  }

  #end(outcome: string | Error): void {
    this.outcome = outcome;
    this.endedAt = this.now;
  }
}

const ramp = (seconds: number, to = 1): Stage => ({ kind: 'ramp', name: 'ramp', seconds, to });
const hold = (seconds: number): Stage => ({ kind: 'hold', name: 'hold', seconds });
const drain = (seconds: number): Stage => ({ kind: 'drain', name: 'drain', seconds });

describe('stages', () => {
  test('come in their order, each for its time, with the commands that make them', async () => {
    const scene = new Scene({
      stages: [
        ramp(2, 0.5),
        hold(1),
        { kind: 'burst', name: 'burst', seconds: 1, factor: 4 },
        { kind: 'storm', name: 'storm', seconds: 1, part: 0.3 },
        drain(10),
      ],
    }).play();
    await pass(scene.timers, 8000);
    expect(scene.told).toEqual(['0 ramp 0.5 2', '3000 pace 4', '4000 pace 1', '4000 storm 0.3', '5000 drain']);
    expect(scene.stages).toEqual(['ramp 0+2', 'hold 2+1', 'burst 3+1', 'storm 4+1', 'drain 5+0.5']);
    expect(scene.outcome).toBe('over');
  });

  test('are told to all fleets', async () => {
    const scene = new Scene({ stages: [ramp(1)], fleets: 3 }).play();
    await pass(scene.timers, 2000);
    for (const fleet of scene.fleets) {
      expect(fleet.told.map(({ command }) => command.do)).toEqual(['ramp', 'drain']);
    }
  });

  test('end with a drain even where the scenario has none', async () => {
    const scene = new Scene({ stages: [hold(1)] });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 30_900);
    expect(scene.outcome).toBeUndefined();
    await pass(scene.timers, 200);
    expect(scene.stages).toEqual(['hold 0+1', 'drain 1+30']);
  });
});

describe('a drain', () => {
  test('ends when nothing has been owed for half a second', async () => {
    const scene = new Scene({ stages: [hold(1), drain(20)] });
    scene.checker.outstanding = 5;
    scene.play();
    await pass(scene.timers, 4000);
    expect(scene.outcome).toBeUndefined();
    scene.checker.outstanding = 0;
    await pass(scene.timers, 300);
    scene.checker.outstanding = 1; // Something more turned out to be owed.
    await pass(scene.timers, 400);
    scene.checker.outstanding = 0;
    await pass(scene.timers, 400);
    expect(scene.outcome).toBeUndefined();
    await pass(scene.timers, 200);
    expect(scene.outcome).toBe('over');
  });

  test('waits for what the fleets have under way', async () => {
    const scene = new Scene({ stages: [drain(20)], fleets: 2 });
    const [, second] = scene.fleets;
    if (second !== undefined) second.pending = 1;
    scene.play();
    await pass(scene.timers, 5000);
    expect(scene.outcome).toBeUndefined();
    if (second !== undefined) second.pending = 0;
    await pass(scene.timers, 700);
    expect(scene.outcome).toBe('over');
  });

  test('goes on beyond its time as long as less and less is owed', async () => {
    const scene = new Scene({ stages: [hold(1), drain(5)] });
    scene.checker.outstanding = 1000;
    scene.play();
    for (let round = 0; round < 12; round++) {
      await pass(scene.timers, 1000);
      expect(scene.outcome).toBeUndefined();
      scene.checker.outstanding -= 1;
    }
    await pass(scene.timers, 20_000);
    expect(scene.outcome).toBe('over');
  });

  test('ends after its time, whatever is still owed', async () => {
    const scene = new Scene({ stages: [hold(1), drain(5)] });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 6500);
    expect([scene.outcome, scene.endedAt]).toEqual(['over', 6000]);
  });

  test('lets the checker know of the time that passes', async () => {
    const scene = new Scene({ stages: [hold(1), drain(5)] });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 2500);
    expect(scene.checker.advancedTo).toBeGreaterThanOrEqual(2400);
  });
});

describe('every second', () => {
  test('is a point of the series and told as progress', async () => {
    const scene = new Scene({ stages: [ramp(1.2), hold(1.8), drain(5)] });
    scene.checker.outstanding = 2;
    scene.fleet.pending = 7;
    scene.checker.found = sampleVerdict([
      { fault: 'lost', byQos: [0, 2, 1], className: 'a' },
      { fault: 'late', byQos: [0, 1, 0], className: 'a' },
    ]);
    scene.play();
    await pass(scene.timers, 2050);
    expect(scene.progress.map(({ stage, elapsedSeconds }) => [stage, elapsedSeconds])).toEqual([
      ['ramp', 1],
      ['hold', 2],
    ]);
    expect(scene.progress[1]).toMatchObject({
      ...{ devices: 3, inFlight: 7, totalSeconds: 8, brokerUrl: 'mqtt://h', faults: { lost: 3, late: 1 } },
      point: { second: 2, outstanding: 2, faults: 4 },
    });
    expect(scene.progress.map(({ point }) => point.events)).toEqual([['ramp'], ['hold']]);
  });

  test('is counted to the end, the last one even where it is not full', async () => {
    const scene = new Scene({ stages: [hold(2.2), drain(5)] }).play();
    await pass(scene.timers, 4000);
    expect(scene.outcome).toBe('over');
    expect(scene.totals.report([], 1).series.map(({ second }) => second)).toEqual([1, 2, 3]);
    const { turns } = scene.fleet;
    await pass(scene.timers, 3000);
    expect([scene.fleet.turns, scene.progress.length]).toEqual([turns, 3]);
  });
});

test('where looking takes long, points stand for more than a second, and no two for the same', async () => {
  const scene = new Scene({ stages: [hold(9.8), drain(5)] }).play();
  await pass(scene.timers, 900);
  scene.fleet.turnMs = 2500;
  await pass(scene.timers, 2000);
  scene.fleet.turnMs = 0;
  await pass(scene.timers, 10_000);
  expect(scene.outcome).toBe('over');
  expect(scene.progress.map(({ elapsedSeconds }) => elapsedSeconds)).toEqual([3.5, 5, 6, 7, 8, 9, 10, 10.3]);
  expect(scene.progress.map(({ point }) => point.second)).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
});

describe('ctrl-C', () => {
  test('ends the stage, leaves out the others, and drains for three seconds at most', async () => {
    const scene = new Scene({
      stages: [ramp(10), hold(100), { kind: 'storm', name: 'storm', seconds: 9, part: 1 }, drain(60)],
    });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 2000);
    scene.interrupt.abort();
    await pass(scene.timers, 10);
    expect(scene.told).toEqual(['0 ramp 1 10', '2000 drain']);
    await pass(scene.timers, 2900);
    expect(scene.outcome).toBeUndefined();
    await pass(scene.timers, 200);
    expect([scene.outcome, scene.stages]).toEqual(['over', ['ramp 0+2', 'drain 2+3']]);
  });

  test('ends a burst with the pace as it was', async () => {
    const scene = new Scene({ stages: [{ kind: 'burst', name: 'burst', seconds: 50, factor: 9 }] }).play();
    await pass(scene.timers, 1000);
    scene.interrupt.abort();
    await pass(scene.timers, 50);
    expect(scene.told).toEqual(['0 pace 9', '1000 pace 1', '1000 drain']);
  });

  test('in a drain shortens what is left of it', async () => {
    const scene = new Scene({ stages: [hold(1), drain(60)] });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 5000);
    scene.interrupt.abort();
    await pass(scene.timers, 2900);
    expect(scene.outcome).toBeUndefined();
    await pass(scene.timers, 300);
    expect(scene.outcome).toBe('over');
  });

  test('does not make a drain longer', async () => {
    const scene = new Scene({ stages: [hold(10), drain(1)] });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 1000);
    scene.interrupt.abort();
    await pass(scene.timers, 1200);
    expect(scene.stages).toEqual(['hold 0+1', 'drain 1+1']);
  });

  test('before the beginning leaves the drain alone', async () => {
    const scene = new Scene({ stages: [ramp(1), hold(1), drain(5)] });
    scene.interrupt.abort();
    scene.play();
    await pass(scene.timers, 1000);
    expect([scene.outcome, scene.told]).toEqual(['over', ['0 drain']]);
  });
});

describe('killing the broker', () => {
  /** Takes so long to come back. */
  const killerOf = (scene: () => Scene, backAfterMs: number, kills: number[] = []): BrokerKiller => ({
    killAndRestart: () => {
      kills.push(scene().now);
      return new Promise((resolve) => void scene().timers.after(backAfterMs, resolve));
    },
  });

  test('comes so often, counted from when it was back, and never in the drain', async () => {
    const kills: number[] = [];
    const scene: Scene = new Scene({
      stages: [ramp(4), hold(6.5), drain(20)],
      killEverySeconds: 2,
      killer: killerOf(() => scene, 500, kills),
    });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 20_000);
    expect(kills).toEqual([2000, 4500, 7000, 9500]);
    expect(scene.checker.broken).toEqual([
      ...['down 2000', 'up 2500', 'down 4500', 'up 5000'],
      ...['down 7000', 'up 7500', 'down 9500', 'up 10000'],
    ]);
    expect(scene.conductor.kills).toBe(4);
    const events = scene.progress.flatMap(({ point }) => point.events);
    expect(events.filter((event) => event === 'broker down')).toHaveLength(4);
    expect(events.filter((event) => event === 'broker up')).toHaveLength(4);
  });

  test('holds the drain back until the broker is there again', async () => {
    const scene: Scene = new Scene({
      stages: [hold(2), drain(20)],
      killEverySeconds: 1.5,
      killer: killerOf(() => scene, 3000),
    }).play();
    await pass(scene.timers, 4000);
    expect(scene.told).toEqual([]);
    await pass(scene.timers, 1000);
    expect(scene.told).toEqual(['4500 drain']);
  });

  test('does not come where the scenario does not ask for it, or nobody can do it', async () => {
    const kills: number[] = [];
    const never: Scene = new Scene({ stages: [hold(3)], killer: killerOf(() => never, 1, kills) }).play();
    const nobody = new Scene({ stages: [hold(3)], killEverySeconds: 1 }).play();
    await pass(never.timers, 4000);
    await pass(nobody.timers, 4000);
    expect([kills, never.outcome, nobody.outcome, nobody.checker.broken]).toEqual([[], 'over', 'over', []]);
  });

  test('ends with ctrl-C', async () => {
    const kills: number[] = [];
    const scene: Scene = new Scene({
      stages: [hold(30), drain(5)],
      killEverySeconds: 2,
      killer: killerOf(() => scene, 100, kills),
    }).play();
    await pass(scene.timers, 3000);
    scene.interrupt.abort();
    await pass(scene.timers, 5000);
    expect([kills, scene.outcome]).toEqual([[2000], 'over']);
  });

  test('that fails ends the run at once, with the reason', async () => {
    const failure = new RunError('It did not come back.');
    const scene = new Scene({
      stages: [hold(100), drain(50)],
      killEverySeconds: 2,
      killer: { killAndRestart: () => Promise.reject(failure) },
    }).play();
    await pass(scene.timers, 2100);
    expect([scene.outcome, scene.endedAt, scene.conductor.kills]).toEqual([failure, 2000, 0]);
    expect(scene.told).toEqual([]);
  });

  test('that fails when the drain was waiting for it ends the run as well', async () => {
    const failure = new RunError('It did not come back.');
    const scene: Scene = new Scene({
      stages: [hold(2), drain(50)],
      killEverySeconds: 2,
      killer: {
        killAndRestart: () => new Promise((_resolve, reject) => void scene.timers.after(1000, () => reject(failure))),
      },
    });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 3100);
    expect([scene.outcome, scene.told]).toEqual([failure, []]);
  });
});

describe('a fleet that fails', () => {
  test('ends the run within a second, wherever it was', async () => {
    const scene = new Scene({ stages: [hold(100), drain(50)], fleets: 2 }).play();
    await pass(scene.timers, 1500);
    const failure = new Error('a thread of the simulator ended by itself');
    (scene.fleets[1] as FakeFleet).failure = failure;
    await pass(scene.timers, 600);
    expect([scene.outcome, scene.endedAt]).toEqual([failure, 2000]);
  });

  test('ends a drain', async () => {
    const scene = new Scene({ stages: [drain(50)] });
    scene.checker.outstanding = 1;
    scene.play();
    await pass(scene.timers, 500);
    scene.fleet.failure = new Error('gone');
    await pass(scene.timers, 100);
    expect(scene.outcome).toEqual(new Error('gone'));
  });
});
