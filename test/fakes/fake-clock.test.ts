import { describe, expect, test } from 'vitest';
import { FakeClock } from './fake-clock.ts';

describe('the fake clock', () => {
  test('stands still until it is moved', async () => {
    const clock = new FakeClock(1000);
    await clock.settle();
    expect(clock.now()).toBe(1000);
    clock.advance(5);
    expect(clock.now()).toBe(1005);
  });

  test('runs timers in the order of their deadlines, each at its own time, those they set included', () => {
    const clock = new FakeClock(0);
    const runs: [string, number][] = [];
    const note = (name: string) => (): void => void runs.push([name, clock.now()]);
    clock.setTimeout(note('late'), 30);
    clock.setTimeout(note('early'), 10);
    clock.setTimeout(note('early too'), 10);
    clock.setTimeout(() => clock.setTimeout(note('nested'), 5), 10);
    clock.setTimeout(note('beyond'), 31);
    clock.advance(30);
    expect(runs).toEqual([
      ['early', 10],
      ['early too', 10],
      ['nested', 15],
      ['late', 30],
    ]);
    expect([clock.now(), clock.pendingTimers]).toEqual([30, 1]);
  });

  test('forgets a cancelled timer, and does not mind a late cancel', () => {
    const clock = new FakeClock();
    let runs = 0;
    const cancelled = clock.setTimeout(() => runs++, 1);
    const ran = clock.setTimeout(() => runs++, 1);
    cancelled.cancel();
    clock.advance(1);
    ran.cancel();
    expect([runs, clock.pendingTimers]).toEqual([1, 0]);
  });

  test('runs one turn of immediates at a time, or all until it is quiet', async () => {
    const clock = new FakeClock();
    const order: string[] = [];
    clock.setImmediate(() => {
      order.push('first');
      clock.setImmediate(() => {
        order.push('second');
        void Promise.resolve().then(() => clock.setImmediate(() => order.push('third')));
      });
    });
    clock.runImmediates();
    expect(order).toEqual(['first']);
    expect(clock.pendingImmediates).toBe(1);
    await clock.settle();
    expect(order).toEqual(['first', 'second', 'third']);
  });

  test('passes time with everything settled between the timers', async () => {
    const clock = new FakeClock(0);
    const order: string[] = [];
    clock.setTimeout(() => {
      clock.setImmediate(() => void order.push(`immediate at ${clock.now()}`));
    }, 10);
    clock.setTimeout(() => void order.push('timer'), 20);
    await clock.pass(20);
    expect(order).toEqual(['immediate at 10', 'timer']);
    expect(clock.now()).toBe(20);
  });
});
