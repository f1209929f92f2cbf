import { beforeEach, expect, test } from 'vitest';
import { CircuitBreaker } from '../../src/auth/circuit-breaker.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

let clock: FakeClock;
let breaker: CircuitBreaker;
let changes: boolean[];

beforeEach(() => {
  clock = new FakeClock();
  changes = [];
  breaker = new CircuitBreaker({ failuresMax: 3, pauseMs: 1_000, clock, onChange: (isOpen) => changes.push(isOpen) });
});

function fail(times: number): void {
  for (let count = 0; count < times; count++) {
    expect(breaker.tryEnter()).toBe(true);
    breaker.failed();
  }
}

test('it opens after so many failures in a row', () => {
  fail(2);
  expect(breaker.refuses).toBe(false);
  fail(1);
  expect(breaker.refuses).toBe(true);
  expect(breaker.tryEnter()).toBe(false);
  expect(changes).toEqual([true]);
});

test('a success in between begins the count anew', () => {
  fail(2);
  breaker.succeeded();
  fail(2);
  expect(breaker.refuses).toBe(false);
  expect(changes).toEqual([]);
});

test('after the pause one request is let through, and its success closes it', () => {
  fail(3);
  clock.advance(999);
  expect(breaker.tryEnter()).toBe(false);
  clock.advance(1);
  expect(breaker.tryEnter()).toBe(true);
  expect(breaker.tryEnter()).toBe(false);
  expect(breaker.refuses).toBe(true);
  breaker.succeeded();
  expect(breaker.refuses).toBe(false);
  fail(2);
  expect(breaker.refuses).toBe(false);
  expect(changes).toEqual([true, false]);
});

test('the failure of that request opens it for another pause', () => {
  fail(3);
  clock.advance(1_000);
  fail(1);
  clock.advance(999);
  expect(breaker.tryEnter()).toBe(false);
  clock.advance(1);
  expect(breaker.tryEnter()).toBe(true);
  expect(changes).toEqual([true]);
});

test('failures of requests made before it opened do not lengthen the pause', () => {
  fail(3);
  clock.advance(900);
  breaker.failed();
  clock.advance(100);
  expect(breaker.tryEnter()).toBe(true);
});
