/** Protocol level as CONNECT carries it: 3 is MQTT 3.1 (MQIsdp), 4 is 3.1.1, 5 is 5.0. */
export type ProtocolVersion = 3 | 4 | 5;

/** Quality of service level, section 4.3. */
export type Qos = 0 | 1 | 2;

/** Control packet types, section 2.1.2. */
export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;

/** The value of one of the control packet types. */
export type PacketType = (typeof PacketType)[keyof typeof PacketType];

/** A name and value pair; names may repeat and order counts, section 3.1.2.11.8. */
export type UserProperty = readonly [name: string, value: string];

/**
 * MQTT 5.0 properties by the standard's names, section 2.2.2.2. Absent means not on the wire. Which packet may carry
 * which is in the property table; intervals are seconds.
 */
export interface Properties {
  payloadFormatIndicator?: 0 | 1;
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  /** On PUBLISH several, elsewhere one; 1 to 268,435,455. */
  subscriptionIdentifiers?: number[];
  sessionExpiryInterval?: number;
  assignedClientIdentifier?: string;
  serverKeepAlive?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblemInformation?: boolean;
  willDelayInterval?: number;
  requestResponseInformation?: boolean;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQos?: 0 | 1;
  retainAvailable?: boolean;
  userProperties?: UserProperty[];
  maximumPacketSize?: number;
  wildcardSubscriptionAvailable?: boolean;
  subscriptionIdentifiersAvailable?: boolean;
  sharedSubscriptionAvailable?: boolean;
}

/** The will message of a CONNECT, section 3.1.2.5. */
export interface Will {
  topicName: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
  properties: Properties;
}

/** CONNECT, section 3.1. `keepAlive` is in seconds, 0 means none. */
export interface ConnectPacket {
  type: typeof PacketType.connect;
  protocolVersion: ProtocolVersion;
  /** Clean Session in 3.x. */
  cleanStart: boolean;
  keepAlive: number;
  clientId: string;
  username?: string;
  password?: Uint8Array;
  will?: Will;
  properties: Properties;
}

/** CONNACK, section 3.2. `reasonCode` is the 3.x return code where the version is 3 or 4. */
export interface ConnackPacket {
  type: typeof PacketType.connack;
  sessionPresent: boolean;
  reasonCode: number;
  properties: Properties;
}

/** PUBLISH as an object, for tests, clients and the library API; the broker's hot path uses `PublishFrame`. */
export interface PublishPacket {
  type: typeof PacketType.publish;
  dup: boolean;
  qos: Qos;
  retain: boolean;
  topicName: string;
  /** 1 to 65,535 with QoS 1 and 2, 0 with QoS 0. */
  packetId: number;
  payload: Uint8Array;
  properties: Properties;
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP, sections 3.4 to 3.7. In 3.x reasonCode is 0 and properties are empty. */
export interface AckPacket {
  type: typeof PacketType.puback | typeof PacketType.pubrec | typeof PacketType.pubrel | typeof PacketType.pubcomp;
  packetId: number;
  reasonCode: number;
  properties: Properties;
}

/** Subscription options of one topic filter, section 3.8.3.1. In 3.x only `qos` is on the wire. */
export interface SubscriptionRequest {
  topicFilter: string;
  qos: Qos;
  noLocal: boolean;
  retainAsPublished: boolean;
  /** 0 send retained messages, 1 only for a new subscription, 2 do not. */
  retainHandling: 0 | 1 | 2;
}

/** SUBSCRIBE, section 3.8. */
export interface SubscribePacket {
  type: typeof PacketType.subscribe;
  packetId: number;
  subscriptions: SubscriptionRequest[];
  properties: Properties;
}

/** SUBACK, section 3.9. */
export interface SubackPacket {
  type: typeof PacketType.suback;
  packetId: number;
  reasonCodes: number[];
  properties: Properties;
}

/** UNSUBSCRIBE, section 3.10. */
export interface UnsubscribePacket {
  type: typeof PacketType.unsubscribe;
  packetId: number;
  topicFilters: string[];
  properties: Properties;
}

/** UNSUBACK, section 3.11; no reason codes on the wire in 3.x. */
export interface UnsubackPacket {
  type: typeof PacketType.unsuback;
  packetId: number;
  reasonCodes: number[];
  properties: Properties;
}

/** PINGREQ and PINGRESP, sections 3.12 and 3.13. */
export interface PingPacket {
  type: typeof PacketType.pingreq | typeof PacketType.pingresp;
}

/** DISCONNECT, section 3.14. In 3.x reasonCode is 0 and properties are empty. */
export interface DisconnectPacket {
  type: typeof PacketType.disconnect;
  reasonCode: number;
  properties: Properties;
}

/** AUTH, section 3.15; MQTT 5.0 only. */
export interface AuthPacket {
  type: typeof PacketType.auth;
  reasonCode: number;
  properties: Properties;
}

/** Any control packet, told apart by `type`. */
export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingPacket
  | DisconnectPacket
  | AuthPacket;
