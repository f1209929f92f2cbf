import { expect, test } from 'vitest';
import { FakeClock } from '../fakes/fake-clock.ts';
import { SocketClock } from './socket-clock.ts';

test('time and timers stand still until they are moved, while ends of ticks come by themselves', async () => {
  const fake = new FakeClock();
  const clock = new SocketClock(fake);
  const started = clock.now();
  const events: string[] = [];
  clock.setTimeout(() => events.push('timer'), 10);
  clock.setTimeout(() => events.push('cancelled'), 10).cancel();
  await new Promise<void>((resolve) => clock.setImmediate(resolve));
  expect(events).toEqual([]);
  fake.advance(9);
  expect(events).toEqual([]);
  fake.advance(1);
  expect(events).toEqual(['timer']);
  expect(clock.now() - started).toBe(10);
});
