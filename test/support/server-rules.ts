import { type Packet, PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { describePacket } from './packet-text.ts';

const FROM_SERVERS: ReadonlySet<PacketType> = new Set([
  PacketType.connack,
  PacketType.publish,
  PacketType.puback,
  PacketType.pubrec,
  PacketType.pubrel,
  PacketType.pubcomp,
  PacketType.suback,
  PacketType.unsuback,
  PacketType.pingresp,
]);

/** What a server may send at which point of a connection, whatever a test is about. */
export class ServerRules {
  readonly #version: ProtocolVersion;
  #state: 'before-connack' | 'open' | 'over' = 'before-connack';

  constructor(version: ProtocolVersion) {
    this.#version = version;
  }

  /** Takes the next packet of the connection into account. @throws Error when the server may not send it there. */
  check(packet: Packet): void {
    const { type } = packet;
    const isExtra = type === PacketType.disconnect || type === PacketType.auth;
    if (!FROM_SERVERS.has(type) && !(isExtra && this.#version === 5)) {
      throw new Error(`${describePacket(packet)} is no packet of a server`);
    }
    if (this.#state === 'over') throw new Error(`${describePacket(packet)} after the connection was over`);
    if (type === PacketType.connack) {
      if (this.#state === 'open') throw new Error(`a second CONNACK: ${describePacket(packet)}`);
      this.#state = packet.reasonCode === 0 ? 'open' : 'over';
      return;
    }
    if (this.#state === 'before-connack' && type !== PacketType.auth) {
      throw new Error(`${describePacket(packet)} before CONNACK`);
    }
    if (type === PacketType.disconnect) this.#state = 'over';
  }
}
