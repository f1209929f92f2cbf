import type { RemoteTargets } from '../../src/cluster/remote-targets.ts';
import { ENDING, NO_MEMBERS, type TopologyChange } from '../../src/store/topology-change.ts';
import type { Message } from '../../src/protocol/message.ts';
import type { SubscriptionRecord } from '../../src/store/store.ts';
import { naiveMatch } from '../router/naive-match.ts';

interface NaiveSession {
  nodeId: string;
  queueId: number;
  subscriptions: Map<string, SubscriptionRecord>;
}

/** What `RemoteTable` does, from plain lists and as slowly as its promises read. */
export class NaiveTable {
  readonly #ownNodeId: string;
  readonly #once: boolean;
  readonly #sessions = new Map<string, NaiveSession>();
  #routes: { nodeId: string; topicFilter: string }[] = [];
  #parts: { shareKey: string; nodeId: string; queueId: number; online: number; isOrphan: boolean }[] = [];

  constructor(ownNodeId: string, once: boolean) {
    this.#ownNodeId = ownNodeId;
    this.#once = once;
  }

  apply(change: TopologyChange): void {
    switch (change.kind) {
      case 'subscription-put': {
        const { clientId, nodeId, queueId, record } = change;
        const known = this.#sessions.get(clientId);
        const subscriptions = known?.queueId === queueId ? known.subscriptions : new Map<string, SubscriptionRecord>();
        subscriptions.set(record.topicFilter, record);
        this.#sessions.set(clientId, { nodeId, queueId, subscriptions });
        break;
      }
      case 'subscription-delete': {
        const session = this.#sessions.get(change.clientId);
        session?.subscriptions.delete(change.topicFilter);
        if (session?.subscriptions.size === 0) this.#sessions.delete(change.clientId);
        break;
      }
      case 'session-delete':
        this.#sessions.delete(change.clientId);
        break;
      case 'session-moved': {
        const session = this.#sessions.get(change.clientId);
        if (session !== undefined) session.nodeId = change.nodeId;
        break;
      }
      case 'route-put':
      case 'route-delete': {
        const { kind, nodeId, topicFilter } = change;
        this.#routes = this.#routes.filter((route) => route.nodeId !== nodeId || route.topicFilter !== topicFilter);
        if (kind === 'route-put') this.#routes.push({ nodeId, topicFilter });
        break;
      }
      case 'share-delete':
        this.#parts = this.#parts.filter(
          (part) => part.shareKey !== change.shareKey || part.queueId !== change.queueId,
        );
        break;
      case 'node-put':
        this.#routes = this.#routes.filter(({ nodeId }) => nodeId !== change.nodeId);
        this.#orphan(change.nodeId);
        break;
      case 'share-put': {
        const { nodeId, shareKey } = change;
        this.#parts = this.#parts.filter((part) => part.queueId !== change.queueId || part.shareKey !== shareKey);
        if (change.online === ENDING) break;
        const isOrphan = change.online === NO_MEMBERS;
        this.#parts.push({ shareKey, nodeId, queueId: change.queueId, online: isOrphan ? 0 : change.online, isOrphan });
        break;
      }
      case 'node-delete':
        this.#routes = this.#routes.filter(({ nodeId }) => nodeId !== change.nodeId);
        this.#orphan(change.nodeId);
        break;
    }
  }

  /** The parts of a node have no members any more. */
  #orphan(nodeId: string): void {
    this.#parts = this.#parts.map((part) => (part.nodeId === nodeId ? { ...part, online: 0, isOrphan: true } : part));
  }

  match(message: Message): RemoteTargets {
    const entries: RemoteTargets['entries'][number][] = [];
    const nodes = new Set<string>();
    for (const [clientId, { nodeId, queueId, subscriptions }] of this.#sessions) {
      if (nodeId === this.#ownNodeId) continue;
      const matching = [...subscriptions.values()].filter(
        ({ topicFilter, noLocal }) =>
          naiveMatch(topicFilter, message.topicName) && !(noLocal && clientId === message.publisherId),
      );
      for (const group of this.#once ? [matching] : matching.map((record) => [record])) {
        if (group.length === 0) continue;
        const qos = Math.min(message.qos, Math.max(...group.map((record) => record.qos)));
        const retain = message.retain && group.some((record) => record.retainAsPublished);
        const subscriptionIdentifiers = group.map((record) => record.subscriptionIdentifier).filter((id) => id !== 0);
        if (qos === 1 || qos === 2) entries.push({ queueId, nodeId, qos, retain, subscriptionIdentifiers });
        else nodes.add(nodeId);
      }
    }
    for (const { nodeId, topicFilter } of this.#routes) {
      if (nodeId !== this.#ownNodeId && naiveMatch(topicFilter, message.topicName)) nodes.add(nodeId);
    }
    const shares = new Map<string, RemoteTargets['shares'][number]['parts'][number][]>();
    for (const { shareKey, nodeId, queueId, online, isOrphan } of this.#parts) {
      if (nodeId === this.#ownNodeId || !naiveMatch(shareKey.slice(shareKey.indexOf('/') + 1), message.topicName))
        continue;
      shares.set(shareKey, [...(shares.get(shareKey) ?? []), { nodeId, queueId, online, isOrphan }]);
    }
    return { entries, nodes: [...nodes], shares: [...shares].map(([shareKey, parts]) => ({ shareKey, parts })) };
  }
}

/** A copy of targets in an order that does not depend on how they were found; nothing is left out. */
export function inOrder(targets: RemoteTargets): RemoteTargets {
  return {
    entries: targets.entries
      .map((entry) => ({ ...entry, subscriptionIdentifiers: entry.subscriptionIdentifiers.toSorted((a, b) => a - b) }))
      .sort(byText),
    nodes: targets.nodes.toSorted(byText),
    shares: targets.shares.map((share) => ({ ...share, parts: share.parts.toSorted(byText) })).sort(byText),
  };
}

function byText(a: unknown, b: unknown): number {
  const textA = JSON.stringify(a);
  const textB = JSON.stringify(b);
  return textA === textB ? 0 : textA < textB ? -1 : 1;
}
