import type { Message } from '../protocol/message.ts';
import type { Qos } from '../protocol/packets.ts';
import { encodePublish, frameKeyOf, publishLength } from '../protocol/publish.ts';
import type { Connection } from './connection.ts';

const NO_IDENTIFIERS: readonly number[] = [];

/**
 * Appends a PUBLISH to the outbox. Where nothing in it belongs to this delivery alone, all takers get the same bytes:
 * those that came in, if they can go out as they are, or a frame encoded once. (Seven arguments: hot path.)
 * @returns false when it is above the client's Maximum Packet Size; nothing was appended then [MQTT-3.1.2-24].
 */
export function writePublish(
  connection: Connection,
  message: Message,
  qos: Qos,
  retain: boolean,
  dup: boolean,
  packetId: number,
  identifiers: readonly number[],
): boolean {
  const isPlain =
    !dup &&
    identifiers.length === 0 &&
    connection.outgoingAliases === undefined &&
    message.expiresAt === Number.POSITIVE_INFINITY;
  const key = frameKeyOf(connection.version, qos, retain);
  if (isPlain && (message.frameKey === key || (message.isShared && !retain))) {
    if (message.frameKey !== key) encodeFrame(connection, message, qos, key);
    if (!appendFrame(connection, message, qos, packetId)) return false;
  } else if (!encodeOne(connection, message, qos, retain, dup, packetId, identifiers)) {
    return false;
  }
  const { traffic } = connection.context;
  traffic.packetsSent += 1;
  traffic.publishesSent += 1;
  traffic.payloadBytesSent += message.payloadEnd - message.payloadStart;
  return true;
}

/** Encodes what all takers with this key get, once; RETAIN is 0. */
function encodeFrame(connection: Connection, message: Message, qos: Qos, key: number): void {
  const { version } = connection;
  const length = publishLength(message, version, qos, 0, false, -1, NO_IDENTIFIERS);
  const frame = Buffer.allocUnsafe(length);
  encodePublish(frame, 0, message, version, qos, false, false, 0, 0, false, -1, NO_IDENTIFIERS);
  message.frameBytes = frame;
  message.frameStart = 0;
  message.frameEnd = length;
  message.framePacketIdAt = qos === 0 ? 0 : packetIdOffset(frame);
  message.frameKey = key;
}

/**
 * Appends the message's frame with this delivery's packet id. What has one taker goes out in the very bytes that came
 * in, with the packet id changed in place: they belong to that delivery from then on.
 */
function appendFrame(connection: Connection, message: Message, qos: Qos, packetId: number): boolean {
  const { outbox } = connection;
  const { frameBytes, frameStart, frameEnd } = message;
  const length = frameEnd - frameStart;
  if (length > connection.maximumPacketSize) return false;
  if (qos === 0) {
    outbox.append(frameBytes, frameStart, frameEnd);
    return true;
  }
  if (!message.isShared) {
    frameBytes[message.framePacketIdAt] = packetId >> 8;
    frameBytes[message.framePacketIdAt + 1] = packetId & 0xff;
    message.frameKey = -1;
    outbox.append(frameBytes, frameStart, frameEnd);
    return true;
  }
  outbox.appendPatched(frameBytes, frameStart, frameEnd, message.framePacketIdAt, packetId);
  return true;
}

/** Encodes a PUBLISH for this taker alone. (Seven arguments: hot path.) */
function encodeOne(
  connection: Connection,
  message: Message,
  qos: Qos,
  retain: boolean,
  dup: boolean,
  packetId: number,
  identifiers: readonly number[],
): boolean {
  const { version, outgoingAliases: aliases, outbox, maximumPacketSize } = connection;
  const expiry = secondsLeft(connection, message);
  let alias = aliases === undefined ? 0 : aliases.known(message.topicName);
  const omitTopic = alias !== 0;
  let length = publishLength(message, version, qos, alias, omitTopic, expiry, identifiers);
  if (length > maximumPacketSize) return false;
  // A new alias costs three bytes, and up to two more where the lengths in front of them grow.
  if (aliases !== undefined && !omitTopic && length + 5 <= maximumPacketSize) {
    alias = aliases.assign(message.topicName);
    if (alias !== 0) length = publishLength(message, version, qos, alias, false, expiry, identifiers);
  }
  const at = outbox.reserve(length);
  encodePublish(outbox.buffer, at, message, version, qos, retain, dup, packetId, alias, omitTopic, expiry, identifiers);
  return true;
}

/** What is left of the Message Expiry Interval, seconds [MQTT-3.3.2-6]; -1 for none. */
function secondsLeft(connection: Connection, message: Message): number {
  if (message.expiresAt === Number.POSITIVE_INFINITY) return -1;
  return Math.max(0, Math.ceil((message.expiresAt - connection.context.clock.now()) / 1000));
}

/** Offset of the packet id in an encoded PUBLISH with QoS 1 or 2: behind header, length and topic name. */
function packetIdOffset(frame: Buffer): number {
  let at = 1;
  while ((frame[at] as number) >= 128) at += 1;
  return at + 3 + frame.readUInt16BE(at + 1);
}
