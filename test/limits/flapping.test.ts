import { beforeEach, describe, expect, test } from 'vitest';
import { FlappingGuard } from '../../src/limits/flapping.ts';
import { heldBytes } from '../faults/held-bytes.ts';
import { LimitCounters } from '../../src/limits/limit-counters.ts';

const SETTINGS = { connectsMax: 10, failuresMax: 5, windowMs: 60_000, banMs: 30_000 };

let counters: LimitCounters;
let guard: FlappingGuard;

beforeEach(() => {
  counters = new LimitCounters();
  guard = new FlappingGuard(SETTINGS, counters);
});

describe('a client id', () => {
  test('that connects more often than allowed is sent away for a while', () => {
    const banned = Array.from({ length: 11 }, (_, at) => guard.noteConnected('bob', 'sensor', at));
    expect(banned).toEqual([...Array.from({ length: 10 }, () => false), true]);
    expect(guard.refusesClient('bob', 'sensor', 11)).toBe(true);
    expect(guard.refusesClient('bob', 'sensor', 10 + 29_999)).toBe(true);
    expect(guard.refusesClient('bob', 'sensor', 10 + 30_000)).toBe(false);
    expect(counters.get('flapping-client')).toBe(2);
  });

  test('that connects no more often than allowed never is', () => {
    for (let now = 0; now < 100 * 6_000; now += 6_000) expect(guard.noteConnected('bob', 'sensor', now)).toBe(false);
  });

  test('is not sent away for what another user does with its name', () => {
    for (let now = 0; now < 1000; now++) guard.noteConnected('mallory', 'sensor', now);
    expect(guard.refusesClient('mallory', 'sensor', 1000)).toBe(true);
    expect(guard.refusesClient('bob', 'sensor', 1000)).toBe(false);
    expect(guard.refusesClient('mallory', 'other', 1000)).toBe(false);
  });

  test('is not counted for those who have not proven who they are', () => {
    for (let now = 0; now < 1000; now++) expect(guard.noteConnected('', 'sensor', now)).toBe(false);
    expect(guard.refusesClient('', 'sensor', 1000)).toBe(false);
  });

  test('and user name together are never mistaken for others', () => {
    for (let now = 0; now < 20; now++) guard.noteConnected('bob', 's1', now);
    expect(guard.refusesClient('bob', 's1', 20)).toBe(true);
    for (const [username, clientId] of [
      ['bobs', '1'],
      ['bo', 'bs1'],
      ['', 'bobs1'],
      ['bobs1', ''],
    ] as const)
      expect(guard.refusesClient(username, clientId, 20)).toBe(false);
  });

  test('is not kept away longer because it goes on trying', () => {
    for (let now = 0; now <= 10; now++) guard.noteConnected('bob', 'sensor', now);
    for (let now = 11; now < 30_010; now += 100) expect(guard.refusesClient('bob', 'sensor', now)).toBe(true);
    expect(guard.refusesClient('bob', 'sensor', 30_010)).toBe(false);
    expect(guard.noteConnected('bob', 'sensor', 30_010)).toBe(false);
  });
});

describe('an address', () => {
  test('that fails more often than allowed is sent away for a while', () => {
    for (let now = 0; now < 5; now++) expect(guard.noteFailure('10.0.0.1', now)).toBe(false);
    expect(guard.noteFailure('10.0.0.1', 5)).toBe(true);
    expect(guard.refusesAddress('10.0.0.1', 6)).toBe(true);
    expect(guard.refusesAddress('10.0.0.2', 6)).toBe(false);
    expect(guard.refusesAddress('10.0.0.1', 30_005)).toBe(false);
    expect(counters.get('flapping-address')).toBe(1);
  });

  test('that is exempt is not counted', () => {
    for (let now = 0; now < 100; now++) expect(guard.noteFailure('', now)).toBe(false);
    expect(guard.refusesAddress('', 100)).toBe(false);
  });

  test('is not sent away for its failures where that is turned off', () => {
    const off = new FlappingGuard({ ...SETTINGS, failuresMax: 0, connectsMax: 0 }, counters);
    for (let now = 0; now < 100; now++) {
      expect(off.noteFailure('10.0.0.1', now)).toBe(false);
      expect(off.noteConnected('bob', 'sensor', now)).toBe(false);
    }
  });
});

test('names are kept no longer than they count, and long ones cost no more than short ones', () => {
  const before = heldBytes();
  for (let index = 0; index < 2_000; index++) guard.noteConnected('bob', `${index}${'x'.repeat(60_000)}`, index);
  expect(heldBytes() - before).toBeLessThan(4_000_000);
  expect(guard.size).toBe(2_000);
  const long = 'y'.repeat(60_000);
  for (let at = 0; at < 11; at++) guard.noteConnected('bob', `${long}1`, 2_000);
  expect(guard.refusesClient('bob', `${long}1`, 2_000)).toBe(true);
  expect(guard.refusesClient('bob', `${long}2`, 2_000)).toBe(false);
  // Two go for each that comes.
  for (let index = 0; index < 1_500; index++) guard.noteConnected('bob', `new-${index}`, 70_000);
  expect(guard.size).toBe(1_500);
});

test('a flood of names makes it forget no ban, and takes bounded memory', () => {
  for (let now = 0; now < 10; now++) guard.noteFailure('10.0.0.1', now);
  // Of all these only the last 65,536 are kept: the first of them has been forgotten and fails anew.
  for (let at = 0; at < 5; at++) guard.noteFailure('first', 10);
  for (let index = 0; index < 70_000; index++) guard.noteFailure(`a${index}`, 10);
  expect(guard.refusesAddress('10.0.0.1', 11)).toBe(true);
  expect(guard.noteFailure('first', 11)).toBe(false);
});
