import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { decodePacket, encodePacket, quickAckId } from '../../src/protocol/codec.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { Framer } from '../../src/protocol/framer.ts';
import { type Packet, PacketType, type ProtocolVersion, type PublishPacket } from '../../src/protocol/packets.ts';
import {
  decodePublish,
  decodePublishPacket,
  decodeTopicName,
  encodePublish,
  messageOf,
  propertiesOf,
  PublishFrame,
  publishLength,
} from '../../src/protocol/publish.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { parseTopicFilter } from '../../src/protocol/topic.ts';
import { errorOf } from '../protocol/decoding.ts';

const ERROR_CODES: ReadonlySet<number> = new Set(Object.values(ReasonCode).filter((code) => code >= 0x80));
const TOPIC_OF_ALIAS = 'topic/of/the/alias';

/** All statement ids of both standards, those of 3.1.1 with `v3 ` in front. */
const STATEMENT_IDS: ReadonlySet<string> = new Set([...statements('5.0', ''), ...statements('3.1.1', 'v3 ')]);

function statements(version: string, prefix: string): string[] {
  const file = new URL(`../conformance/statements-${version}.txt`, import.meta.url);
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((id) => prefix + id);
}

/** What came of some chunks: packets, then perhaps an error. */
export interface Outcome {
  packets: Packet[];
  error: ProtocolError | undefined;
  /** Bytes kept of a packet that is not whole. */
  pendingBytes: number;
}

/** Decodes chunks up to the first error. `each` looks at each frame before it is decoded. @throws what is no ProtocolError. */
export function decode(
  chunks: readonly Buffer[],
  version: ProtocolVersion,
  maximumPacketSize: number,
  each?: (framer: Framer) => void,
): Outcome {
  const framer = new Framer(maximumPacketSize);
  const packets: Packet[] = [];
  const error = errorOf(() => {
    for (const chunk of chunks) {
      framer.push(chunk);
      while (framer.next()) {
        each?.(framer);
        packets.push(decodePacket(framer, version));
      }
    }
  });
  return { packets, error, pendingBytes: framer.pendingBytes };
}

/** Asserts that a refusal has a reason code of the standard, and where it names a statement one that exists. @throws Error otherwise. */
export function checkRefusal(error: ProtocolError): void {
  if (!ERROR_CODES.has(error.reasonCode))
    throw new Error(`refused with ${error.reasonCode}, which is no error: ${error.message}`);
  if (error.statementId !== '' && !STATEMENT_IDS.has(error.statementId))
    throw new Error(`there is no statement ${error.statementId}`);
}

/** Asserts that two ways to cut the same bytes mean the same. @throws Error otherwise. */
export function checkSame(one: Outcome, other: Outcome): void {
  const { error } = one;
  if (error?.reasonCode !== other.error?.reasonCode || error?.message !== other.error?.message)
    throw new Error(`cut otherwise it is refused otherwise: ${String(error)} and ${String(other.error)}`);
  if (error === undefined && one.pendingBytes !== other.pendingBytes)
    throw new Error(`cut otherwise ${other.pendingBytes} bytes wait instead of ${one.pendingBytes}`);
  if (!isDeepStrictEqual(one.packets, other.packets)) throw new Error('cut otherwise it means other packets');
}

/** Asserts that a packet that was accepted can be encoded, and then means the same. @throws Error otherwise. */
export function checkRoundTrip(packet: Packet, version: ProtocolVersion): void {
  // MQTT 3.1 has no Session Present: what a server put into that reserved byte is read, but never written.
  if (version === 3 && packet.type === PacketType.connack) return;
  const bytes = encodePacket(packet, version);
  const { packets, error, pendingBytes } = decode([bytes], version, bytes.length);
  if (error !== undefined || pendingBytes > 0 || packets.length !== 1)
    throw new Error(`what was accepted is refused when it is encoded again: ${String(error)}`);
  if (!isDeepStrictEqual(packets[0], packet))
    throw new Error('what was accepted means something else when it is encoded again');
  if (!encodePacket(packets[0] as Packet, version).equals(bytes)) throw new Error('one packet is encoded in two ways');
}

/** Asserts that the syntax of the topic filters of a SUBSCRIBE can be looked at, whatever they are. @throws Error otherwise. */
export function checkTopicFilters(packet: Packet): void {
  if (packet.type !== PacketType.subscribe) return;
  for (const { topicFilter } of packet.subscriptions) {
    const parsed = parseTopicFilter(topicFilter);
    if (parsed === undefined) continue;
    const { filter, shareName } = parsed;
    if ((shareName === '' ? filter : `$share/${shareName}/${filter}`) !== topicFilter)
      throw new Error(`the topic filter ${JSON.stringify(topicFilter)} is taken apart wrongly`);
  }
}

/** Asserts that the hot paths of the broker see in a frame what `decodePacket` does. @throws Error otherwise. */
export function checkHotPaths(framer: Framer, version: ProtocolVersion): void {
  const type = framer.header >> 4;
  if (type === PacketType.publish) checkPublish(framer, version);
  const id = quickAckId(framer);
  if (id === -1) return;
  let packet: Packet | undefined;
  const error = errorOf(() => {
    packet = decodePacket(framer, version);
  });
  if (error !== undefined || !isDeepStrictEqual(packet, { type, packetId: id, reasonCode: 0, properties: {} }))
    throw new Error('an acknowledgement is taken for another on the hot path');
}

function checkPublish(framer: Framer, version: ProtocolVersion): void {
  const frame = new PublishFrame();
  let packet: PublishPacket | undefined;
  let topicName = TOPIC_OF_ALIAS;
  const asObject = errorOf(() => {
    packet = decodePublishPacket(framer, version);
  });
  const onHotPath = errorOf(() => {
    decodePublish(frame, framer, version);
    const { buffer, topicStart, topicEnd } = frame;
    if (topicStart !== topicEnd) topicName = decodeTopicName(buffer, topicStart, topicEnd);
  });
  // Only servers send Subscription Identifiers: the hot path, which clients use, refuses them.
  const identifiers = packet?.properties.subscriptionIdentifiers !== undefined;
  if ((onHotPath === undefined) !== (asObject === undefined && !identifiers))
    throw new Error(`PUBLISH: ${String(onHotPath)} on the hot path, ${String(asObject)} beside it`);
  if (onHotPath !== undefined) checkRefusal(onHotPath);
  else if (packet !== undefined) checkForwarding(frame, packet, topicName, version);
}

/** What the hot path makes of a PUBLISH is forwarded with everything that has to be, and nothing else. */
function checkForwarding(
  frame: PublishFrame,
  packet: PublishPacket,
  topicName: string,
  version: ProtocolVersion,
): void {
  const message = messageOf(frame, topicName, 0, 'publisher', version);
  const { topicAlias: _alias, messageExpiryInterval: expiry, ...forwarded } = packet.properties;
  if (!isDeepStrictEqual(propertiesOf(message), forwarded))
    throw new Error('the properties of a message are not those of its PUBLISH');
  const seconds = expiry ?? -1;
  const length = publishLength(message, version, packet.qos, 0, false, seconds, []);
  const out = Buffer.alloc(length);
  const { qos, retain, dup, packetId } = packet;
  const end = encodePublish(out, 0, message, version, qos, retain, dup, packetId, 0, false, seconds, []);
  const properties = expiry === undefined ? forwarded : { ...forwarded, messageExpiryInterval: expiry };
  const { packets } = decode([out], version, length);
  if (end !== length || !isDeepStrictEqual(packets, [{ ...packet, topicName, properties }]))
    throw new Error('a message is forwarded as another than was published');
}
