import { expect } from 'vitest';
import { Message } from '../../../src/protocol/message.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisStore, type RedisStoreOptions } from '../../../src/store/redis/redis-store.ts';
import type {
  ForwardedMessage,
  MailboxMessage,
  MessageRoute,
  NodeEvents,
  OwnedState,
  Topology,
  WantedClient,
} from '../../../src/store/shared-store.ts';
import type { Mutation, PostedMessage } from '../../../src/store/store.ts';
import type { TopologyChange } from '../../../src/store/topology-change.ts';
import { SILENT } from '../../support/silent-logger.ts';

/** A node without a broker: it notes what it is told, and sends messages where it is told to. */
export class BareNode implements Topology, NodeEvents {
  readonly store: RedisStore;
  readonly changes: TopologyChange[] = [];
  readonly posted: MailboxMessage[] = [];
  readonly forwarded: ForwardedMessage[] = [];
  readonly adopted: OwnedState[] = [];
  readonly wanted: string[] = [];
  readonly nodeIds: Set<string> = new Set();
  version = 0;
  unsent = 0;
  /** How often it was asked for a route. */
  asked = 0;
  route: MessageRoute = { posts: [], nodes: [] };

  /** @param url of its Redis. */
  constructor(url: string, nodeId: string, change: Partial<RedisStoreOptions> = {}) {
    const times = { leaseMs: 1_000, timeoutMs: 60_000 };
    const options = { prefix: 'trellis', nodeId, waitReplicas: 0, ...times, logger: SILENT, ...change };
    this.store = new RedisStore({ address: parseRedisUrl(url), ...options });
    this.store.topology = this;
    this.store.events = this;
  }

  routeOf(): MessageRoute {
    this.asked += 1;
    return this.route;
  }

  redirect({ queueId }: PostedMessage): number {
    return queueId;
  }

  knows(): boolean {
    return false;
  }

  apply(changes: readonly TopologyChange[], version: number): void {
    expect(version).toBe(this.version + 1);
    this.load([...this.changes, ...changes], version);
  }

  load(changes: readonly TopologyChange[], version: number): void {
    this.changes.splice(0, this.changes.length, ...changes);
    this.version = version;
    for (const change of changes) {
      if (change.kind === 'node-put') this.nodeIds.add(change.nodeId);
      else if (change.kind === 'node-delete') this.nodeIds.delete(change.nodeId);
    }
  }

  onPosted(messages: readonly MailboxMessage[]): void {
    this.posted.push(...messages);
  }

  onForwarded(messages: readonly ForwardedMessage[]): void {
    this.forwarded.push(...messages);
  }

  onRetained(): void {}

  onWanted({ clientId }: WantedClient): void {
    this.wanted.push(clientId);
  }

  onAdopted(state: OwnedState): Promise<void> {
    this.adopted.push(state);
    return Promise.resolve();
  }

  onUnsent(count: number): void {
    this.unsent += count;
  }

  onTopology(): void {}
}

/** A message for other nodes. */
export function route(payload: string, qos: 0 | 1 = 1): Mutation {
  const message = new Message({ topicName: 'topic', payload: Buffer.from(payload), qos });
  return { kind: 'route', message, view: 0, servedShares: [] };
}

/** How a message is posted for a queue. */
export const post: Omit<MessageRoute['posts'][number], 'queueId'> = {
  qos: 1,
  retain: false,
  subscriptionIdentifiers: [7],
  shareKey: '',
};
