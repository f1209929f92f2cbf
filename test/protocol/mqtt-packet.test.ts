import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodePacket } from '../../src/protocol/codec.ts';
import type { ConnectPacket, Packet, Properties, ProtocolVersion, UserProperty } from '../../src/protocol/packets.ts';
import { packetsOf, versionedPacket } from './arbitraries.ts';
import { decodeChunks } from './decoding.ts';
import { generateForeign, parseForeign, toForeign } from './mqtt-packet-form.ts';
import { mutate, mutations } from './mutations.ts';
import { MALFORMED_CONNECT } from './vectors/malformed-connect.ts';
import { MALFORMED_OTHERS } from './vectors/malformed-others.ts';
import { MALFORMED_PUBLISH } from './vectors/malformed-publish.ts';
import { bytesOf } from './vectors/notation.ts';

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];

/** User properties that mqtt-packet can tell apart: see the differences below. */
function adaptUserProperties(pairs: readonly UserProperty[]): UserProperty[] {
  const byName = Map.groupBy(pairs, ([name]) => `name ${name}`);
  return [...byName].flatMap(([name, group]) => group.map(([, value]): UserProperty => [name, value || 'no value']));
}

function adaptProperties(properties: Properties): Properties {
  const { userProperties } = properties;
  return userProperties === undefined
    ? properties
    : { ...properties, userProperties: adaptUserProperties(userProperties) };
}

function adaptConnect(packet: ConnectPacket, version: ProtocolVersion): ConnectPacket {
  const adapted = { ...packet };
  if (adapted.username === undefined) delete adapted.password;
  if (adapted.clientId === '' && (version === 3 || !adapted.cleanStart)) adapted.clientId = 'c';
  if (adapted.will !== undefined)
    adapted.will = { ...adapted.will, properties: adaptProperties(adapted.will.properties) };
  return adapted;
}

/** The nearest packet that both codecs can express; each step is one of the differences below. */
function adapt(packet: Packet, version: ProtocolVersion): Packet {
  if (!('properties' in packet)) return packet;
  const adapted = { ...packet, properties: adaptProperties(packet.properties) };
  return adapted.type === 1 ? adaptConnect(adapted, version) : adapted;
}

/** Whether both codecs may encode a packet to other bytes, which is one of the differences below. */
function hasOtherForm(packet: Packet, version: ProtocolVersion): boolean {
  if (version !== 5 || !('properties' in packet)) return false;
  if (Object.keys(packet.properties).length > 0) return false;
  if (packet.type === 14) return packet.reasonCode === 0;
  return packet.type >= 4 && packet.type <= 7 && 'reasonCode' in packet && packet.reasonCode !== 0;
}

describe.each(VERSIONS)('with mqtt-packet, in version %i', (version) => {
  test.each(packetsOf(version))('%s agrees in both directions, byte for byte', (_name, packets) => {
    fc.assert(
      fc.property(packets, (original) => {
        const packet = adapt(original, version);
        const ours = encodePacket(packet, version);
        const theirs = generateForeign(packet, version);
        expect(ours.equals(theirs) || hasOtherForm(packet, version)).toBe(true);
        expect(decodeChunks([theirs], version)).toEqual({ packets: [packet], error: undefined, pendingBytes: 0 });
        expect(parseForeign(ours, version)).toEqual({ packets: [toForeign(packet, version)], failed: false });
      }),
      { numRuns: 150 },
    );
  });
});

describe('differences from mqtt-packet, each with its reason', () => {
  test('acknowledgements without properties leave out the property length (3.4.2.2.1), it writes a 0', () => {
    const packet: Packet = { type: 4, packetId: 1, reasonCode: 0x97, properties: {} };
    expect(encodePacket(packet, 5).toString('hex')).toBe('4003000197');
    expect(generateForeign(packet, 5).toString('hex')).toBe('400400019700');
  });

  test('DISCONNECT with reason 0 is two bytes (3.14.2.1), it writes reason and property length', () => {
    const packet: Packet = { type: 14, reasonCode: 0, properties: {} };
    expect(encodePacket(packet, 5).toString('hex')).toBe('e000');
    expect(generateForeign(packet, 5).toString('hex')).toBe('e0020000');
  });

  test('user properties keep their order across names (3.1.3-10), it groups them by name', () => {
    const userProperties: UserProperty[] = [
      ['b', '1'],
      ['a', '2'],
      ['b', '3'],
    ];
    const packet: Packet = { type: 10, packetId: 1, topicFilters: ['a'], properties: { userProperties } };
    expect(decodeChunks([encodePacket(packet, 5)], 5).packets).toEqual([packet]);
    expect(decodeChunks([generateForeign(packet, 5)], 5).packets).not.toEqual([packet]);
  });

  test('an empty value of a repeated user property stays, it forgets it', () => {
    const userProperties: UserProperty[] = [
      ['a', ''],
      ['a', 'x'],
    ];
    const packet: Packet = { type: 10, packetId: 1, topicFilters: ['a'], properties: { userProperties } };
    const bytes = encodePacket(packet, 5);
    expect(decodeChunks([bytes], 5).packets).toEqual([packet]);
    expect(parseForeign(bytes, 5).packets).toMatchObject([{ properties: { userProperties: { a: 'x' } } }]);
  });

  const connect: ConnectPacket = {
    type: 1,
    protocolVersion: 5,
    cleanStart: true,
    keepAlive: 0,
    clientId: 'c',
    properties: {},
  };
  test.each<[string, ConnectPacket, string]>([
    [
      'a password without a user name, which 5.0 allows',
      { ...connect, password: new Uint8Array(1) },
      'Username is required',
    ],
    [
      'an empty client id without clean start, whose answer is policy',
      { ...connect, clientId: '', cleanStart: false },
      'clientId must be given',
    ],
    [
      'an empty client id in 3.1, whose answer is policy',
      { ...connect, protocolVersion: 3, clientId: '' },
      'clientId must be supplied',
    ],
  ])('it refuses to encode %s', (_name, packet, message) => {
    const version = packet.protocolVersion;
    expect(decodeChunks([encodePacket(packet, version)], version).packets).toEqual([packet]);
    expect(() => generateForeign(packet, version)).toThrow(message);
  });

  test.each<[string, ProtocolVersion, string]>([
    ['AUTH without a body, which means success (3.15.2.1)', 5, 'f0 00'],
    ['DISCONNECT with Bad authentication method, which table 2-6 has', 5, 'e0 02 8c 00'],
    ['a repeated SUBSCRIBE of 3.1', 3, '8a * 0001 "a" 00'],
    ['a repeated PUBREL of 3.1', 3, '6a 02 0001'],
    ['user name flag of 3.1 without a user name', 3, '10 * "MQIsdp" 03 82 003c "c"'],
  ])('it refuses to decode %s', (_name, version, notation) => {
    const bytes = bytesOf(notation);
    expect(decodeChunks([bytes], version)).toMatchObject({ packets: [{}], error: undefined });
    expect(parseForeign(bytes, version).failed).toBe(true);
  });
});

/** Some of the malformed vectors that mqtt-packet takes for packets, at least one for each kind of fault. */
const WRONGLY_ACCEPTED = [
  '[v3 MQTT-3.1.2-2] bridge bit in the level of 3.1.1',
  '[MQTT-3.1.2-12] will QoS 3',
  '[v3 MQTT-3.1.2-22] password without a user name in 3.1.1',
  '[MQTT-3.1.2-16] user name without its flag',
  'one byte left over after CONNECT',
  '[MQTT-3.1.3-4] client id with U+0000',
  '[MQTT-3.1.3-4] client id of ill-formed UTF-8',
  '[MQTT-4.7.0-1] wildcard in the will topic',
  'property that runs past the property length into the client id',
  'CONNECT: receive maximum 0',
  'CONNECT: request problem information 2',
  'CONNECT: topic alias does not belong here',
  'CONNECT: session expiry interval twice',
  '[MQTT-3.3.1-2] DUP with QoS 0',
  '[MQTT-2.2.1-3] packet id 0 with QoS 1',
  'PUBLISH that ends before the packet id',
  '[MQTT-2.2.2-1] PUBLISH without a property length',
  '[MQTT-1.5.5-1] property length longer than needed in PUBLISH',
  '[MQTT-3.3.2-2] # in the topic name',
  '[MQTT-4.7.3-1] no topic name and no alias',
  '[MQTT-1.5.4-1] lowest surrogate in a topic name',
  'PUBLISH: [MQTT-3.3.2-14] # in the response topic',
  'PUBLISH: [MQTT-3.3.2-8] topic alias 0',
  'PUBLISH: subscription identifier 0',
  'PUBLISH: user property without a value',
  '[MQTT-1.5.5-1] Remaining Length 0 in two bytes',
  '[MQTT-3.2.2-6] session present along with a refusal',
  'PUBACK without a body',
  'PUBACK of three bytes in 3.1.1',
  'SUBSCRIBE: [MQTT-3.8.3-2] no topic filter',
  'SUBSCRIBE: [MQTT-3.8.3-4] no local on a shared subscription',
  'SUBACK without a reason code',
  'PINGREQ with a body',
  'DISCONNECT with a body in 3.1.1',
  'AUTH without an authentication method',
];

describe('malformed packets that mqtt-packet wrongly accepts are refused', () => {
  const malformed = [...MALFORMED_CONNECT, ...MALFORMED_PUBLISH, ...MALFORMED_OTHERS];
  test.each(WRONGLY_ACCEPTED)('%s', (name) => {
    const vector = malformed.find((candidate) => candidate.name === name);
    if (vector === undefined) throw new Error('No such vector');
    const bytes = bytesOf(vector.bytes);
    expect(parseForeign(bytes, vector.version)).toMatchObject({ packets: [{}], failed: false });
    expect(decodeChunks([bytes], vector.version).error?.reasonCode).toBe(vector.reasonCode);
  });
});

/** Whether a packet we accept may be refused by mqtt-packet, by the differences above. */
function mayBeRefused(packet: Packet, version: ProtocolVersion): boolean {
  if (packet.type === 15) return packet.reasonCode === 0 && Object.keys(packet.properties).length === 0;
  if (packet.type === 14) return packet.reasonCode === 0x8c;
  return version === 3 && (packet.type === 1 || packet.type === 6 || packet.type === 8 || packet.type === 10);
}

/** Without what only one of both can keep apart: user properties, and what `adapt` changes in CONNECT. */
function comparable({
  clientId: _clientId,
  password: _password,
  properties,
  will,
  ...rest
}: Record<string, unknown>): object {
  const strip = (fields: unknown): object => ({ ...(fields as object), userProperties: undefined });
  return { ...rest, properties: strip(properties), will: strip({ ...(will as object), properties: undefined }) };
}

test('a damaged packet that is accepted means the same to mqtt-packet', () => {
  let compared = 0;
  fc.assert(
    fc.property(versionedPacket, mutations, ([version, original], changes) => {
      const bytes = mutate(encodePacket(adapt(original, version), version), changes);
      const { packets, error, pendingBytes } = decodeChunks([bytes], version);
      const [packet] = packets;
      if (packet === undefined || packets.length > 1 || error !== undefined || pendingBytes > 0) return;
      // A CONNECT tells its own version, and the damage may have changed that.
      const own = packet.type === 1 ? packet.protocolVersion : version;
      if (mayBeRefused(packet, own)) return;
      const foreign = parseForeign(bytes, own);
      expect(foreign.failed).toBe(false);
      expect(foreign.packets.map(comparable)).toEqual([comparable(toForeign(adapt(packet, own), own))]);
      compared++;
    }),
    { numRuns: 3000 },
  );
  expect(compared).toBeGreaterThan(100);
});
