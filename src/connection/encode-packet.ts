import type { Logger } from '../lib/logger.ts';
import { encodePacket } from '../protocol/codec.ts';
import type { Packet, ProtocolVersion } from '../protocol/packets.ts';

/** Whom a packet is encoded for. */
export interface Recipient {
  readonly version: ProtocolVersion;
  /** Client's Maximum Packet Size, bytes. */
  readonly maximumPacketSize: number;
}

/**
 * Encodes a packet, without its reason string and user properties where the client could not take them [MQTT-3.2.2-19],
 * or where a hook's text has no form on the wire.
 * @returns undefined when it is too large even so, and must not be sent [MQTT-3.1.2-24].
 */
export function encodeFor(recipient: Recipient, packet: Packet, logger: Logger): Buffer | undefined {
  let bytes = encode(recipient, packet, logger);
  if (bytes === undefined || bytes.length > recipient.maximumPacketSize) {
    bytes = encode(recipient, withoutTexts(packet), logger);
  }
  return bytes === undefined || bytes.length > recipient.maximumPacketSize ? undefined : bytes;
}

function encode({ version }: Recipient, packet: Packet, logger: Logger): Buffer | undefined {
  try {
    return encodePacket(packet, version);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    logger.error('a packet could not be encoded', { type: packet.type, error: error.message });
    return undefined;
  }
}

function withoutTexts(packet: Packet): Packet {
  if (!('properties' in packet)) return packet;
  const { reasonString: _, userProperties: __, ...properties } = packet.properties;
  return { ...packet, properties };
}
