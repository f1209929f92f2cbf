import { encodePacket } from '../../src/protocol/codec.ts';
import type { Packet } from '../../src/protocol/packets.ts';

/** CONNECT of a session that outlives its connection by an hour. */
export const KEPT = {
  clientId: 'kept',
  cleanStart: false,
  properties: { sessionExpiryInterval: 3600 },
} as const;

/** Bytes a packet of MQTT 5.0 takes, its fixed header included. */
export function sizeOf(packet: Packet): number {
  return encodePacket(packet, 5).length;
}
