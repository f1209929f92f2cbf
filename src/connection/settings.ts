/** Limits and switches of network connections; part of the configuration. Names as in CONNACK where it announces them. */
export interface ConnectionSettings {
  /** QoS 1 and 2 publishes a client may have outstanding, 1 to 65,535 [MQTT-3.3.4-9]. */
  receiveMaximum: number;
  /** Topic aliases a client may use, 0 to 65,535; 0 turns them off. */
  topicAliasMaximum: number;
  /** Topic aliases the broker uses towards a client that allows them, at most. */
  topicAliasMaximumOutgoing: number;
  /** Bytes of the topic names a client may have aliases for on one connection. */
  aliasBytesMax: number;
  /** Bytes of topic name, payload and properties of a will. */
  willBytesMax: number;
  /** Bytes of a whole packet from a client, up to 268,435,460. */
  maximumPacketSize: number;
  /** Longest keep alive in seconds a client is granted; 0 grants what it asks for. */
  serverKeepAlive: number;
  maximumQos: 0 | 1 | 2;
  retainAvailable: boolean;
  wildcardSubscriptionAvailable: boolean;
  subscriptionIdentifiersAvailable: boolean;
  sharedSubscriptionAvailable: boolean;
  /** Whether the payload of a PUBLISH that says it is UTF-8 is checked (0x99 when it is not). */
  checkPayloadFormat: boolean;
  /** Sent where a client requests response information; empty for none. */
  responseInformation: string;
  /** Time from accept to a whole CONNECT, ms, an absolute deadline. */
  connectTimeoutMs: number;
  /** Size of a CONNECT packet at most, bytes. */
  connectBytesMax: number;
  /** Connections open at once. */
  connectionsMax: number;
  /** Bytes waiting for one slow reader; above it QoS 0 messages are dropped and QoS 1 and 2 stay in the queue. */
  outboxBytesMax: number;
  /** How long few bytes for a client that only listens may wait for more, ms; 0 for not at all. */
  writeDelayMs: number;
  /** How long a closed connection is drained so that the peer can read the reason, ms. */
  lingerMs: number;
}
