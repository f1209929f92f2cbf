import { PacketType, type PublishPacket } from '../../src/protocol/packets.ts';
import type { RawClient } from '../support/raw-client.ts';

/** Takes all that the broker has for a client by now, and acknowledges it to the end of its QoS. */
export async function takeAll(client: RawClient): Promise<readonly PublishPacket[]> {
  const publishes: PublishPacket[] = [];
  for (let isAnswering = true; isAnswering; ) {
    isAnswering = false;
    client.send({ type: PacketType.pingreq });
    for (;;) {
      const packet = await client.next();
      if (packet.type === PacketType.pingresp) break;
      isAnswering = true;
      if (packet.type === PacketType.pubrel) client.sendAck(PacketType.pubcomp, packet.packetId);
      if (packet.type !== PacketType.publish) continue;
      publishes.push(packet);
      if (packet.qos === 1) client.sendAck(PacketType.puback, packet.packetId);
      if (packet.qos === 2) client.sendAck(PacketType.pubrec, packet.packetId);
    }
  }
  return publishes;
}
