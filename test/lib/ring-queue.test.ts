import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RingQueue } from '../../src/lib/ring-queue.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

describe('a queue', () => {
  test('does what an array does', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 40 }) }) },
      { weight: 2, arbitrary: fc.record({ unshift: fc.integer({ min: 1, max: 10 }) }) },
      { weight: 6, arbitrary: fc.record({ shift: fc.integer({ min: 1, max: 60 }) }) },
      { weight: 1, arbitrary: fc.constant('clear' as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new RingQueue<number>();
        const model: number[] = [];
        let next = 0;
        for (const action of steps) {
          let shifted: unknown[] = [];
          let expected: unknown[] = [];
          if (action === 'clear') {
            queue.clear();
            model.length = 0;
          } else if ('push' in action) {
            for (let i = 0; i < action.push; i++) {
              queue.push(next);
              model.push(next++);
            }
          } else if ('unshift' in action) {
            for (let i = 0; i < action.unshift; i++) {
              queue.unshift(next);
              model.unshift(next++);
            }
          } else {
            shifted = Array.from({ length: action.shift }, () => queue.shift());
            expected = Array.from({ length: action.shift }, () => model.shift());
          }
          expect(shifted).toEqual(expected);
          expect(queue.length).toBe(model.length);
          expect(queue.peek()).toBe(model[0]);
          expect([...queue]).toEqual(model);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('gives memory back when it has run nearly empty', () => {
    const queue = new RingQueue<number>();
    for (let i = 0; i < 2_000_000; i++) queue.push(i);
    collectGarbage();
    const full = process.memoryUsage().heapUsed;
    while (queue.length > 10) queue.shift();
    collectGarbage();
    // An array of 2^21 slots of 8 bytes has become one of 64.
    expect(full - process.memoryUsage().heapUsed).toBeGreaterThan(12_000_000);
    expect([...queue].length).toBe(10);
  });

  test('keeps nothing alive that was taken out', async () => {
    const queue = new RingQueue<object>();
    const taken: WeakRef<object>[] = [];
    for (let i = 0; i < 100; i++) {
      const item = { i };
      taken.push(new WeakRef(item));
      queue.push(item);
    }
    for (let i = 0; i < 90; i++) queue.shift();
    // A WeakRef holds its target until the turn of the loop that made it is over.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    collectGarbage();
    expect(taken.map((reference) => reference.deref() !== undefined)).toEqual(taken.map((_, i) => i >= 90));
    expect(queue.length).toBe(10);
  });
});
