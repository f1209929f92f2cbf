import { describe, expect, test } from 'vitest';
import { NodeCluster, type NodeBroker } from '../../src/cluster/node-cluster.ts';
import { Message } from '../../src/protocol/message.ts';
import type { WritePath } from '../../src/session/write-path.ts';
import type { SharedStore } from '../../src/store/shared-store.ts';
import type { Mutation } from '../../src/store/store.ts';

/** A node whose broker does what a test says when a client id has to be handed over. */
class Node {
  readonly added: Mutation[] = [];
  readonly refused: string[] = [];
  readonly cluster: NodeCluster;
  hasSession = false;
  /** Parts here of every shared subscription. */
  readonly parts: { shareKey: string; queueId: number }[] = [];

  constructor(release: (node: Node, clientId: string) => ReturnType<NodeBroker['release']>) {
    const writePath = { ticket: 2, add: (mutation: Mutation) => this.added.push(mutation), wait: () => {} };
    const broker = {
      writePath: writePath as unknown as WritePath,
      sessionQueue: () => (this.hasSession ? 1 : undefined),
      hasWill: () => false,
      hasQueue: () => false,
      deliverLate: () => {},
      localParts: () => this.parts,
      anyPart: (shareKey: string) => this.parts.find((part) => part.shareKey === shareKey)?.queueId,
      release: (clientId: string) => release(this, clientId),
    } satisfies Partial<NodeBroker> as unknown as NodeBroker;
    const store = {
      nodeId: 'here',
      claim: () =>
        Promise.resolve({
          tenure: 0,
          state: { sessions: [], subscriptions: [], groups: [], queues: [], inbound: [], wills: [], mailboxes: [] },
        }),
      caughtUp: () => Promise.resolve(),
      refuse: (clientId: string) => this.refused.push(clientId),
    } satisfies Partial<Record<keyof SharedStore, unknown>> as unknown as SharedStore;
    this.cluster = new NodeCluster(store, { ...broker, adopt: () => Promise.resolve() }, { overlap: 'once' });
  }
}

describe('a message that goes from one part of a shared subscription to another', () => {
  const post = {
    queueId: 7,
    message: new Message({ topicName: 't', payload: Buffer.from('m'), qos: 1, publisherId: 'p' }),
    qos: 1,
    retain: false,
    subscriptionIdentifiers: [],
    shareKey: 'g/t',
  } as const;
  const part = (nodeId: string, queueId: number) =>
    ({ kind: 'share-put', nodeId, shareKey: 'g/t', queueId, online: 1 }) as const;

  test('goes to a third where that one has gone before it is sent, or to the one here', () => {
    const { cluster, parts } = new Node(() => 'nothing');
    cluster.apply([part('a', 7), part('b', 8)], 1);
    expect(cluster.redirect(post)).toBe(7);
    cluster.apply([{ kind: 'share-delete', nodeId: 'a', shareKey: 'g/t', queueId: 7 }], 2);
    expect(cluster.redirect(post)).toBe(8);
    cluster.apply([{ kind: 'share-delete', nodeId: 'b', shareKey: 'g/t', queueId: 8 }], 3);
    parts.push({ shareKey: 'g/t', queueId: 9 });
    expect(cluster.redirect(post)).toBe(9);
    // What is posted for a session stays where it belongs.
    expect(cluster.redirect({ ...post, shareKey: '' })).toBe(7);
  });
});

describe('what a part of a shared subscription hands over', () => {
  test('goes to the other parts in turn, each as often as it has connected members', () => {
    const { cluster } = new Node(() => 'nothing');
    const part = (queueId: number, online: number) =>
      ({ kind: 'share-put', nodeId: `n${queueId}`, shareKey: 'g/t', queueId, online }) as const;
    cluster.apply([part(7, 1), part(8, 2)], 1);
    const chosen = Array.from({ length: 6 }, () => cluster.partElsewhere('g/t', false));
    expect(chosen.filter((queueId) => queueId === 7)).toHaveLength(2);
    expect(chosen.filter((queueId) => queueId === 8)).toHaveLength(4);
    expect(cluster.partElsewhere('h/t', false)).toBeUndefined();
  });
});

describe('a client id that another node wants', () => {
  test('is handed over, and not let go of, where its session ends with its connection', async () => {
    const node = new Node((its, clientId) => {
      its.hasSession = false;
      its.cluster.letGo(clientId);
      return 'nothing';
    });
    await node.cluster.claim('c', '');
    node.hasSession = true;
    node.cluster.settle('c');
    node.cluster.onWanted({ clientId: 'c', nodeId: 'other', username: '', tenure: 0 });
    // Between the two, a third node could have taken it.
    expect(node.added).toEqual([{ kind: 'session-move', clientId: 'c', queueId: 0, nodeId: 'other' }]);
    expect(node.cluster.holds('c')).toBe(false);
  });

  test('stays where the other user does not get it', async () => {
    const node = new Node(() => 'refused');
    await node.cluster.claim('c', '');
    node.cluster.onWanted({ clientId: 'c', nodeId: 'other', username: 'eve', tenure: 0 });
    node.cluster.onWanted({ clientId: 'unknown', nodeId: 'other', username: 'eve', tenure: 0 });
    expect([node.added, node.refused]).toEqual([[], ['c', 'unknown']]);
    expect([node.cluster.holds('c'), node.cluster.holds('unknown')]).toEqual([true, false]);
    node.cluster.settle('c');
    expect(node.added).toEqual([{ kind: 'client-release', clientId: 'c' }]);
  });
});
