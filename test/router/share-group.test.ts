import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createShareStrategy, type ShareStrategyName } from '../../src/router/share-group.ts';
import { Random } from '../fakes/random.ts';

interface Member {
  id: number;
  inFlightCount: number;
}

const NAMES: readonly ShareStrategyName[] = ['round-robin', 'random', 'sticky', 'least-in-flight'];

function membersOf(count: number): Member[] {
  return Array.from({ length: count }, (_, id) => ({ id, inFlightCount: 0 }));
}

function randomOf(seed: number): () => number {
  const random = new Random(seed);
  return () => random.next() / 2 ** 32;
}

const anyone = (): boolean => true;

describe('every strategy', () => {
  for (const name of NAMES) {
    test(`${name} picks an eligible member whenever there is one`, () => {
      const step = fc.oneof(
        fc.constant('join' as const),
        fc.record({ leave: fc.nat({ max: 20 }) }),
        fc.record({ pick: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }) }),
      );
      fc.assert(
        fc.property(fc.integer(), fc.array(step, { maxLength: 60 }), (seed, steps) => {
          const strategy = createShareStrategy<Member>(name, randomOf(seed));
          let members: Member[] = [];
          let nextId = 0;
          let isRight = true;
          for (const action of steps) {
            if (action === 'join') {
              members = [...members, { id: nextId++, inFlightCount: nextId % 3 }];
            } else if ('leave' in action) {
              const gone = members[action.leave];
              members = members.filter((member) => member !== gone);
              if (gone !== undefined) strategy.removed(gone);
            } else {
              const eligible = (member: Member): boolean => action.pick[member.id % 8] === true;
              const picked = strategy.pick(members, eligible);
              const candidates = members.filter(eligible);
              isRight &&= picked === undefined ? candidates.length === 0 : candidates.includes(picked);
            }
          }
          expect(isRight).toBe(true);
        }),
        { numRuns: 300 },
      );
    });

    test(`${name} picks nobody where there is nobody`, () => {
      const strategy = createShareStrategy<Member>(name, () => 0.999_999);
      expect(strategy.pick([], anyone)).toBeUndefined();
      expect(strategy.pick(membersOf(3), () => false)).toBeUndefined();
    });
  }
});

describe('round-robin', () => {
  test('gives each member its turn', () => {
    const members = membersOf(3);
    const strategy = createShareStrategy<Member>('round-robin', () => 0);
    const order = Array.from({ length: 7 }, () => strategy.pick(members, anyone)?.id);
    expect(order).toEqual([0, 1, 2, 0, 1, 2, 0]);
  });

  test('asks no more members than it has to', () => {
    const members = membersOf(1000);
    const strategy = createShareStrategy<Member>('round-robin', () => 0);
    let asked = 0;
    for (let i = 0; i < 1000; i++) strategy.pick(members, () => ++asked > 0);
    expect(asked).toBe(1000);
  });

  test('goes on with the next when members join or leave', () => {
    const a: Member = { id: 0, inFlightCount: 0 };
    const b: Member = { id: 1, inFlightCount: 0 };
    const c: Member = { id: 2, inFlightCount: 0 };
    const d: Member = { id: 3, inFlightCount: 0 };
    const strategy = createShareStrategy<Member>('round-robin', () => 0);
    expect(strategy.pick([a, b, c, d], anyone)).toBe(a);
    expect(strategy.pick([a, b, c, d], anyone)).toBe(b);
    strategy.removed(a);
    expect(strategy.pick([b, c, d], anyone)).toBe(c);
    strategy.removed(c);
    expect(strategy.pick([b, d], anyone)).toBe(d);
    expect(strategy.pick([a, b, d], anyone)).toBe(a);
    strategy.removed(a);
    expect(strategy.pick([b, d], anyone)).toBe(b);
  });

  test('skips those that are not eligible and stays fair among the others', () => {
    const members = membersOf(5);
    const strategy = createShareStrategy<Member>('round-robin', () => 0);
    const counts = new Map<number, number>();
    for (let i = 0; i < 300; i++) {
      const id = strategy.pick(members, (member) => member.id % 2 === 0)?.id ?? -1;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    expect(counts).toEqual(
      new Map([
        [0, 100],
        [2, 100],
        [4, 100],
      ]),
    );
  });
});

describe('random', () => {
  test('picks each eligible member about equally often, those behind a gap too', () => {
    const members = membersOf(8);
    const strategy = createShareStrategy<Member>('random', randomOf(1));
    const counts = new Map<number, number>();
    for (let i = 0; i < 12_000; i++) {
      const id = strategy.pick(members, (member) => member.id < 2 || member.id > 6)?.id ?? -1;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    expect(new Set(counts.keys())).toEqual(new Set([0, 1, 7]));
    // 4,000 each are expected, with a standard deviation of 52.
    for (const count of counts.values()) expect(Math.abs(count - 4000)).toBeLessThan(400);
  });
});

describe('sticky', () => {
  test('stays with a member until it leaves or is not eligible', () => {
    const members = membersOf(4);
    const strategy = createShareStrategy<Member>('sticky', () => 0.5);
    const first = strategy.pick(members, anyone);
    expect(first?.id).toBe(2);
    for (let i = 0; i < 10; i++) expect(strategy.pick(members, anyone)).toBe(first);
    const second = strategy.pick(members, (member) => member !== first);
    expect(second).not.toBe(first);
    for (let i = 0; i < 10; i++) expect(strategy.pick(members, anyone)).toBe(second);
    strategy.removed(second!);
    const others = members.filter((member) => member !== second);
    const third = strategy.pick(others, anyone);
    expect(others).toContain(third);
    expect(strategy.pick(others, anyone)).toBe(third);
  });
});

describe('least-in-flight', () => {
  test('picks the one with the fewest messages in flight', () => {
    const members = membersOf(4);
    for (const [i, count] of [3, 1, 2, 0].entries()) members[i]!.inFlightCount = count;
    const strategy = createShareStrategy<Member>('least-in-flight', () => 0);
    expect(strategy.pick(members, anyone)?.id).toBe(3);
    expect(strategy.pick(members, (member) => member.id !== 3)?.id).toBe(1);
  });

  test('keeps the load level, and takes turns among equals', () => {
    const members = membersOf(5);
    const strategy = createShareStrategy<Member>('least-in-flight', () => 0);
    const turns = Array.from({ length: 10 }, () => strategy.pick(members, anyone)?.id);
    expect(turns).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    members[2]!.inFlightCount = 3;
    for (let i = 0; i < 17; i++) strategy.pick(members, anyone)!.inFlightCount++;
    expect(members.map((member) => member.inFlightCount)).toEqual([4, 4, 4, 4, 4]);
  });
});
