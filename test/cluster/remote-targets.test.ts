import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  moreThan,
  NO_TARGETS,
  type RemoteEntry,
  type RemoteShare,
  type RemoteTargets,
} from '../../src/cluster/remote-targets.ts';
import { inOrder } from './naive-table.ts';

const entries: fc.Arbitrary<RemoteEntry> = fc.record({
  queueId: fc.integer({ min: 1, max: 4 }),
  nodeId: fc.constantFrom('n1', 'n2'),
  qos: fc.constantFrom(1, 2),
  retain: fc.boolean(),
  subscriptionIdentifiers: fc.array(fc.constantFrom(1, 2), { maxLength: 2 }),
});

const shares: fc.Arbitrary<RemoteShare> = fc.record({
  shareKey: fc.constantFrom('g/a', 'h/a', 'g/#'),
  parts: fc.array(
    fc.record({ nodeId: fc.constantFrom('n1', 'n2'), queueId: fc.constantFrom(8, 9), online: fc.nat(2) }),
    { minLength: 1, maxLength: 2 },
  ),
});

const targets: fc.Arbitrary<RemoteTargets> = fc
  .record({
    entries: fc.array(entries, { maxLength: 8 }),
    nodes: fc.uniqueArray(fc.constantFrom('n1', 'n2', 'n3')),
    shares: fc.uniqueArray(shares, { selector: ({ shareKey }) => shareKey }),
  })
  .map((all) => (all.entries.length + all.nodes.length + all.shares.length === 0 ? NO_TARGETS : all));

function entry(queueId: number, ...subscriptionIdentifiers: number[]): RemoteEntry {
  return { queueId, nodeId: 'n1', qos: 1, retain: false, subscriptionIdentifiers };
}

function entriesOnly(...list: RemoteEntry[]): RemoteTargets {
  return { entries: list, nodes: [], shares: [] };
}

function countOf(of: RemoteTargets, queueId: number): number {
  return of.entries.filter((one) => one.queueId === queueId).length;
}

describe('what is more than before', () => {
  test('makes up for all that was missing, and nothing else', () => {
    fc.assert(
      fc.property(targets, targets, (before, now) => {
        const copies = [inOrder(before), inOrder(now)];
        const more = moreThan(before, now);
        for (let queueId = 1; queueId <= 4; queueId++) {
          expect(countOf(more, queueId)).toBe(Math.max(0, countOf(now, queueId) - countOf(before, queueId)));
        }
        const available = [...now.entries];
        for (const one of more.entries) {
          const at = available.indexOf(one);
          expect(at).toBeGreaterThanOrEqual(0);
          available.splice(at, 1);
        }
        expect(more.nodes).toEqual(now.nodes.filter((nodeId) => !before.nodes.includes(nodeId)));
        const had = before.shares.map(({ shareKey }) => shareKey);
        expect(more.shares).toEqual(now.shares.filter(({ shareKey }) => !had.includes(shareKey)));
        expect([inOrder(before), inOrder(now)]).toEqual(copies);
        const isEmpty = more.entries.length + more.nodes.length + more.shares.length === 0;
        expect(more === NO_TARGETS).toBe(isEmpty);
      }),
      { numRuns: 1000 },
    );
  });

  test('is nothing of the same, and everything of nothing', () => {
    fc.assert(
      fc.property(targets, (some) => {
        expect(moreThan(some, some)).toBe(NO_TARGETS);
        const copy = some === NO_TARGETS ? some : { ...some, entries: [...some.entries] };
        expect(moreThan(some, copy)).toBe(NO_TARGETS);
        expect(moreThan(some, NO_TARGETS)).toBe(NO_TARGETS);
        expect(moreThan(NO_TARGETS, some)).toBe(some);
      }),
    );
  });

  test('is no entry that only has other options, or is on another node now', () => {
    const now = entriesOnly({ ...entry(1, 1), nodeId: 'n2', qos: 2, retain: true }, entry(2));
    expect(moreThan(entriesOnly(entry(1)), now)).toEqual(entriesOnly(entry(2)));
  });

  test('is the entry of the subscription that came, where a queue has several', () => {
    const before = entriesOnly(entry(1, 1), entry(1, 2), entry(2));
    const now = entriesOnly(entry(1, 3), entry(1, 2), entry(1, 1), entry(2));
    expect(moreThan(before, now)).toEqual(entriesOnly(entry(1, 3)));
  });
});
