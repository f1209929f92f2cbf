import * as fc from 'fast-check';
import type {
  AckPacket,
  ConnectPacket,
  Packet,
  Properties,
  ProtocolVersion,
  PublishPacket,
  Qos,
  SubscriptionRequest,
  Will,
} from '../../src/protocol/packets.ts';

/** Any string MQTT allows, short. */
export const mqttString: fc.Arbitrary<string> = fc
  .string({ unit: 'binary', maxLength: 12 })
  .filter((text) => !text.includes('\0') && text.isWellFormed());

/** A topic name, short. */
const topicName: fc.Arbitrary<string> = mqttString.filter((text) => text !== '' && !/[+#]/.test(text));

const topicFilter = mqttString.filter((text) => text !== '' && !text.startsWith('$share/'));
const binary: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 12 });
const qos = fc.constantFrom<Qos>(0, 1, 2);
const bit = fc.constantFrom<0 | 1>(0, 1);
const packetId = fc.integer({ min: 1, max: 65_535 });
const uint16 = fc.integer({ min: 0, max: 65_535 });
const uint16NotZero = fc.integer({ min: 1, max: 65_535 });
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const uint32NotZero = fc.integer({ min: 1, max: 0xffff_ffff });
const subscriptionIdentifier = fc.integer({ min: 1, max: 268_435_455 });
const userProperties = fc.array(fc.tuple(mqttString, mqttString), { minLength: 1, maxLength: 4 });

const MESSAGE = {
  payloadFormatIndicator: bit,
  messageExpiryInterval: uint32,
  contentType: mqttString,
  responseTopic: topicName,
  correlationData: binary,
  userProperties,
};
const ANSWER = { reasonString: mqttString, userProperties };
const LIMITS = {
  sessionExpiryInterval: uint32,
  receiveMaximum: uint16NotZero,
  topicAliasMaximum: uint16,
  maximumPacketSize: uint32NotZero,
  userProperties,
};
const CONNACK = {
  ...ANSWER,
  ...LIMITS,
  assignedClientIdentifier: mqttString,
  serverKeepAlive: uint16,
  authenticationMethod: mqttString,
  authenticationData: binary,
  responseInformation: mqttString,
  serverReference: mqttString,
  maximumQos: bit,
  retainAvailable: fc.boolean(),
  wildcardSubscriptionAvailable: fc.boolean(),
  subscriptionIdentifiersAvailable: fc.boolean(),
  sharedSubscriptionAvailable: fc.boolean(),
};

type PropertyModel = { [Name in keyof Properties]-?: fc.Arbitrary<NonNullable<Properties[Name]>> };

/** Some of these properties in 5.0, none in 3.x. */
function some(version: ProtocolVersion, model: Partial<PropertyModel>): fc.Arbitrary<Properties> {
  return version === 5 ? fc.record(model, { requiredKeys: [] }) : fc.constant({});
}

function code(version: ProtocolVersion, ...codes: number[]): fc.Arbitrary<number> {
  return version === 5 ? fc.constantFrom(...codes) : fc.constant(0);
}

function connect(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const will: fc.Arbitrary<Will> = fc.record({
    topicName,
    payload: binary,
    qos,
    retain: fc.boolean(),
    properties: some(version, { ...MESSAGE, willDelayInterval: uint32 }),
  });
  const properties = some(version, {
    ...LIMITS,
    authenticationMethod: mqttString,
    requestProblemInformation: fc.boolean(),
    requestResponseInformation: fc.boolean(),
  });
  const packet: fc.Arbitrary<ConnectPacket> = fc.record(
    {
      type: fc.constant(1),
      protocolVersion: fc.constant(version),
      cleanStart: fc.boolean(),
      keepAlive: uint16,
      clientId: mqttString,
      username: mqttString,
      password: binary,
      will,
      properties,
    },
    { requiredKeys: ['type', 'protocolVersion', 'cleanStart', 'keepAlive', 'clientId', 'properties'] },
  );
  return packet.filter((p) => version === 5 || p.password === undefined || p.username !== undefined);
}

function connack(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc
    .record({
      type: fc.constant(2 as const),
      sessionPresent: fc.boolean(),
      reasonCode: version === 5 ? fc.constantFrom(0, 0x80, 0x87, 0x9f) : fc.integer({ min: 0, max: 5 }),
      properties: some(version, CONNACK),
    })
    .map((p) => ({ ...p, sessionPresent: p.sessionPresent && p.reasonCode === 0 && version !== 3 }));
}

/** A PUBLISH; subscription identifiers come from servers only. */
export function publish(version: ProtocolVersion, fromServer: boolean): fc.Arbitrary<PublishPacket> {
  const identifiers = { subscriptionIdentifiers: fc.array(subscriptionIdentifier, { minLength: 1, maxLength: 3 }) };
  return fc
    .record({
      type: fc.constant(3 as const),
      dup: fc.boolean(),
      qos,
      retain: fc.boolean(),
      topicName,
      packetId,
      payload: fc.uint8Array({ maxLength: 200 }),
      properties: some(version, { ...MESSAGE, topicAlias: uint16NotZero, ...(fromServer ? identifiers : {}) }),
    })
    .map((p) => (p.qos === 0 ? { ...p, dup: false, packetId: 0 } : p));
}

function ack(version: ProtocolVersion, type: AckPacket['type']): fc.Arbitrary<Packet> {
  const codes = type < 6 ? [0, 0x10, 0x80, 0x97] : [0, 0x92];
  return fc.record({
    type: fc.constant(type),
    packetId,
    reasonCode: code(version, ...codes),
    properties: some(version, ANSWER),
  });
}

function subscription(version: ProtocolVersion): fc.Arbitrary<SubscriptionRequest> {
  const flag = version === 5 ? fc.boolean() : fc.constant(false);
  const retainHandling = version === 5 ? fc.constantFrom<0 | 1 | 2>(0, 1, 2) : fc.constant<0>(0);
  return fc.record({ topicFilter, qos, noLocal: flag, retainAsPublished: flag, retainHandling });
}

function subscribe(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant(8 as const),
    packetId,
    subscriptions: fc.array(subscription(version), { minLength: 1, maxLength: 5 }),
    properties: some(version, { subscriptionIdentifiers: fc.tuple(subscriptionIdentifier), userProperties }),
  });
}

function suback(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const codes = fc.constantFrom(...(version === 5 ? [0, 1, 2, 0x80, 0x8f, 0xa2] : [0, 1, 2, 0x80]));
  return fc.record({
    type: fc.constant(9 as const),
    packetId,
    reasonCodes: fc.array(codes, { minLength: 1, maxLength: 5 }),
    properties: some(version, ANSWER),
  });
}

function unsubscribe(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant(10 as const),
    packetId,
    topicFilters: fc.array(topicFilter, { minLength: 1, maxLength: 5 }),
    properties: some(version, { userProperties }),
  });
}

function unsuback(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant(11 as const),
    packetId,
    reasonCodes:
      version === 5
        ? fc.array(fc.constantFrom(0, 0x11, 0x80, 0x91), { minLength: 1, maxLength: 5 })
        : fc.constant<number[]>([]),
    properties: some(version, ANSWER),
  });
}

function disconnect(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant(14 as const),
    reasonCode: code(version, 0, 4, 0x81, 0x8e, 0xa2),
    properties: some(version, { ...ANSWER, sessionExpiryInterval: uint32, serverReference: mqttString }),
  });
}

function auth(): fc.Arbitrary<Packet> {
  const properties: fc.Arbitrary<Properties> = fc.record(
    { ...ANSWER, authenticationMethod: mqttString, authenticationData: binary },
    { requiredKeys: ['authenticationMethod'] },
  );
  return fc.record({ type: fc.constant(15 as const), reasonCode: fc.constantFrom(0, 0x18, 0x19), properties });
}

/** Valid packets of each type that exists in a version, by name. */
export function packetsOf(version: ProtocolVersion): [name: string, packet: fc.Arbitrary<Packet>][] {
  const all: [string, fc.Arbitrary<Packet>][] = [
    ['CONNECT', connect(version)],
    ['CONNACK', connack(version)],
    ['PUBLISH', publish(version, true)],
    ['PUBACK', ack(version, 4)],
    ['PUBREC', ack(version, 5)],
    ['PUBREL', ack(version, 6)],
    ['PUBCOMP', ack(version, 7)],
    ['SUBSCRIBE', subscribe(version)],
    ['SUBACK', suback(version)],
    ['UNSUBSCRIBE', unsubscribe(version)],
    ['UNSUBACK', unsuback(version)],
    ['PINGREQ', fc.constant<Packet>({ type: 12 })],
    ['PINGRESP', fc.constant<Packet>({ type: 13 })],
    ['DISCONNECT', disconnect(version)],
  ];
  return version === 5 ? [...all, ['AUTH', auth()]] : all;
}

/** Any valid packet of a version. */
function anyPacket(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.oneof(...packetsOf(version).map(([, packet]) => packet));
}

/** Protocol version, all alike. */
export const anyVersion: fc.Arbitrary<ProtocolVersion> = fc.constantFrom(3, 4, 5);

/** Any valid packet with its version. */
export const versionedPacket: fc.Arbitrary<[ProtocolVersion, Packet]> = fc.oneof(
  fc.tuple(fc.constant<3>(3), anyPacket(3)),
  fc.tuple(fc.constant<4>(4), anyPacket(4)),
  fc.tuple(fc.constant<5>(5), anyPacket(5)),
);

/** A PUBLISH as a client may send it, with its version. */
export const versionedPublish: fc.Arbitrary<[ProtocolVersion, PublishPacket]> = fc.oneof(
  fc.tuple(fc.constant<3>(3), publish(3, false)),
  fc.tuple(fc.constant<4>(4), publish(4, false)),
  fc.tuple(fc.constant<5>(5), publish(5, false)),
);
