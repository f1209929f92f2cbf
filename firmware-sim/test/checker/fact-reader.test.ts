import { describe, expect, it } from 'vitest';
import { code } from '../../src/checker/fact-codes.ts';
import { FactReader } from '../../src/checker/fact-reader.ts';
import type { WitnessBatch } from '../../src/checker/witness-recorder.ts';
import { type Fact, keeper } from './facts.ts';

function batch(until: number, facts: readonly (readonly number[])[], others: Partial<WitnessBatch> = {}): WitnessBatch {
  return { facts: Float64Array.from(facts.flat()).buffer, strings: [], forgets: false, until, ...others };
}

/** Everything that the reader can tell. */
function drain(reader: FactReader): Fact[] {
  const facts: Fact[] = [];
  while (reader.nextAt !== Number.POSITIVE_INFINITY) reader.tell(keeper(facts));
  return facts;
}

describe('FactReader', () => {
  it('knows nothing before its first batch', () => {
    const reader = new FactReader();
    expect([reader.until, reader.nextAt]).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });

  it('tells fact after fact, and the time of the next one', () => {
    const reader = new FactReader();
    reader.add(
      batch(9, [
        [code.acknowledged, 5, 1, 11],
        [code.refused, 7, 2, 12, 0x87],
      ]),
    );
    expect([reader.until, reader.nextAt]).toEqual([9, 5]);
    const facts: Fact[] = [];
    reader.tell(keeper(facts));
    expect(facts).toEqual([['acknowledged', 1, 11, 5]]);
    expect(reader.nextAt).toBe(7);
    expect(drain(reader)).toEqual([['refused', 2, 12, 0x87, 7]]);
    expect([reader.until, reader.nextAt]).toEqual([9, Number.POSITIVE_INFINITY]);
  });

  it('goes on with later batches, empty ones among them', () => {
    const reader = new FactReader();
    reader.add(batch(1, []));
    expect([reader.until, reader.nextAt]).toEqual([1, Number.POSITIVE_INFINITY]);
    reader.add(batch(3, [[code.connected, 2, 1, 1]]));
    reader.add(batch(4, []));
    reader.add(batch(6, [[code.connected, 5, 1, 0]]));
    expect([reader.until, reader.nextAt]).toEqual([6, 2]);
    expect(drain(reader)).toEqual([
      ['connected', 1, true, 2],
      ['connected', 1, false, 5],
    ]);
  });

  it('finds the strings of earlier batches, until they are forgotten', () => {
    const reader = new FactReader();
    reader.add(batch(1, [[code.unsubscribing, 0, 1, 0]], { strings: ['a'], forgets: true }));
    reader.add(
      batch(
        3,
        [
          [code.unsubscribing, 2, 1, 1],
          [code.unsubscribing, 2, 1, 0],
        ],
        { strings: ['b'] },
      ),
    );
    reader.add(batch(5, [[code.unsubscribing, 4, 1, 0]], { strings: ['c'], forgets: true }));
    expect(drain(reader)).toEqual([
      ['unsubscribing', 1, 'a', 0],
      ['unsubscribing', 1, 'b', 2],
      ['unsubscribing', 1, 'a', 2],
      ['unsubscribing', 1, 'c', 4],
    ]);
  });

  it('lets the time of the next fact stand still where that of a fact goes back', () => {
    const reader = new FactReader();
    reader.add(
      batch(9, [
        [code.acknowledged, 5, 1, 1],
        [code.acknowledged, 3, 1, 2],
      ]),
    );
    const facts: Fact[] = [];
    reader.tell(keeper(facts));
    expect(reader.nextAt).toBe(5);
    reader.tell(keeper(facts));
    expect(facts[1]).toEqual(['acknowledged', 1, 2, 3]);
  });

  it('leaves out what a witness does not want to know of completed exchanges', () => {
    const reader = new FactReader();
    reader.add(
      batch(9, [
        [code.completed, 5, 1, 1],
        [code.broker, 6, 0, 1],
      ]),
    );
    const states: string[] = [];
    const witness = { broker: (state: string): void => void states.push(state) };
    while (reader.nextAt !== Number.POSITIVE_INFINITY) reader.tell(witness as never);
    expect(states).toEqual(['up']);
  });
});
