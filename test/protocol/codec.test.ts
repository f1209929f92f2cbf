import { describe, expect, test } from 'vitest';
import { decodePacket, encodePacket, quickAckId, writeAck } from '../../src/protocol/codec.ts';
import { type AckPacket, PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { decodePublish, decodeTopicName, PublishFrame } from '../../src/protocol/publish.ts';
import { decodeChunks, errorOf, framed, singleBytes } from './decoding.ts';
import { MALFORMED_CONNECT } from './vectors/malformed-connect.ts';
import { MALFORMED_OTHERS } from './vectors/malformed-others.ts';
import { MALFORMED_FROM_CLIENT, MALFORMED_PUBLISH } from './vectors/malformed-publish.ts';
import { bytesOf } from './vectors/notation.ts';
import { VALID_CONNECT } from './vectors/valid-connect.ts';
import { VALID_OTHERS } from './vectors/valid-others.ts';
import { VALID_PUBLISH } from './vectors/valid-publish.ts';

const VALID = [...VALID_CONNECT, ...VALID_PUBLISH, ...VALID_OTHERS];
const MALFORMED = [...MALFORMED_CONNECT, ...MALFORMED_PUBLISH, ...MALFORMED_OTHERS];

/** Offsets to cut `bytes` at: every one, but for the longest vectors those near the ends and some between. */
function cutsOf(bytes: Buffer): number[] {
  const cuts = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1);
  return cuts.filter((cut) => cut < 64 || cut > bytes.length - 64 || cut % 997 === 0);
}

test('there are at least 300 vectors, each under its own name', () => {
  const names = [...VALID, ...MALFORMED, ...MALFORMED_FROM_CLIENT].map(({ name }) => name);
  expect(names.length).toBeGreaterThanOrEqual(300);
  const repeated = names.filter((name, index) => names.indexOf(name) !== index);
  expect(repeated).toEqual([]);
});

describe('valid packets', () => {
  test.each(VALID)('$name', ({ bytes, version, packet, otherForm }) => {
    const whole = bytesOf(bytes);
    const expected = { packets: [packet], error: undefined, pendingBytes: 0 };
    expect(decodeChunks([whole], version)).toEqual(expected);
    expect(decodeChunks(singleBytes(whole), version)).toEqual(expected);
    for (const cut of cutsOf(whole)) {
      const head = whole.subarray(0, cut);
      expect(decodeChunks([head], version)).toEqual({ packets: [], error: undefined, pendingBytes: cut });
      expect(decodeChunks([head, whole.subarray(cut)], version)).toEqual(expected);
    }
    expect(decodeChunks([Buffer.concat([whole, whole])], version).packets).toEqual([packet, packet]);
    const encoded = encodePacket(packet, version);
    expect(encoded.equals(whole)).toBe(otherForm === undefined);
    expect(decodeChunks([encoded], version)).toEqual(expected);
  });
});

describe('malformed packets', () => {
  test.each(MALFORMED)('$name', ({ bytes, version, reasonCode }) => {
    const whole = bytesOf(bytes);
    for (const cut of [whole.length, ...cutsOf(whole)]) {
      const { packets, error } = decodeChunks([whole.subarray(0, cut), whole.subarray(cut)], version);
      expect(packets).toEqual([]);
      expect(error?.reasonCode).toBe(reasonCode);
    }
    expect(decodeChunks(singleBytes(whole), version).error?.reasonCode).toBe(reasonCode);
  });

  test.each([
    ['5.0', '10 * "MQTT" 05 03 003c [] "c"', 5],
    ['3.1', '10 * "MQIsdp" 03 03 003c "c"', 3],
    ['none that exists, answered as before 5.0', '10 * "MQTT" 06 02 003c "c"', 4],
    ['none that can be read', '10 * "HTTP" 05 02 003c "c"', undefined],
  ])('an error in CONNECT tells the protocol version to answer in: %s', (_name, notation, protocolVersion) => {
    const { error } = decodeChunks([bytesOf(notation)], 4);
    expect(error).toBeDefined();
    expect(error?.protocolVersion).toBe(protocolVersion);
  });

  test('an error carries the statement that was broken', () => {
    const { error } = decodeChunks([bytesOf('10 * "MQTT" 05 03 003c [] "c"')], 5);
    expect(error?.statementId).toBe('MQTT-3.1.2-3');
    expect(error?.message).toContain('[MQTT-3.1.2-3]');
  });
});

/** The reason code that the hot path refuses a PUBLISH with, undefined where it accepts. */
function reasonOnHotPath(bytes: Buffer, version: ProtocolVersion): number | undefined {
  const error = errorOf(() => {
    const frame = new PublishFrame();
    decodePublish(frame, framed(bytes), version);
    if (frame.topicStart !== frame.topicEnd) decodeTopicName(frame.buffer, frame.topicStart, frame.topicEnd);
  });
  return error?.reasonCode;
}

describe('the hot path of PUBLISH', () => {
  test.each([...MALFORMED_PUBLISH, ...MALFORMED_FROM_CLIENT])('refuses: $name', ({ bytes, version, reasonCode }) => {
    expect(reasonOnHotPath(bytesOf(bytes), version)).toBe(reasonCode);
  });

  const fromClient = VALID_PUBLISH.filter(({ name }) => !name.includes('subscription identifier'));
  test.each(fromClient)('accepts: $name', ({ bytes, version, packet }) => {
    expect(reasonOnHotPath(bytesOf(bytes), version)).toBeUndefined();
    const frame = new PublishFrame();
    decodePublish(frame, framed(bytesOf(bytes)), version);
    const { dup, qos, retain, packetId } = frame;
    expect(packet).toMatchObject({ dup, qos, retain, packetId });
    const payload = new Uint8Array(frame.buffer.subarray(frame.payloadStart, frame.payloadEnd));
    expect(packet).toMatchObject({ payload });
    if (packet.type !== PacketType.publish) throw new Error('A PUBLISH vector of another type');
    expect(frame.topicAlias).toBe(packet.properties.topicAlias ?? 0);
    expect(frame.messageExpiryInterval).toBe(packet.properties.messageExpiryInterval ?? -1);
    expect(frame.payloadFormatIndicator).toBe(packet.properties.payloadFormatIndicator ?? 0);
  });
});

const ACK_TYPES: readonly AckPacket['type'][] = [
  PacketType.puback,
  PacketType.pubrec,
  PacketType.pubrel,
  PacketType.pubcomp,
];

describe('acknowledgements on the hot path', () => {
  test.each(ACK_TYPES)('are written as the codec encodes them, type %i', (type) => {
    for (const version of [3, 4, 5] as const) {
      for (const reasonCode of version === 5 ? [0, 0x92, 0x10] : [0]) {
        const out = Buffer.alloc(16, 0xee);
        const end = writeAck(out, 3, type, 0xabcd, reasonCode, version);
        const packet: AckPacket = { type, packetId: 0xabcd, reasonCode, properties: {} };
        expect(out.subarray(3, end).toString('hex')).toBe(encodePacket(packet, version).toString('hex'));
        expect(out[2]).toBe(0xee);
        expect(out[end]).toBe(0xee);
      }
    }
  });

  test('a reason code has no place in 3.x', () => {
    const out = Buffer.alloc(8);
    expect(writeAck(out, 0, PacketType.pubrec, 1, 0x97, 4)).toBe(4);
    expect(decodePacket(framed(out.subarray(0, 4)), 4)).toMatchObject({ packetId: 1, reasonCode: 0 });
  });

  test.each(ACK_TYPES)('of the plainest form tell their packet id at once, type %i', (type) => {
    const out = Buffer.alloc(4);
    writeAck(out, 0, type, 0xfedc, 0, 5);
    expect(quickAckId(framed(out))).toBe(0xfedc);
  });

  test.each([
    ['packet id 0', '40 02 0000'],
    ['wrong flags', '60 02 0001'],
    ['DUP of 3.1', '6a 02 0001'],
    ['flags where there are none', '42 02 0001'],
    ['a reason code', '40 03 0001 00'],
    ['one byte', '40 01 00'],
    ['another packet type', 'b0 02 0001'],
    ['PUBLISH', '30 02 0000'],
  ])('are left to decodePacket: %s', (_name, bytes) => {
    expect(quickAckId(framed(bytesOf(bytes)))).toBe(-1);
  });
});
