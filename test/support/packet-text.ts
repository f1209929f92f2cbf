import { type Packet, PacketType } from '../../src/protocol/packets.ts';

/** The names of the control packets by their type, as the standard writes them. */
export const PACKET_NAMES: Readonly<Record<PacketType, string>> = {
  [PacketType.connect]: 'CONNECT',
  [PacketType.connack]: 'CONNACK',
  [PacketType.publish]: 'PUBLISH',
  [PacketType.puback]: 'PUBACK',
  [PacketType.pubrec]: 'PUBREC',
  [PacketType.pubrel]: 'PUBREL',
  [PacketType.pubcomp]: 'PUBCOMP',
  [PacketType.subscribe]: 'SUBSCRIBE',
  [PacketType.suback]: 'SUBACK',
  [PacketType.unsubscribe]: 'UNSUBSCRIBE',
  [PacketType.unsuback]: 'UNSUBACK',
  [PacketType.pingreq]: 'PINGREQ',
  [PacketType.pingresp]: 'PINGRESP',
  [PacketType.disconnect]: 'DISCONNECT',
  [PacketType.auth]: 'AUTH',
};

/** A packet in one line for failure messages; long payloads are cut. */
export function describePacket(packet: Packet): string {
  const { type, ...fields } = packet;
  const text = JSON.stringify(fields, (_key, value: unknown) => {
    if (value instanceof Uint8Array || isBufferJson(value)) {
      const bytes = value instanceof Uint8Array ? value : Uint8Array.from(value.data);
      return `${bytes.length} bytes: ${Buffer.from(bytes.subarray(0, 40)).toString('latin1')}`;
    }
    return value;
  });
  return `${PACKET_NAMES[type]} ${text}`;
}

/** Buffers reach a JSON replacer in the form their toJSON gives them. */
function isBufferJson(value: unknown): value is { type: 'Buffer'; data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value;
}
