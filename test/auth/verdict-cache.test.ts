import { expect, test } from 'vitest';
import type { Verdict } from '../../src/auth/authenticator.ts';
import { VerdictCache } from '../../src/auth/verdict-cache.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

const refusal: Verdict = { kind: 'refused', reason: 'no' };

test('a verdict is good for its time', () => {
  const clock = new FakeClock();
  const cache = new VerdictCache({ entriesMax: 10, forMs: 1_000, clock });
  cache.set('a', refusal);
  clock.advance(999);
  expect(cache.get('a')).toBe(refusal);
  clock.advance(1);
  expect(cache.get('a')).toBeUndefined();
});

test('a verdict is not good for longer than the right that it gives', () => {
  const clock = new FakeClock();
  const cache = new VerdictCache({ entriesMax: 10, forMs: 1_000, clock });
  cache.set('a', { kind: 'accepted', username: 'a', expiresAt: clock.now() + 10 });
  clock.advance(9);
  expect(cache.get('a')).toBeDefined();
  clock.advance(1);
  expect(cache.get('a')).toBeUndefined();
});

test('above its size the oldest are forgotten', () => {
  const cache = new VerdictCache({ entriesMax: 2, forMs: 1_000, clock: new FakeClock() });
  for (const key of ['a', 'b', 'a', 'c']) cache.set(key, refusal);
  expect(['a', 'b', 'c'].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true]);
});

test('with no time nothing is remembered', () => {
  const cache = new VerdictCache({ entriesMax: 2, forMs: 0, clock: new FakeClock() });
  cache.set('a', refusal);
  expect(cache.get('a')).toBeUndefined();
});

test('keys do not show what was asked, and differ between processes', () => {
  const options = { entriesMax: 2, forMs: 0, clock: new FakeClock() };
  const cache = new VerdictCache(options);
  expect(cache.keyOf('password')).toBe(cache.keyOf('password'));
  expect(cache.keyOf('password')).not.toBe(cache.keyOf('Password'));
  expect(cache.keyOf('password')).not.toBe(new VerdictCache(options).keyOf('password'));
});
