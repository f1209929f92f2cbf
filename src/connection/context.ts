import type { Awaitable, BrokerEvents, ClientInfo, Hooks } from '../hooks/hooks.ts';
import type { Clock } from '../lib/clock.ts';
import type { DeadlineHeap } from '../lib/deadline-heap.ts';
import type { Logger } from '../lib/logger.ts';
import type { Guard } from '../limits/guard.ts';
import type { PublishFrame } from '../protocol/publish.ts';
import type { Books } from '../session/books.ts';
import type { SessionContext } from '../session/context.ts';
import type { Dispatcher } from '../session/dispatcher.ts';
import type { SessionRegistry } from '../session/registry.ts';
import type { RetainedMessages } from '../session/retained-messages.ts';
import type { Wills } from '../session/wills.ts';
import type { WritePath } from '../session/write-path.ts';
import type { Access } from './access.ts';
import type { ConnectionTable } from './connection-table.ts';
import type { OutboxScheduler } from './outbox.ts';
import type { ConnectionSettings } from './settings.ts';

/** Where connections tell what happens. */
export interface EventSink {
  emit<Name extends keyof BrokerEvents>(name: Name, ...args: BrokerEvents[Name]): void;
  /** Whether anyone listens, so that nothing is made for nobody. */
  hears(name: keyof BrokerEvents): boolean;
}

/** Which client ids are this node's. */
interface ClientIds {
  /**
   * Makes this node the owner of the client id, for that user; `settle` has to follow.
   * @returns the epoch of the connection, later ones higher; undefined where it belongs to another user on another node.
   */
  claim(clientId: string, username: string): Awaitable<number | undefined>;
  /** Whether this node is the owner still. */
  holds(clientId: string): boolean;
  /** What a claim was for has become of it: a session, or nothing. */
  settle(clientId: string): void;
}

/** What all connections of a broker share; made once by the composition root. */
export interface ConnectionContext {
  readonly settings: ConnectionSettings;
  readonly session: SessionContext;
  readonly clock: Clock;
  readonly deadlines: DeadlineHeap;
  readonly writePath: WritePath;
  readonly books: Books;
  readonly registry: SessionRegistry;
  readonly dispatcher: Dispatcher;
  readonly retained: RetainedMessages;
  readonly wills: Wills;
  readonly connections: ConnectionTable;
  readonly guard: Guard;
  readonly hooks: Hooks;
  /** The access rules; undefined where there are none and everything is allowed. */
  readonly access: Access | undefined;
  /** Whether a client is still known to what let it in: its user may have been removed since. */
  readonly isKnown: (client: ClientInfo) => boolean;
  readonly events: EventSink;
  readonly logger: Logger;
  readonly scheduler: OutboxScheduler;
  readonly clientIds: ClientIds;
  /** A client id for a client that brought none. */
  readonly assignClientId: () => string;
  readonly traffic: Traffic;
  /** Filled in anew for each PUBLISH. */
  readonly frame: PublishFrame;
}

/** Counters of what came and went; bytes and packets. */
export interface Traffic {
  bytesReceived: number;
  bytesSent: number;
  packetsReceived: number;
  packetsSent: number;
  publishesReceived: number;
  publishesSent: number;
  payloadBytesReceived: number;
  payloadBytesSent: number;
}

/** Nothing has come and gone yet. */
export function noTraffic(): Traffic {
  return {
    bytesReceived: 0,
    bytesSent: 0,
    packetsReceived: 0,
    packetsSent: 0,
    publishesReceived: 0,
    publishesSent: 0,
    payloadBytesReceived: 0,
    payloadBytesSent: 0,
  };
}
