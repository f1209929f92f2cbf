import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type WitnessBatch, WitnessMerger, WitnessRecorder } from '../../src/checker/witness-recorder.ts';
import { anyFact, type Fact, factsByKind, keeper, tell } from './facts.ts';

/** A recorder whose batches go to a merger as another thread gets them. */
function recording(): { recorder: WitnessRecorder; batches: WitnessBatch[]; replay: () => Fact[] } {
  const batches: WitnessBatch[] = [];
  const recorder = new WitnessRecorder((batch) => {
    batches.push(structuredClone(batch, { transfer: [batch.facts] }));
  });
  return {
    recorder,
    batches,
    replay: () => {
      const facts: Fact[] = [];
      const merger = new WitnessMerger(keeper(facts), 1);
      for (const batch of batches) merger.add(0, batch);
      merger.finish();
      return facts;
    },
  };
}

function acknowledged(client: number, sequence: number, at: number): Fact {
  return ['acknowledged', client, sequence, at];
}

/** The same as toStrictEqual, but shows no more than the first of many that is not as it was told. */
function expectSame(replayed: readonly Fact[], told: readonly Fact[]): void {
  expect(replayed).toHaveLength(told.length);
  const place = replayed.findIndex((fact, at) => !isDeepStrictEqual(fact, told[at]));
  if (place !== -1) expect({ place, fact: replayed[place] }).toStrictEqual({ place, fact: told[place] });
}

describe('WitnessRecorder', () => {
  it('brings every fact over exactly, in however many batches', () => {
    fc.assert(
      fc.property(fc.array(fc.option(anyFact), { maxLength: 60 }), (steps) => {
        const { recorder, replay } = recording();
        for (const fact of steps) {
          if (fact === null) recorder.flush(0);
          else tell(recorder, fact);
        }
        recorder.flush(0);
        expect(replay()).toStrictEqual(steps.filter((fact) => fact !== null));
      }),
    );
  });

  it.each(Object.entries(factsByKind))('brings %s over in any number, exactly', (_, facts) => {
    const few = fc.array(facts as fc.Arbitrary<Fact>, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(few, (some) => {
        const { recorder, batches, replay } = recording();
        const told = Array.from({ length: 2500 }, (__, place) => some[place % some.length] as Fact);
        for (const fact of told) tell(recorder, fact);
        recorder.flush(0);
        expect(batches).toHaveLength(1);
        expectSame(replay(), told);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });

  it('hands a batch over by itself when it has grown large, and misses nothing', () => {
    const { recorder, batches, replay } = recording();
    const told = Array.from({ length: 100_000 }, (_, place) => acknowledged(1, place + 1, place));
    for (const fact of told) tell(recorder, fact);
    expect(batches).toHaveLength(3);
    for (const { facts, until } of batches) {
      const numbers = new Float64Array(facts);
      expect(numbers).toHaveLength(1 << 17);
      expect(until).toBe(numbers.at(-3));
    }
    recorder.flush(100_000);
    expectSame(replay(), told);
  });

  it('brings a string over once', () => {
    const { recorder, batches, replay } = recording();
    const told: Fact[] = ['a', 'b', 'a', 'c'].map((topicFilter, place) => ['unsubscribed', 1, topicFilter, place]);
    for (const fact of told) {
      tell(recorder, fact);
      recorder.flush(0);
    }
    expect(batches.map(({ strings }) => strings)).toEqual([['a'], ['b'], [], ['c']]);
    expect(batches.map(({ forgets }) => forgets)).toEqual([true, false, false, false]);
    expect(replay()).toEqual(told);
  });

  it('begins anew with strings when they are too many', () => {
    const { recorder, batches, replay } = recording();
    const told: Fact[] = [];
    const unsubscribe = (topicFilter: string): void => {
      told.push(['unsubscribed', 1, topicFilter, told.length]);
      tell(recorder, told.at(-1) as Fact);
    };
    for (let number = 0; number < 1 << 16; number++) unsubscribe(`topic/${number}`);
    recorder.flush(told.length);
    const full = batches.length;
    unsubscribe('topic/1');
    unsubscribe('one more');
    recorder.flush(told.length);
    expect(batches[full]).toMatchObject({ forgets: false, strings: ['one more'] });
    for (const topicFilter of ['topic/1', 'one more', 'topic/0', 'topic/1']) unsubscribe(topicFilter);
    recorder.flush(told.length);
    expect(batches[full + 1]).toMatchObject({ forgets: true, strings: ['topic/1', 'one more', 'topic/0'] });
    unsubscribe('topic/0');
    recorder.flush(told.length);
    expect(batches[full + 2]).toMatchObject({ forgets: false, strings: [] });
    expectSame(replay(), told);
  });

  it('tells a client at the time of the fact before it', () => {
    const facts: Fact[] = [];
    const merger = new WitnessMerger(keeper(facts), 2);
    const recorders = [0, 1].map((number) => new WitnessRecorder((batch) => merger.add(number, batch)));
    tell(recorders[1] as WitnessRecorder, acknowledged(1, 1, 5));
    tell(recorders[1] as WitnessRecorder, ['client', 2, 'd-2', 'sensor']);
    tell(recorders[0] as WitnessRecorder, acknowledged(3, 1, 4));
    tell(recorders[0] as WitnessRecorder, acknowledged(3, 2, 6));
    for (const recorder of recorders) recorder.flush(9);
    expect(facts.map(([kind, client]) => [kind, client])).toEqual([
      ['acknowledged', 3],
      ['acknowledged', 1],
      ['client', 2],
      ['acknowledged', 3],
    ]);
  });
});

/** A fact as it was told: to which recorder, when, and as which of all. */
interface Row {
  readonly recorder: number;
  readonly at: number;
  readonly number: number;
}

interface Step {
  readonly recorder: number;
  /** `tell` a fact, `flush` the recorder, or let one of its batches `arrive`. */
  readonly what: 'tell' | 'flush' | 'arrive';
  readonly elapsedMs: number;
}

/** Several recorders whose batches take their time, and what should be known of them. */
class Recorders {
  readonly told: Fact[] = [];
  readonly #rows: Row[] = [];
  readonly #arrived: Row[] = [];
  readonly #merger: WitnessMerger;
  readonly #parts: {
    readonly recorder: WitnessRecorder;
    readonly rows: Row[];
    readonly underWay: { readonly batch: WitnessBatch; readonly rows: readonly Row[] }[];
    until: number;
  }[];

  constructor(count: number) {
    this.#merger = new WitnessMerger(keeper(this.told), count);
    this.#parts = Array.from({ length: count }, (_, number) => {
      const onBatch = (batch: WitnessBatch): void => {
        const part = this.#parts[number];
        part?.underWay.push({ batch, rows: part.rows.splice(0) });
      };
      return { recorder: new WitnessRecorder(onBatch), rows: [], underWay: [], until: Number.NEGATIVE_INFINITY };
    });
  }

  step({ recorder: number, what }: Step, now: number): void {
    const part = this.#parts[number];
    if (part === undefined) return;
    if (what === 'tell') {
      const row = { recorder: number, at: now, number: this.#rows.length };
      this.#rows.push(row);
      part.rows.push(row);
      tell(part.recorder, acknowledged(number, row.number, now));
    } else if (what === 'flush') part.recorder.flush(now);
    else this.#arrive(number);
  }

  /** Lets everything arrive. */
  finish(now: number): void {
    for (const [number, { recorder, underWay }] of this.#parts.entries()) {
      recorder.flush(now);
      while (underWay.length > 0) this.#arrive(number);
    }
    this.#merger.finish();
  }

  /** What must have been told by now, no more and no less: everything before the time up to which all is known. */
  expected(before: number = Math.min(...this.#parts.map(({ until }) => until))): Fact[] {
    return this.#arrived
      .filter(({ at }) => at < before)
      .toSorted((one, other) => one.at - other.at || one.recorder - other.recorder || one.number - other.number)
      .map(({ recorder, number, at }) => acknowledged(recorder, number, at));
  }

  /** Facts that any recorder was told. */
  get count(): number {
    return this.#rows.length;
  }

  #arrive(number: number): void {
    const part = this.#parts[number];
    const next = part?.underWay.shift();
    if (part === undefined || next === undefined) return;
    this.#arrived.push(...next.rows);
    part.until = next.batch.until;
    this.#merger.add(number, next.batch);
  }
}

describe('WitnessMerger', () => {
  const steps = fc.array(
    fc.record({
      recorder: fc.nat({ max: 3 }),
      what: fc.constantFrom<Step['what']>('tell', 'tell', 'tell', 'flush', 'flush', 'arrive', 'arrive'),
      elapsedMs: fc.nat({ max: 2 }),
    }),
    { maxLength: 200 },
  );

  it('tells facts in the order of their times, each as soon as nothing before it can be missing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), steps, (count, all) => {
        const recorders = new Recorders(count);
        let now = 0;
        for (const step of all) {
          now += step.elapsedMs;
          recorders.step(step, now);
          expect(recorders.told).toEqual(recorders.expected());
        }
        recorders.finish(now);
        expect(recorders.told).toEqual(recorders.expected(Number.POSITIVE_INFINITY));
        expect(recorders.told).toHaveLength(recorders.count);
      }),
      { numRuns: 300 },
    );
  });

  it('tells nothing while a recorder has not told anything', () => {
    const facts: Fact[] = [];
    const merger = new WitnessMerger(keeper(facts), 2);
    const recorder = new WitnessRecorder((batch) => merger.add(0, batch));
    tell(recorder, acknowledged(1, 1, 5));
    recorder.flush(1000);
    expect(facts).toEqual([]);
    new WitnessRecorder((batch) => merger.add(1, batch)).flush(5);
    expect(facts).toEqual([]);
    new WitnessRecorder((batch) => merger.add(1, batch)).flush(6);
    expect(facts).toEqual([acknowledged(1, 1, 5)]);
  });

  it('refuses batches of a recorder that is not there', () => {
    const merger = new WitnessMerger(keeper([]), 2);
    const recorder = new WitnessRecorder((batch) => merger.add(2, batch));
    expect(() => recorder.flush(0)).toThrow('there is no recorder 2');
  });
});
