import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RemoteTable } from '../../src/cluster/remote-table.ts';
import { NO_TARGETS, type RemoteTargets } from '../../src/cluster/remote-targets.ts';
import type { TopologyChange } from '../../src/store/topology-change.ts';
import { Message, type MessageFields } from '../../src/protocol/message.ts';
import type { SubscriptionRecord } from '../../src/store/store.ts';
import { topicFilters, topicNames } from '../router/naive-match.ts';
import { inOrder, NaiveTable } from './naive-table.ts';
import { topologyChanges } from '../support/topology-changes.ts';

const OWN = 'n0';

const plain: SubscriptionRecord = {
  topicFilter: 'a/b',
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  subscriptionIdentifier: 0,
};

function message(topicName: string, fields: Partial<MessageFields> = {}): Message {
  return new Message({ topicName, qos: 1, payload: Buffer.alloc(0), ...fields });
}

/** The queue a session of these tests has. */
function queueOf(clientId: string): number {
  return clientId.charCodeAt(0);
}

function put(clientId: string, nodeId: string, record: Partial<SubscriptionRecord> = {}): TopologyChange {
  const queueId = queueOf(clientId);
  return { kind: 'subscription-put', clientId, nodeId, queueId, record: { ...plain, ...record } };
}

/** Applies changes one by one; the sessions of the own node come here, and leave, with them. */
function apply(table: RemoteTable, changes: readonly TopologyChange[], version: number): void {
  if (changes.length === 0) table.apply([], version);
  for (const change of changes) {
    table.apply([change], version);
    if (change.kind === 'subscription-put' || change.kind === 'session-moved')
      table.setHere(change.clientId, change.nodeId === OWN);
  }
}

function tableOf(...changes: TopologyChange[]): RemoteTable {
  const table = new RemoteTable(OWN, { overlap: 'once' }, () => false);
  apply(table, changes, 1);
  return table;
}

const clientIds = fc.constantFrom('c', 'd', '__proto__');

const changes = topologyChanges({
  clientIds,
  nodeIds: fc.constantFrom(OWN, 'n1', 'n2', 'constructor'),
  queueIds: fc.constantFrom(1, 1, 1, 2),
  shareNames: fc.constantFrom('g', 'h'),
  topicFilters: fc.oneof(topicFilters, fc.constantFrom('a', 'a', 'a/b', 'a/+', '#')),
});

/** Often the same few, so that what is kept of a match is used. */
const names = fc.oneof(topicNames, fc.constantFrom('a', 'a/b'));

const messages: fc.Arbitrary<Message> = fc
  .record({
    topicName: names,
    qos: fc.constantFrom(0, 1, 2),
    retain: fc.boolean(),
    publisherId: fc.oneof(fc.constant(''), clientIds),
    payload: fc.constant(Buffer.alloc(0)),
  })
  .map((fields) => new Message(fields));

describe('against a naive model', () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.array(changes, { minLength: 1, maxLength: 4 }) },
      { weight: 3, arbitrary: messages },
    ),
    { maxLength: 60 },
  );
  // All kinds of message on a few names, so that what is kept of one is used for another.
  const lastNames = fc.array(names, { minLength: 1, maxLength: 3 });

  for (const overlap of ['once', 'per-subscription'] as const) {
    test(`targets are those of the takers that changes tell of, overlap ${overlap}`, () => {
      fc.assert(
        fc.property(steps, lastNames, (list, last) => {
          const table = new RemoteTable(OWN, { overlap }, () => false);
          const model = new NaiveTable(OWN, overlap === 'once');
          const given = new Map<RemoteTargets, RemoteTargets>();
          const compare = (published: Message): void => {
            const targets = table.match(published);
            const copy = inOrder(targets);
            expect(copy).toEqual(inOrder(model.match(published)));
            given.set(targets, copy);
          };
          let version = 0;
          for (const step of list) {
            if (step instanceof Message) {
              compare(step);
              continue;
            }
            version++;
            apply(table, step, version);
            for (const change of step) model.apply(change);
            expect(table.version).toBe(version);
          }
          for (const topicName of last) {
            for (const qos of [0, 1, 2] as const) {
              for (const retain of [false, true]) {
                for (const publisherId of ['', 'c', 'd']) compare(message(topicName, { qos, retain, publisherId }));
              }
            }
          }
          // What was given out stays as it was, whatever changed since.
          for (const [targets, copy] of given) expect(inOrder(targets)).toEqual(copy);
        }),
        { numRuns: 500 },
      );
    });
  }

  test('a change that comes twice in a row changes nothing more', () => {
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 40 }), messages, (list, published) => {
        const once = tableOf(...list);
        const twice = tableOf(...list.flatMap((change) => [change, change]));
        expect(inOrder(twice.match(published))).toEqual(inOrder(once.match(published)));
      }),
      { numRuns: 300 },
    );
  });
});

describe('targets', () => {
  test('are entries of stored sessions, with all that a delivery needs', () => {
    const table = tableOf(put('c', 'n1', { qos: 2, retainAsPublished: true, subscriptionIdentifier: 7 }));
    const entry = { queueId: queueOf('c'), nodeId: 'n1', qos: 2, retain: true, subscriptionIdentifiers: [7] };
    expect(table.match(message('a/b', { qos: 2, retain: true }))).toEqual({ entries: [entry], nodes: [], shares: [] });
    expect(table.match(message('a/b')).entries).toEqual([{ ...entry, qos: 1, retain: false }]);
  });

  test('are the node, once, where a message or a subscription has QoS 0', () => {
    const table = tableOf(put('c', 'n1'), put('d', 'n1'), put('e', 'n2', { qos: 0 }));
    expect(table.match(message('a/b', { qos: 0 }))).toEqual({ entries: [], nodes: ['n1', 'n2'], shares: [] });
    const targets = table.match(message('a/b'));
    expect(targets.entries.map(({ queueId }) => queueId)).toEqual([queueOf('c'), queueOf('d')]);
    expect(targets.nodes).toEqual(['n2']);
  });

  test('are nodes with routes, and what nodes have of shares', () => {
    const table = tableOf(
      { kind: 'route-put', nodeId: 'n1', topicFilter: 'a/#' },
      { kind: 'route-put', nodeId: 'n1', topicFilter: 'a/b' },
      { kind: 'share-put', nodeId: 'n1', shareKey: 'g/a/+', queueId: 5, online: 0 },
      { kind: 'share-put', nodeId: 'n2', shareKey: 'g/a/+', queueId: 6, online: 3 },
    );
    const parts = [
      { nodeId: 'n1', queueId: 5, online: 0, isOrphan: false },
      { nodeId: 'n2', queueId: 6, online: 3, isOrphan: false },
    ];
    const targets = { entries: [], nodes: ['n1'], shares: [{ shareKey: 'g/a/+', parts }] };
    expect(table.match(message('a/b'))).toEqual(targets);
  });

  test('are never on the node itself', () => {
    const table = tableOf(
      put('c', OWN),
      { kind: 'route-put', nodeId: OWN, topicFilter: 'a/b' },
      { kind: 'share-put', nodeId: OWN, shareKey: 'g/a/b', queueId: 5, online: 1 },
    );
    expect(table.match(message('a/b'))).toBe(NO_TARGETS);
    expect(table.match(message('a/b', { qos: 0 }))).toBe(NO_TARGETS);
  });

  test('are not the session that published, where it wants none of its own', () => {
    const table = tableOf(put('c', 'n1', { noLocal: true }), put('c', 'n1', { topicFilter: 'x/+', noLocal: true }));
    apply(table, [put('c', 'n1', { topicFilter: 'x/#', qos: 0 }), put('d', 'n2')], 2);
    const queues = (published: Message): number[] => table.match(published).entries.map(({ queueId }) => queueId);
    expect(queues(message('a/b', { publisherId: 'c' }))).toEqual([queueOf('d')]);
    expect(queues(message('a/b', { publisherId: 'd' }))).toEqual([queueOf('c'), queueOf('d')]);
    // Of overlapping subscriptions those that want it are left.
    expect(table.match(message('x/1', { publisherId: 'c' }))).toEqual({ entries: [], nodes: ['n1'], shares: [] });
    expect(queues(message('x/1'))).toEqual([queueOf('c')]);
  });
});

describe('a session', () => {
  test('that moves keeps its subscriptions: away from this node, on to another, and back', () => {
    const table = tableOf(put('c', OWN), put('c', OWN, { topicFilter: 'a/+', qos: 2 }));
    const nodeIds = (): string[] => table.match(message('a/b')).entries.map(({ nodeId }) => nodeId);
    expect(nodeIds()).toEqual([]);
    apply(table, [{ kind: 'session-moved', clientId: 'c', nodeId: 'n1' }], 2);
    expect(nodeIds()).toEqual(['n1']);
    apply(table, [{ kind: 'session-moved', clientId: 'c', nodeId: 'n2' }], 3);
    expect(nodeIds()).toEqual(['n2']);
    apply(table, [{ kind: 'session-moved', clientId: 'c', nodeId: OWN }], 4);
    expect(table.match(message('a/b'))).toBe(NO_TARGETS);
  });

  test('outlives its node, as its shares do, which stand in then; its routes go', () => {
    const table = tableOf(
      put('c', 'n1'),
      { kind: 'route-put', nodeId: 'n1', topicFilter: 'a/b' },
      { kind: 'share-put', nodeId: 'n1', shareKey: 'g/a/b', queueId: 5, online: 1 },
    );
    apply(table, [{ kind: 'node-delete', nodeId: 'n1' }], 2);
    const targets = table.match(message('a/b'));
    expect(targets.entries.map(({ queueId }) => queueId)).toEqual([queueOf('c')]);
    expect(targets.nodes).toEqual([]);
    const part = { nodeId: 'n1', queueId: 5, online: 0, isOrphan: true };
    expect(targets.shares).toEqual([{ shareKey: 'g/a/b', parts: [part] }]);
  });

  test('with many subscriptions keeps each of them, changed, removed and moved', () => {
    const filters = Array.from({ length: 20 }, (_, i) => `s/${i}`);
    const table = tableOf(...filters.map((topicFilter) => put('c', OWN, { topicFilter })));
    apply(table, [put('c', OWN, { topicFilter: 's/3', qos: 2 }), put('c', OWN, { topicFilter: 's/19', qos: 0 })], 2);
    apply(table, [{ kind: 'subscription-delete', clientId: 'c', topicFilter: 's/4' }], 3);
    apply(table, [{ kind: 'session-moved', clientId: 'c', nodeId: 'n1' }], 4);
    const qos = filters.map((topicName) => table.match(message(topicName, { qos: 2 })).entries[0]?.qos);
    expect(qos).toEqual(filters.map((_, i) => (i === 4 || i === 19 ? undefined : i === 3 ? 2 : 1)));
    expect(table.match(message('s/19')).nodes).toEqual(['n1']);
    apply(table, [{ kind: 'session-delete', clientId: 'c' }], 5);
    for (const topicName of filters) expect(table.match(message(topicName))).toBe(NO_TARGETS);
  });

  test.each([{ qos: 2 }, { noLocal: true }, { retainAsPublished: true }, { subscriptionIdentifier: 9 }] as const)(
    'gets what its subscription says since it changed to %j',
    (change) => {
      const published = message('a/b', { qos: 2, retain: true, publisherId: 'c' });
      const table = tableOf(put('c', 'n1'));
      const before = table.match(published);
      apply(table, [put('c', 'n1', change)], 2);
      expect(table.match(published)).not.toEqual(before);
      expect(table.match(published)).toEqual(tableOf(put('c', 'n1', change)).match(published));
    },
  );

  test('with another queue is another one: subscriptions of the former are gone', () => {
    const table = tableOf(put('c', 'n1'));
    const record = { ...plain, topicFilter: 'x' };
    apply(table, [{ kind: 'subscription-put', clientId: 'c', nodeId: 'n1', queueId: 1, record }], 2);
    expect(table.match(message('a/b'))).toBe(NO_TARGETS);
    expect(table.match(message('x')).entries.map(({ queueId }) => queueId)).toEqual([1]);
  });
});

describe('what is kept of a match', () => {
  test('is given again, until something changes that concerns it', () => {
    const table = tableOf(put('c', 'n1'), put('d', 'n2'), put('d', 'n2', { topicFilter: 'x' }));
    const kept = table.match(message('a/b'));
    table.match(message('x'));
    apply(table, [put('d', 'n2', { topicFilter: 'y' }), put('c', 'n1')], 2);
    expect(table.match(message('a/b'))).toBe(kept);
    // No subscription here has QoS 2 or Retain As Published, so that it makes no difference.
    expect(table.match(message('a/b', { qos: 2, retain: true, publisherId: 'c' }))).toBe(kept);
    apply(table, [put('d', 'n2', { topicFilter: '+/z' })], 3);
    expect(table.match(message('a/b'))).not.toBe(kept);
    expect(table.match(message('a/b'))).toEqual(kept);
  });

  test('is the same for all topic names that one taker alone gets', () => {
    const table = tableOf(put('c', 'n1', { topicFilter: 's/+' }), {
      kind: 'route-put',
      nodeId: 'n1',
      topicFilter: 'r/#',
    });
    for (const [one, other] of [
      ['s/1', 's/2'],
      ['r/1', 'r/2'],
    ] as const) {
      const kept = table.match(message(one));
      expect(table.match(message(other))).toBe(kept);
      expect(table.match(message('x'))).toBe(NO_TARGETS);
      expect(table.match(message(one))).toBe(kept);
    }
    apply(table, [{ kind: 'session-moved', clientId: 'c', nodeId: 'n2' }], 2);
    expect(table.match(message('s/3')).entries.map(({ nodeId }) => nodeId)).toEqual(['n2']);
  });

  test('is one and the same empty result where nothing matches', () => {
    const table = tableOf(put('c', 'n1'));
    expect(table.match(message('x'))).toBe(NO_TARGETS);
    expect(table.match(message('y', { qos: 0 }))).toBe(NO_TARGETS);
    apply(table, [put('c', 'n1', { noLocal: true })], 2);
    expect(table.match(message('a/b', { publisherId: 'c' }))).toBe(NO_TARGETS);
  });
});

describe('the version', () => {
  test('is that of the last changes, and never goes back', () => {
    const table = new RemoteTable(OWN, { overlap: 'once' }, () => false);
    expect(table.version).toBe(0);
    apply(table, [], 5);
    apply(table, [put('c', 'n1')], 5);
    expect(table.version).toBe(5);
    expect(() => apply(table, [], 4)).toThrow('topology version 4 comes after 5');
    expect(table.version).toBe(5);
  });

  test('is 0 again when everything is forgotten', () => {
    const route: TopologyChange = { kind: 'route-put', nodeId: 'n1', topicFilter: 'a/#' };
    const share: TopologyChange = { kind: 'share-put', nodeId: 'n1', shareKey: 'g/a/b', queueId: 5, online: 1 };
    const table = tableOf(put('c', 'n1'), route, share);
    const before = table.match(message('a/b'));
    table.clear();
    expect(table.version).toBe(0);
    expect(table.match(message('a/b'))).toBe(NO_TARGETS);
    apply(table, [{ kind: 'session-moved', clientId: 'c', nodeId: 'n2' }], 1);
    expect(table.match(message('a/b'))).toBe(NO_TARGETS);
    apply(table, [put('c', 'n1'), route, share], 2);
    expect(table.match(message('a/b'))).toEqual(before);
  });
});

test('200,000 subscriptions take less than 150 MB of heap, here or elsewhere, and give it back', async () => {
  const script = fileURLToPath(new URL('remote-table-memory.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script], { timeout: 60_000 });
  const { remote, own, empty, targets, left }: Record<string, number> = JSON.parse(stdout);
  expect(targets).toBe(2);
  for (const bytes of [remote, own]) {
    expect(bytes).toBeGreaterThan(1_000_000);
    expect(bytes).toBeLessThan(150_000_000);
  }
  expect(empty).toBeLessThan(1_000_000);
  expect(left).toBe(0);
}, 70_000);
