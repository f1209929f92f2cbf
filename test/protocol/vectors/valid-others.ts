import type { AckPacket, ConnackPacket, Packet, Properties, ProtocolVersion } from '../../../src/protocol/packets.ts';
import { binary, type ValidVector } from './notation.ts';

const PUBLISH_OUTCOMES = [0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const CONNACK_REFUSALS = [
  0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c,
  0x9d, 0x9f,
];
const DISCONNECT_REASONS = [
  0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
  0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];
const CONNACK: ConnackPacket = { type: 2, sessionPresent: false, reasonCode: 0, properties: {} };
const ALL_VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function connack(name: string, notation: string, properties: Properties): ValidVector {
  return {
    name: `CONNACK with ${name}`,
    version: 5,
    bytes: `20 * 00 00 [${notation}]`,
    packet: { ...CONNACK, properties },
  };
}

/** The four acknowledgements of a PUBLISH, with first byte and type. */
const ACKS: readonly [AckPacket['type'], string, string, readonly number[]][] = [
  [4, 'PUBACK', '40', PUBLISH_OUTCOMES],
  [5, 'PUBREC', '50', PUBLISH_OUTCOMES],
  [6, 'PUBREL', '62', [0x92]],
  [7, 'PUBCOMP', '70', [0x92]],
];

function acks([type, name, header, reasonCodes]: (typeof ACKS)[number]): ValidVector[] {
  const plain: AckPacket = { type, packetId: 0x0102, reasonCode: 0, properties: {} };
  const vectors: ValidVector[] = ALL_VERSIONS.map((version) => ({
    name: `plain ${name} in version ${version}`,
    version,
    bytes: `${header} * 0102`,
    packet: plain,
  }));
  for (const reasonCode of reasonCodes) {
    const packet = { ...plain, reasonCode };
    vectors.push({
      name: `${name} with reason ${hex(reasonCode)}`,
      version: 5,
      bytes: `${header} * 0102 ${hex(reasonCode)}`,
      packet,
    });
  }
  const failed = { ...plain, reasonCode: reasonCodes[0]! };
  vectors.push(
    {
      name: `${name} with a property length of 0`,
      version: 5,
      bytes: `${header} * 0102 ${hex(failed.reasonCode)} []`,
      packet: failed,
      otherForm: 'the property length may be left out',
    },
    {
      name: `${name} with reason 00 spelt out`,
      version: 5,
      bytes: `${header} * 0102 00`,
      packet: plain,
      otherForm: 'the reason code may be left out',
    },
    {
      name: `${name} with reason string and user properties`,
      version: 5,
      bytes: `${header} * 0102 00 [1f "why" 26 "k" "v"]`,
      packet: { ...plain, properties: { reasonString: 'why', userProperties: [['k', 'v']] } },
    },
  );
  return vectors;
}

function suback(version: ProtocolVersion, reasonCode: number): ValidVector {
  return {
    name: `SUBACK with ${hex(reasonCode)} in version ${version}`,
    version,
    bytes: `90 * 0001 ${version === 5 ? '[]' : ''} ${hex(reasonCode)}`,
    packet: { type: 9, packetId: 1, reasonCodes: [reasonCode], properties: {} },
  };
}

function unsuback(reasonCode: number): ValidVector {
  return {
    name: `UNSUBACK with ${hex(reasonCode)}`,
    version: 5,
    bytes: `b0 * 0001 [] ${hex(reasonCode)}`,
    packet: { type: 11, packetId: 1, reasonCodes: [reasonCode], properties: {} },
  };
}

function subscribe(name: string, bytes: string, topicFilter: string, options: object): ValidVector {
  const subscription = {
    topicFilter,
    qos: 0 as const,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0 as const,
  };
  const packet: Packet = { type: 8, packetId: 1, subscriptions: [{ ...subscription, ...options }], properties: {} };
  return { name: `SUBSCRIBE ${name}`, version: 5, bytes: `82 * 0001 [] ${bytes}`, packet };
}

const AB = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
const SUBSCRIPTIONS = [
  { topicFilter: 'a', qos: 1, ...AB },
  { topicFilter: 'b/#', qos: 2, ...AB },
] as const;

/** All packets but CONNECT and PUBLISH. */
export const VALID_OTHERS: readonly ValidVector[] = [
  ...ALL_VERSIONS.map(
    (version): ValidVector => ({
      name: `CONNACK in version ${version}`,
      version,
      bytes: `20 * 00 00 ${version === 5 ? '[]' : ''}`,
      packet: CONNACK,
    }),
  ),
  {
    name: '[MQTT-3.2.2-3] CONNACK with session present',
    version: 5,
    bytes: '20 * 01 00 []',
    packet: { ...CONNACK, sessionPresent: true },
  },
  {
    name: '[v3 MQTT-3.2.2-2] CONNACK with session present in 3.1.1',
    version: 4,
    bytes: '20 02 01 00',
    packet: { ...CONNACK, sessionPresent: true },
  },
  ...CONNACK_REFUSALS.map(
    (reasonCode): ValidVector => ({
      name: `[MQTT-3.2.2-8] CONNACK with ${hex(reasonCode)}`,
      version: 5,
      bytes: `20 * 00 ${hex(reasonCode)} []`,
      packet: { ...CONNACK, reasonCode },
    }),
  ),
  ...[1, 2, 3, 4, 5].map(
    (reasonCode): ValidVector => ({
      name: `CONNACK with return code ${reasonCode}`,
      version: 4,
      bytes: `20 02 00 ${hex(reasonCode)}`,
      packet: { ...CONNACK, reasonCode },
    }),
  ),
  connack('session expiry interval', '11 0000000a', { sessionExpiryInterval: 10 }),
  connack('receive maximum', '21 0001', { receiveMaximum: 1 }),
  connack('maximum QoS 0', '24 00', { maximumQos: 0 }),
  connack('maximum QoS 1', '24 01', { maximumQos: 1 }),
  connack('retain available', '25 00', { retainAvailable: false }),
  connack('maximum packet size', '27 00000001', { maximumPacketSize: 1 }),
  connack('assigned client identifier', '12 "x"', { assignedClientIdentifier: 'x' }),
  connack('topic alias maximum', '22 ffff', { topicAliasMaximum: 65_535 }),
  connack('reason string', '1f "ok"', { reasonString: 'ok' }),
  connack('user property', '26 "k" "v"', { userProperties: [['k', 'v']] }),
  connack('wildcard subscription available', '28 00', { wildcardSubscriptionAvailable: false }),
  connack('subscription identifiers available', '29 01', { subscriptionIdentifiersAvailable: true }),
  connack('shared subscription available', '2a 00', { sharedSubscriptionAvailable: false }),
  connack('server keep alive', '13 001e', { serverKeepAlive: 30 }),
  connack('server keep alive 0', '13 0000', { serverKeepAlive: 0 }),
  connack('response information', '1a "r/"', { responseInformation: 'r/' }),
  connack('server reference', '1c "other:1883"', { serverReference: 'other:1883' }),
  connack('authentication', '15 "X" 16 0001 01', { authenticationMethod: 'X', authenticationData: binary('01') }),
  ...ACKS.flatMap(acks),
  subscribe('[MQTT-3.8.3-2] with one topic filter', '"a" 00', 'a', {}),
  subscribe('with QoS 1', '"a" 01', 'a', { qos: 1 }),
  subscribe('with QoS 2', '"a" 02', 'a', { qos: 2 }),
  subscribe('[MQTT-3.8.3-3] with no local', '"a" 04', 'a', { noLocal: true }),
  subscribe('with retain as published', '"a" 08', 'a', { retainAsPublished: true }),
  subscribe('with retain handling 1', '"a" 10', 'a', { retainHandling: 1 }),
  subscribe('with retain handling 2', '"a" 20', 'a', { retainHandling: 2 }),
  subscribe('with all options', '"a" 2e', 'a', { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }),
  subscribe('to a shared subscription', '"$share/g/a/#" 01', '$share/g/a/#', { qos: 1 }),
  subscribe('with a filter whose syntax is for its reason code to refuse', '"a/#/b" 00', 'a/#/b', {}),
  {
    name: 'SUBSCRIBE with several topic filters, identifier and user properties',
    version: 5,
    bytes: '82 * 0001 [0b 8001 26 "k" "v"] "a" 01 "b/#" 02',
    packet: {
      type: 8,
      packetId: 1,
      subscriptions: [...SUBSCRIPTIONS],
      properties: { subscriptionIdentifiers: [128], userProperties: [['k', 'v']] },
    },
  },
  ...([3, 4] as const).map(
    (version): ValidVector => ({
      name: `[v3 MQTT-3.8.3-3] SUBSCRIBE in version ${version}`,
      version,
      bytes: '82 * ffff "a" 01 "b/#" 02',
      packet: { type: 8, packetId: 65_535, subscriptions: [...SUBSCRIPTIONS], properties: {} },
    }),
  ),
  {
    name: 'repeated SUBSCRIBE in 3.1',
    version: 3,
    bytes: '8a * 0001 "a" 01 "b/#" 02',
    packet: { type: 8, packetId: 1, subscriptions: [...SUBSCRIPTIONS], properties: {} },
    otherForm: 'DUP is not set again',
  },
  ...[0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2].map((code) => suback(5, code)),
  ...[0, 1, 2, 0x80].map((code) => suback(4, code)),
  suback(3, 1),
  {
    name: '[MQTT-3.9.3-1] SUBACK with several codes and properties',
    version: 5,
    bytes: '90 * 0001 [1f "no" 26 "k" "v"] 02 87 00',
    packet: {
      type: 9,
      packetId: 1,
      reasonCodes: [2, 0x87, 0],
      properties: { reasonString: 'no', userProperties: [['k', 'v']] },
    },
  },
  {
    name: '[MQTT-3.10.3-2] UNSUBSCRIBE',
    version: 5,
    bytes: 'a2 * 0001 [26 "k" "v"] "a" "b/#"',
    packet: { type: 10, packetId: 1, topicFilters: ['a', 'b/#'], properties: { userProperties: [['k', 'v']] } },
  },
  ...([3, 4] as const).map(
    (version): ValidVector => ({
      name: `[v3 MQTT-3.10.3-2] UNSUBSCRIBE in version ${version}`,
      version,
      bytes: 'a2 * 0001 "a" "b/#"',
      packet: { type: 10, packetId: 1, topicFilters: ['a', 'b/#'], properties: {} },
    }),
  ),
  ...[0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91].map(unsuback),
  ...([3, 4] as const).map(
    (version): ValidVector => ({
      name: `UNSUBACK in version ${version}`,
      version,
      bytes: 'b0 02 0001',
      packet: { type: 11, packetId: 1, reasonCodes: [], properties: {} },
    }),
  ),
  ...ALL_VERSIONS.flatMap((version): ValidVector[] => [
    { name: `PINGREQ in version ${version}`, version, bytes: 'c0 00', packet: { type: 12 } },
    { name: `PINGRESP in version ${version}`, version, bytes: 'd0 00', packet: { type: 13 } },
    {
      name: `DISCONNECT in version ${version}`,
      version,
      bytes: 'e0 00',
      packet: { type: 14, reasonCode: 0, properties: {} },
    },
  ]),
  ...DISCONNECT_REASONS.map(
    (reasonCode): ValidVector => ({
      name: `[MQTT-3.14.2-1] DISCONNECT with ${hex(reasonCode)}`,
      version: 5,
      bytes: `e0 * ${hex(reasonCode)} []`,
      packet: { type: 14, reasonCode, properties: {} },
    }),
  ),
  {
    name: 'DISCONNECT without a property length',
    version: 5,
    bytes: 'e0 01 04',
    packet: { type: 14, reasonCode: 4, properties: {} },
    otherForm: 'the property length is written',
  },
  {
    name: 'DISCONNECT with reason 00 spelt out',
    version: 5,
    bytes: 'e0 02 00 00',
    packet: { type: 14, reasonCode: 0, properties: {} },
    otherForm: 'both may be left out',
  },
  {
    name: 'DISCONNECT with all properties',
    version: 5,
    bytes: 'e0 * 9c [11 0000000a 1c "other" 1f "why" 26 "k" "v"]',
    packet: {
      type: 14,
      reasonCode: 0x9c,
      properties: {
        sessionExpiryInterval: 10,
        serverReference: 'other',
        reasonString: 'why',
        userProperties: [['k', 'v']],
      },
    },
  },
  {
    name: 'AUTH without a body means success',
    version: 5,
    bytes: 'f0 00',
    packet: { type: 15, reasonCode: 0, properties: {} },
  },
  ...[0, 0x18, 0x19].map(
    (reasonCode): ValidVector => ({
      name: `[MQTT-3.15.2-1] AUTH with ${hex(reasonCode)}`,
      version: 5,
      bytes: `f0 * ${hex(reasonCode)} [15 "X" 16 0002 0102 1f "go" 26 "k" "v"]`,
      packet: {
        type: 15,
        reasonCode,
        properties: {
          authenticationMethod: 'X',
          authenticationData: binary('0102'),
          reasonString: 'go',
          userProperties: [['k', 'v']],
        },
      },
    }),
  ),
];
