import { decodePacket } from '../../src/protocol/codec.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { Framer } from '../../src/protocol/framer.ts';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { decodePublish, decodeTopicName, PublishFrame } from '../../src/protocol/publish.ts';

/** Largest packet, CONNECT too, that the broker of a fuzzer takes, bytes. */
export const MAXIMUM_PACKET_SIZE: number = 128 * 1024;

/** Packets that only servers send, and CONNECT, which is sent once. */
const NOT_AFTER_CONNECT: ReadonlySet<number> = new Set([
  PacketType.connect,
  PacketType.connack,
  PacketType.suback,
  PacketType.unsuback,
  PacketType.pingresp,
]);

/** What has to come of the bytes of one connection, as far as their form tells. */
export interface Prediction {
  /** `refused`: the broker has to close the connection; `left`: the client does; `open`: the form alone decides nothing. */
  end: 'refused' | 'left' | 'open';
  /** The version that CONNECT says; undefined where it cannot be read. */
  version: ProtocolVersion | undefined;
  /** The largest packet that the client takes, bytes. */
  maximumPacketSize: number;
}

/** Tells what has to come of the bytes that a client sends on one connection. @throws what is no ProtocolError. */
export function predict(bytes: Buffer): Prediction {
  const framer = new Framer(MAXIMUM_PACKET_SIZE);
  let maximumPacketSize = Number.POSITIVE_INFINITY;
  let version: ProtocolVersion | undefined;
  try {
    // The first byte is enough to tell another protocol.
    if (bytes.length > 0 && (bytes[0] as number) >> 4 !== PacketType.connect)
      return { end: 'refused', version, maximumPacketSize };
    framer.push(bytes);
    while (framer.next()) {
      const type = framer.header >> 4;
      if (version === undefined) {
        const packet = decodePacket(framer, 4);
        if (packet.type !== PacketType.connect) return { end: 'refused', version, maximumPacketSize };
        version = packet.protocolVersion;
        maximumPacketSize = packet.properties.maximumPacketSize ?? maximumPacketSize;
        continue;
      }
      if (NOT_AFTER_CONNECT.has(type)) return { end: 'refused', version, maximumPacketSize };
      if (type === PacketType.publish) decodeClientPublish(framer, version);
      else decodePacket(framer, version);
      if (type === PacketType.disconnect) return { end: 'left', version, maximumPacketSize };
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { end: 'refused', version: version ?? error.protocolVersion, maximumPacketSize };
  }
  return { end: 'open', version, maximumPacketSize };
}

/** As the broker does it: with no Subscription Identifiers, and a topic name that is not empty or an alias. */
function decodeClientPublish(framer: Framer, version: ProtocolVersion): void {
  const frame = new PublishFrame();
  decodePublish(frame, framer, version);
  const { buffer, topicStart, topicEnd } = frame;
  if (topicStart !== topicEnd) decodeTopicName(buffer, topicStart, topicEnd);
}
