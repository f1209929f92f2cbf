import { getHeapStatistics } from 'node:v8';
import type { SysFigures } from './admin/sys-topics.ts';
import type { ConnectionContext, Traffic } from './connection/context.ts';
import { DISCONNECT_REASONS, type DisconnectReason } from './connection/disconnect-reasons.ts';
import type { LimitReason } from './limits/limit-counters.ts';
import type { MemoryBudget, Shed } from './limits/memory-budget.ts';
import type { DropReason } from './session/books.ts';
import { version } from './version.ts';

/** All counters of a broker at one moment; those of `messages` balance at rest (see session/books.ts). */
export interface BrokerCounters {
  messages: {
    received: number;
    withoutTaker: number;
    refused: number;
    owed: number;
    restored: number;
    delivered: number;
    queued: number;
    expired: number;
    moved: number;
    dropped: Record<DropReason, number>;
  };
  connections: {
    accepted: number;
    open: number;
    clients: number;
    maximum: number;
    ended: Record<DisconnectReason, number>;
  };
  traffic: Traffic;
  sessions: number;
  subscriptions: number;
  /** Groups of shared subscriptions. */
  sharedSubscriptions: number;
  /** `refused`: messages that found no room there. */
  retained: { count: number; bytes: number; refused: number };
  /** Bytes of QoS 1 and 2 messages that clients have been sent and have not acknowledged. */
  inFlightBytes: number;
  store: { commits: number; full: boolean };
  /** How often each limit was in somebody's way. */
  limits: Record<LimitReason, number>;
  /** What is given up for lack of memory now, and how often that was begun. */
  memory: { sheds: Shed; entered: Record<Exclude<Shed, 'nothing'>, number> };
}

/** Reads all counters at once. */
export function readCounters(context: ConnectionContext): BrokerCounters {
  const { received, withoutTaker, refused, owed, restored, delivered, queued, expired, moved, dropped } = context.books;
  const { accepted, size, clients, maximum, ended } = context.connections;
  const byReason = Object.fromEntries(DISCONNECT_REASONS.map((reason) => [reason, ended.get(reason) ?? 0]));
  const { registry, retained, writePath, guard } = context;
  return {
    messages: {
      received,
      withoutTaker,
      refused,
      owed,
      restored,
      delivered,
      queued,
      expired,
      moved,
      dropped: { ...dropped },
    },
    connections: { accepted, open: size, clients, maximum, ended: byReason as Record<DisconnectReason, number> },
    traffic: { ...context.traffic },
    sessions: registry.size,
    subscriptions: registry.subscriptionCount,
    sharedSubscriptions: registry.groupCount,
    retained: { count: retained.trie.count, bytes: retained.trie.bytes, refused: context.books.retainedRefused },
    inFlightBytes: registry.inFlightBytes,
    store: { commits: writePath.commits, full: writePath.full },
    limits: Object.fromEntries(guard.counters.entries()) as Record<LimitReason, number>,
    memory: { sheds: guard.memory?.shed ?? 'nothing', entered: enteredOf(guard.memory) },
  };
}

function enteredOf(memory: MemoryBudget | undefined): Record<Exclude<Shed, 'nothing'>, number> {
  const count = (shed: Shed): number => memory?.entered(shed) ?? 0;
  return {
    'slow-readers': count('slow-readers'),
    connections: count('connections'),
    subscriptions: count('subscriptions'),
    publishes: count('publishes'),
  };
}

/** What $SYS shows of the counters. */
export function sysFiguresOf(counters: BrokerCounters, uptimeSeconds: number, clientsExpired: number): SysFigures {
  const { messages, connections, traffic, sessions, retained, limits, memory } = counters;
  return {
    version: `Trellis ${version}`,
    uptimeSeconds,
    clientsConnected: connections.clients,
    clientsDisconnected: Math.max(0, sessions - connections.clients),
    clientsMaximum: connections.maximum,
    clientsExpired,
    messagesReceived: traffic.packetsReceived,
    messagesSent: traffic.packetsSent,
    bytesReceived: traffic.bytesReceived,
    bytesSent: traffic.bytesSent,
    publishesReceived: traffic.publishesReceived,
    publishesSent: traffic.publishesSent,
    publishesDropped: Object.values(messages.dropped).reduce((sum, count) => sum + count, 0),
    publishBytesReceived: traffic.payloadBytesReceived,
    publishBytesSent: traffic.payloadBytesSent,
    messagesStored: messages.queued + retained.count,
    messagesStoredBytes: retained.bytes,
    retainedMessages: retained.count,
    subscriptions: counters.subscriptions,
    sharedSubscriptions: counters.sharedSubscriptions,
    heapBytes: getHeapStatistics().used_heap_size,
    limits: {
      ...limits,
      ...Object.fromEntries(Object.entries(memory.entered).map(([shed, n]) => [`shed-${shed}`, n])),
    },
  };
}
