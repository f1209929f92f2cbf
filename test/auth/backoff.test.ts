import { expect, test } from 'vitest';
import { Backoff } from '../../src/auth/backoff.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

const attacker = '203.0.113.9';
const home = '198.51.100.7';

function fail(backoff: Backoff, times: number, user: string, address: string): void {
  for (let i = 0; i < times; i++) backoff.failed(user, address);
}

test('three failures cost nothing, then the wait doubles up to a minute', () => {
  const clock = new FakeClock();
  const backoff = new Backoff(clock);
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    backoff.failed('alice', attacker);
    const waitMs = backoff.waitMs('alice', attacker);
    waits.push(waitMs);
    clock.advance(waitMs);
    expect(backoff.waitMs('alice', attacker)).toBe(0);
  }
  expect(waits).toEqual([0, 0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test('a user is never held off elsewhere, nor another user at the same address', () => {
  const backoff = new Backoff(new FakeClock());
  fail(backoff, 40, 'alice', attacker);
  expect(backoff.waitMs('alice', attacker)).toBe(60_000);
  expect(backoff.waitMs('alice', home)).toBe(0);
  expect(backoff.waitMs('bob', attacker)).toBe(0);
});

test('a login that succeeds starts its user afresh, at its address alone', () => {
  const backoff = new Backoff(new FakeClock());
  fail(backoff, 5, 'alice', attacker);
  fail(backoff, 5, 'alice', home);
  backoff.succeeded('alice', home);
  expect(backoff.waitMs('alice', home)).toBe(0);
  expect(backoff.waitMs('alice', attacker)).toBe(2_000);
  fail(backoff, 3, 'alice', home);
  expect(backoff.waitMs('alice', home)).toBe(0);
});

test('an address that fails with many names is held off with all but those that logged in from there', () => {
  const backoff = new Backoff(new FakeClock());
  backoff.succeeded('resident', attacker);
  expect([backoff.hasSucceeded('resident', attacker), backoff.hasSucceeded('resident', home)]).toEqual([true, false]);
  for (let i = 0; i < 50; i++) backoff.failed(`user-${i}`, attacker);
  expect(backoff.waitMs('somebody', attacker)).toBe(0);
  for (let i = 50; i < 60; i++) backoff.failed(`user-${i}`, attacker);
  expect(backoff.waitMs('somebody', attacker)).toBe(60_000);
  expect(backoff.waitMs('resident', attacker)).toBe(0);
  expect(backoff.waitMs('somebody', home)).toBe(0);
});

test('one account does not buy more guesses at others', () => {
  const backoff = new Backoff(new FakeClock());
  for (let i = 0; i < 60; i++) {
    backoff.failed(`user-${i}`, attacker);
    backoff.succeeded('mallory', attacker);
  }
  expect(backoff.waitMs('victim', attacker)).toBe(60_000);
});

test('one who has logged in is held off for its own failures', () => {
  const backoff = new Backoff(new FakeClock());
  backoff.succeeded('alice', home);
  fail(backoff, 4, 'alice', home);
  expect(backoff.waitMs('alice', home)).toBe(1_000);
});

test('failures of an address are forgiven one by one, those of a user after ten minutes', () => {
  const clock = new FakeClock();
  const backoff = new Backoff(clock);
  for (let i = 0; i < 57; i++) backoff.failed(`user-${i}`, attacker);
  fail(backoff, 9, 'alice', home);
  clock.advance(300_000);
  // 57 less 30, and one more.
  backoff.failed('somebody', attacker);
  expect(backoff.waitMs('somebody', attacker)).toBe(0);
  backoff.failed('alice', home);
  expect(backoff.waitMs('alice', home)).toBe(60_000);
  clock.advance(600_000);
  backoff.failed('alice', home);
  expect(backoff.waitMs('alice', home)).toBe(0);
});

test('failures at a shared address or a Unix socket count for the user there alone', () => {
  const backoff = new Backoff(new FakeClock(), { isShared: (address) => address === attacker });
  for (const address of [attacker, '/run/trellis.sock', '']) {
    for (let i = 0; i < 100; i++) backoff.failed(`user-${i}`, address);
    fail(backoff, 4, 'alice', address);
    expect(backoff.waitMs('somebody', address)).toBe(0);
    expect(backoff.waitMs('alice', address)).toBeGreaterThan(0);
  }
});

test('all addresses of an IPv6 network of 64 bits are one', () => {
  const backoff = new Backoff(new FakeClock());
  for (let i = 0; i < 4; i++) backoff.failed('alice', `[2001:db8:0:1::${i}]`);
  expect(backoff.waitMs('alice', '2001:db8:0:1:ffff::1')).toBe(1_000);
  expect(backoff.waitMs('alice', '[2001:db8:0:2::1]')).toBe(0);
});

test('tables keep to their size and forget who failed longest ago', () => {
  const backoff = new Backoff(new FakeClock(), { entriesMax: 100 });
  fail(backoff, 4, 'first', home);
  for (let i = 0; i < 1_000; i++) {
    backoff.failed(`user-${i}`, `10.0.${i >> 8}.${i & 255}`);
    backoff.succeeded(`other-${i}`, attacker);
  }
  expect(backoff.counters).toMatchObject({ pairs: 100, addresses: 100 });
  expect(backoff.waitMs('first', home)).toBe(0);
});

test('user names of 64 KiB and of object properties are kept apart', () => {
  const backoff = new Backoff(new FakeClock());
  const long = 'x'.repeat(65_534);
  fail(backoff, 4, `${long}a`, home);
  fail(backoff, 4, '__proto__', home);
  expect(backoff.waitMs(`${long}a`, home)).toBe(1_000);
  expect(backoff.waitMs(`${long}b`, home)).toBe(0);
  expect(backoff.waitMs('__proto__', home)).toBe(1_000);
  expect(backoff.waitMs('constructor', home)).toBe(0);
});

test('failures and attempts that were held off are counted', () => {
  const backoff = new Backoff(new FakeClock());
  fail(backoff, 4, 'alice', home);
  backoff.waitMs('alice', home);
  backoff.waitMs('alice', home);
  backoff.waitMs('bob', home);
  expect(backoff.counters).toEqual({ failed: 4, heldOff: 2, pairs: 1, addresses: 1 });
});
