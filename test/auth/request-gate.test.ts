import { expect, test } from 'vitest';
import { type Entry, RequestGate } from '../../src/auth/request-gate.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

function gate(insideMax: number, waitingMax: number): { clock: FakeClock; gate: RequestGate } {
  const clock = new FakeClock();
  return { clock, gate: new RequestGate({ insideMax, waitingMax, waitMsMax: 1_000, clock }) };
}

/** Notes how each entry ended, in the order they end. */
function enter(entering: RequestGate, names: string, ends: string[]): void {
  for (const name of names) void entering.enter().then((entry: Entry) => ends.push(`${name} ${entry}`));
}

test('so many are let in, so many wait in their order, and the others are turned away', async () => {
  const { clock, gate: tested } = gate(2, 2);
  const ends: string[] = [];
  enter(tested, 'abcdef', ends);
  await clock.settle();
  expect(ends).toEqual(['a entered', 'b entered', 'e full', 'f full']);
  tested.leave();
  tested.leave();
  await clock.settle();
  expect(ends.slice(4)).toEqual(['c entered', 'd entered']);
  tested.leave();
  enter(tested, 'g', ends);
  await clock.settle();
  expect(ends.slice(6)).toEqual(['g entered']);
});

test('who has waited for too long is turned away when a place is given back', async () => {
  const { clock, gate: tested } = gate(1, 9);
  const ends: string[] = [];
  enter(tested, 'abc', ends);
  clock.advance(600);
  enter(tested, 'd', ends);
  clock.advance(401);
  tested.leave();
  await clock.settle();
  expect(ends).toEqual(['a entered', 'b late', 'c late', 'd entered']);
  clock.advance(2_000);
  tested.leave();
  enter(tested, 'ef', ends);
  await clock.settle();
  expect(ends.slice(4)).toEqual(['e entered']);
});
