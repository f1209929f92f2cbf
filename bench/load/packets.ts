/**
 * The packets the load generator sends and the little it reads of those it gets. Written apart from the broker's codec, so
 * that a mistake there cannot hide here. Lengths and offsets are in bytes.
 */

/** MQTT 3.1.1 or 5.0, as its protocol level. */
export type ProtocolVersion = 4 | 5;

/** A Quality of Service. */
export type Qos = 0 | 1 | 2;

/** The first bytes (type and flags) of packets without flags of their own. */
export const PacketType = {
  connack: 0x20,
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
  suback: 0x90,
  disconnect: 0xe0,
} as const;

/** DISCONNECT without a reason. */
export const DISCONNECT: Buffer = Buffer.from([PacketType.disconnect, 0]);

/** How long a session lives on without a connection where it has to outlive one, in seconds. */
const SESSION_EXPIRY_S = 3600;
/** Long enough that no ping is due during a run, in seconds. */
const KEEP_ALIVE_S = 600;

function encodeLength(length: number): number[] {
  const bytes: number[] = [];
  let rest = length;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function encodePacket(firstByte: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([firstByte, ...encodeLength(body.length)]), body]);
}

/** CONNECT; a client that is not clean resumes its session, and the session outlives the connection. */
export function encodeConnect(version: ProtocolVersion, clientId: string, isClean: boolean): Buffer {
  const flags = isClean ? 0x02 : 0x00;
  const fixed = [version, flags, KEEP_ALIVE_S >> 8, KEEP_ALIVE_S & 0xff];
  const expiry = [0x11, 0, 0, SESSION_EXPIRY_S >> 8, SESSION_EXPIRY_S & 0xff];
  const properties = isClean ? [0] : [expiry.length, ...expiry];
  const head = Buffer.from(version === 5 ? [...fixed, ...properties] : fixed);
  return encodePacket(0x10, encodeString('MQTT'), head, encodeString(clientId));
}

/** SUBSCRIBE to these filters, with packet id 1. */
export function encodeSubscribe(version: ProtocolVersion, topicFilters: readonly string[], qos: Qos): Buffer {
  const head = Buffer.from(version === 5 ? [0, 1, 0] : [0, 1]);
  return encodePacket(0x82, head, ...topicFilters.flatMap((filter) => [encodeString(filter), Buffer.from([qos])]));
}

/** What tells the messages of a run from each other; everything else in a PUBLISH is the same. */
export interface PublishShape {
  readonly version: ProtocolVersion;
  readonly qos: Qos;
  readonly retain: boolean;
  /** At least `STAMP_BYTES`. */
  readonly payloadBytes: number;
}

/**
 * The payload begins with a stamp, little endian: publisher (4 bytes), sequence number of that publisher (4), time (4, in
 * microseconds of the generator's clock, modulo 2^32).
 */
export const STAMP_BYTES = 12;

/** PUBLISH with packet id 0 (to be patched) and an empty stamp but for the publisher. */
export function encodePublish(shape: PublishShape, topicName: string, publisher: number): Buffer {
  const payload = Buffer.alloc(shape.payloadBytes, 'abcdefghijklmnopqrstuvwxyz');
  payload.fill(0, 0, STAMP_BYTES);
  payload.writeUInt32LE(publisher, 0);
  const packetId = Buffer.alloc(shape.qos > 0 ? 2 : 0);
  const properties = Buffer.alloc(shape.version === 5 ? 1 : 0);
  const firstByte = 0x30 | (shape.qos << 1) | (shape.retain ? 1 : 0);
  return encodePacket(firstByte, encodeString(topicName), packetId, properties, payload);
}

/** How far before the end of a PUBLISH its packet id stands. */
export function packetIdFromEnd(shape: PublishShape): number {
  return shape.payloadBytes + (shape.version === 5 ? 1 : 0) + 2;
}

/**
 * The whole length of the packet that begins at `from`, or 0 when its header is not complete before `to`.
 * @throws when the Remaining Length takes more than four bytes.
 */
export function packetLength(bytes: Buffer, from: number, to: number): number {
  let length = 0;
  for (let index = 1; index <= 4; index++) {
    if (from + index >= to) return 0;
    const byte = bytes[from + index]!;
    length |= (byte & 0x7f) << (7 * (index - 1));
    if (byte < 0x80) return 1 + index + length;
  }
  throw new Error('The broker sent a Remaining Length of more than four bytes.');
}

/** How many bytes a property takes after its identifier, by identifier; those not here are strings or binary data. */
const PROPERTY_BYTES: ReadonlyMap<number, number> = new Map([
  [0x11, 4],
  [0x13, 2],
  [0x21, 2],
  [0x22, 2],
  [0x24, 1],
  [0x25, 1],
  [0x27, 4],
  [0x28, 1],
  [0x29, 1],
  [0x2a, 1],
]);
const RECEIVE_MAXIMUM = 0x21;
const USER_PROPERTY = 0x26;

/** The Receive Maximum that an MQTT 5 CONNACK announces; 65,535 when it does not. `from` is where its properties begin. */
export function receiveMaximumOf(bytes: Buffer, from: number, to: number): number {
  let at = from + 1; // properties of a CONNACK of less than 128 bytes have a length of one byte
  if (bytes[from]! > 0x7f) at++;
  while (at < to) {
    const id = bytes[at++]!;
    if (id === RECEIVE_MAXIMUM) return bytes.readUInt16BE(at);
    const fixed = PROPERTY_BYTES.get(id);
    if (fixed !== undefined) at += fixed;
    else for (let strings = id === USER_PROPERTY ? 2 : 1; strings > 0; strings--) at += 2 + bytes.readUInt16BE(at);
  }
  return 65_535;
}
