import type { PacketType, Properties } from './packets.ts';

/** Property identifiers by name, section 2.2.2.2. */
export const PropertyId = {
  payloadFormatIndicator: 0x01,
  messageExpiryInterval: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiryInterval: 0x11,
  assignedClientIdentifier: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelayInterval: 0x18,
  requestResponseInformation: 0x19,
  responseInformation: 0x1a,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
  wildcardSubscriptionAvailable: 0x28,
  subscriptionIdentifiersAvailable: 0x29,
  sharedSubscriptionAvailable: 0x2a,
} as const;

/** The will properties of CONNECT, which have a list of their own; no control packet has type 0. */
export const WILL_PROPERTIES = 0;

/** What carries a list of properties: a control packet, or the will in CONNECT. */
export type PropertyOwner = PacketType | typeof WILL_PROPERTIES;

/**
 * How a property's value stands on the wire, section 1.5. `bit` and `boolean` are one byte of 0 or 1, `topicName` a
 * string without wildcards, `pair` two strings.
 */
type PropertyWireType =
  | 'bit'
  | 'boolean'
  | 'uint16'
  | 'uint32'
  | 'variableByteInteger'
  | 'string'
  | 'topicName'
  | 'binary'
  | 'pair';

/** One property of the standard's table. */
export interface PropertyRow {
  readonly id: number;
  /** Its field in `Properties`. */
  readonly name: keyof Properties;
  readonly wireType: PropertyWireType;
  /** Smallest value of a number: 1 where the standard excludes 0. */
  readonly minimum: 0 | 1;
  /** Bit n set: allowed in control packet type n, bit 0 for the will. */
  readonly owners: number;
  /** Those owners, as bits, in which it may come more than once. */
  readonly repeatableIn: number;
}

const CONNECT = 1 << 1;
const CONNACK = 1 << 2;
const PUBLISH = 1 << 3;
const ACKS = (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7);
const SUBSCRIBE = 1 << 8;
const SUBACK = 1 << 9;
const UNSUBSCRIBE = 1 << 10;
const UNSUBACK = 1 << 11;
const DISCONNECT = 1 << 14;
const AUTH = 1 << 15;
const WILL = 1 << WILL_PROPERTIES;

const MESSAGE = PUBLISH | WILL;
const HANDSHAKE = CONNECT | CONNACK;
const ANSWERS = CONNACK | ACKS | SUBACK | UNSUBACK | DISCONNECT | AUTH;
const ANY = HANDSHAKE | MESSAGE | ANSWERS | SUBSCRIBE | UNSUBSCRIBE;

/** The properties of table 2-4 in the order of their identifiers, which is the order they are encoded in. */
export const PROPERTY_TABLE: readonly PropertyRow[] = [
  row(PropertyId.payloadFormatIndicator, 'payloadFormatIndicator', 'bit', MESSAGE),
  row(PropertyId.messageExpiryInterval, 'messageExpiryInterval', 'uint32', MESSAGE),
  row(PropertyId.contentType, 'contentType', 'string', MESSAGE),
  row(PropertyId.responseTopic, 'responseTopic', 'topicName', MESSAGE),
  row(PropertyId.correlationData, 'correlationData', 'binary', MESSAGE),
  {
    ...row(PropertyId.subscriptionIdentifier, 'subscriptionIdentifiers', 'variableByteInteger', PUBLISH | SUBSCRIBE),
    minimum: 1,
    repeatableIn: PUBLISH,
  },
  row(PropertyId.sessionExpiryInterval, 'sessionExpiryInterval', 'uint32', HANDSHAKE | DISCONNECT),
  row(PropertyId.assignedClientIdentifier, 'assignedClientIdentifier', 'string', CONNACK),
  row(PropertyId.serverKeepAlive, 'serverKeepAlive', 'uint16', CONNACK),
  row(PropertyId.authenticationMethod, 'authenticationMethod', 'string', HANDSHAKE | AUTH),
  row(PropertyId.authenticationData, 'authenticationData', 'binary', HANDSHAKE | AUTH),
  row(PropertyId.requestProblemInformation, 'requestProblemInformation', 'boolean', CONNECT),
  row(PropertyId.willDelayInterval, 'willDelayInterval', 'uint32', WILL),
  row(PropertyId.requestResponseInformation, 'requestResponseInformation', 'boolean', CONNECT),
  row(PropertyId.responseInformation, 'responseInformation', 'string', CONNACK),
  row(PropertyId.serverReference, 'serverReference', 'string', CONNACK | DISCONNECT),
  row(PropertyId.reasonString, 'reasonString', 'string', ANSWERS),
  { ...row(PropertyId.receiveMaximum, 'receiveMaximum', 'uint16', HANDSHAKE), minimum: 1 },
  row(PropertyId.topicAliasMaximum, 'topicAliasMaximum', 'uint16', HANDSHAKE),
  { ...row(PropertyId.topicAlias, 'topicAlias', 'uint16', PUBLISH), minimum: 1 },
  row(PropertyId.maximumQos, 'maximumQos', 'bit', CONNACK),
  row(PropertyId.retainAvailable, 'retainAvailable', 'boolean', CONNACK),
  { ...row(PropertyId.userProperty, 'userProperties', 'pair', ANY), repeatableIn: ANY },
  { ...row(PropertyId.maximumPacketSize, 'maximumPacketSize', 'uint32', HANDSHAKE), minimum: 1 },
  row(PropertyId.wildcardSubscriptionAvailable, 'wildcardSubscriptionAvailable', 'boolean', CONNACK),
  row(PropertyId.subscriptionIdentifiersAvailable, 'subscriptionIdentifiersAvailable', 'boolean', CONNACK),
  row(PropertyId.sharedSubscriptionAvailable, 'sharedSubscriptionAvailable', 'boolean', CONNACK),
];

const ROW_BY_ID: ReadonlyMap<number, PropertyRow> = new Map(PROPERTY_TABLE.map((entry) => [entry.id, entry]));

/** The row of a property identifier, undefined for one that does not exist in MQTT 5.0. */
export function propertyRow(id: number): PropertyRow | undefined {
  return ROW_BY_ID.get(id);
}

function row(id: number, name: keyof Properties, wireType: PropertyWireType, owners: number): PropertyRow {
  return { id, name, wireType, minimum: 0, owners, repeatableIn: 0 };
}
