import { encodePacket } from '../../src/protocol/codec.ts';
import type { Packet } from '../../src/protocol/packets.ts';

/** CONNECT of a session that outlives its connection by an hour. */
export const KEPT = {
  clientId: 'kept',
  cleanStart: false,
  properties: { sessionExpiryInterval: 3600 },
} as const;

/** Properties as bytes with their length in front, at most 127; written without the broker's codec. */
export function rawProperties(...parts: readonly (Uint8Array | readonly number[])[]): Buffer {
  const bytes = Buffer.concat(parts.map((part) => Buffer.from(part)));
  if (bytes.length > 127) throw new RangeError('the length of these properties takes more than one byte');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** Bytes a packet of MQTT 5.0 takes, its fixed header included. */
export function sizeOf(packet: Packet): number {
  return encodePacket(packet, 5).length;
}
