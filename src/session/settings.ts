/** What to do with a message that finds its queue full. */
export type QueuePolicy = 'drop-oldest' | 'drop-newest' | 'refuse';

/** Who of a shared subscription gets the next message. */
export type SharePolicy = 'round-robin' | 'random' | 'sticky' | 'least-in-flight';

/** Limits and choices of sessions, queues, retained messages; part of the configuration. */
export interface SessionSettings {
  /** Upper bound of a session's expiry interval, seconds; 0xFFFFFFFF allows sessions that never expire. Also what a 3.x session with Clean Session 0 gets. */
  sessionExpiryIntervalMax: number;
  /** Sessions at most, connected or not. */
  sessionsMax: number;
  /** Messages a queue may hold, in flight included. */
  queueMessagesMax: number;
  /** Bytes (topic name, properties, payload) a queue may hold. */
  queueBytesMax: number;
  queuePolicy: QueuePolicy;
  /** Whether QoS 0 messages are queued for sessions that are away. */
  queueQos0: boolean;
  /** Messages of a stored queue kept in memory as well; the rest is read when its turn comes. */
  queueWindowMessages: number;
  /** Bytes of a stored queue kept in memory at most. */
  queueWindowBytes: number;
  /** Memory up to which all queues together keep more than their windows, bytes. */
  queueMemoryBytes: number;
  /** Unacknowledged QoS 1 and 2 messages sent to a client that announced no Receive Maximum (3.x; 5.0 means 65,535). */
  inFlightMessagesMax: number;
  /** Bytes in flight to all clients together, above which each gets one message after the other; 0 for any number. */
  inFlightBytesMax: number;
  /** Subscriptions a session may hold. */
  subscriptionsPerSessionMax: number;
  /** Levels a topic filter or topic name may have. */
  topicLevelsMax: number;
  /** One copy with the highest QoS for overlapping subscriptions, or one for each. */
  overlap: 'once' | 'per-subscription';
  sharePolicy: SharePolicy;
  /** Retained messages at most; more are refused. */
  retainedMessagesMax: number;
  /** Bytes of retained messages at most; more are refused. */
  retainedBytesMax: number;
}
