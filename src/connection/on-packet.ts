import { decodePacket, quickAckId } from '../protocol/codec.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Framer } from '../protocol/framer.ts';
import { PacketType } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Connection } from './connection.ts';
import { onConnect } from './handshake.ts';
import { onAck } from './on-ack.ts';
import { onAuth } from './on-auth.ts';
import { onDisconnect } from './on-disconnect.ts';
import { onPublish } from './on-publish.ts';
import { onSubscribe, onUnsubscribe } from './on-subscribe.ts';

/**
 * Handles the framer's current packet. A promise holds back the packets behind it until it settles.
 * @throws ProtocolError for anything the peer did wrong.
 */
export function onPacket(connection: Connection, framer: Framer): Promise<void> | undefined {
  connection.context.traffic.packetsReceived += 1;
  if (connection.state !== 'connected') return beforeConnected(connection, framer);
  const type = framer.header >> 4;
  if (type === PacketType.publish) return onPublish(connection, framer);
  const packetId = quickAckId(framer);
  if (packetId !== -1) {
    onAck(connection, type, packetId, ReasonCode.success);
    return undefined;
  }
  // Whatever is in it: for some of what may be wrong with a CONNECT, DISCONNECT has no reason code.
  if (type === PacketType.connect)
    throw new ProtocolError(ReasonCode.protocolError, 'a second CONNECT', 'MQTT-3.1.0-2'); // [MQTT-3.1.0-2] [v3 MQTT-3.1.0-2]
  const packet = decodePacket(framer, connection.version);
  switch (packet.type) {
    case PacketType.puback:
    case PacketType.pubrec:
    case PacketType.pubrel:
    case PacketType.pubcomp:
      onAck(connection, packet.type, packet.packetId, packet.reasonCode);
      return undefined;
    case PacketType.subscribe:
      return onSubscribe(connection, packet);
    case PacketType.unsubscribe:
      onUnsubscribe(connection, packet);
      return undefined;
    case PacketType.pingreq:
      connection.send({ type: PacketType.pingresp }); // [MQTT-3.12.4-1] [v3 MQTT-3.12.4-1]
      return undefined;
    case PacketType.disconnect:
      onDisconnect(connection, packet);
      return undefined;
    case PacketType.auth:
      return onAuth(connection, packet);
    case PacketType.connect:
    case PacketType.publish:
    case PacketType.connack:
    case PacketType.suback:
    case PacketType.unsuback:
    case PacketType.pingresp:
      throw new ProtocolError(ReasonCode.protocolError, `packet type ${packet.type} comes from servers only`);
  }
}

function beforeConnected(connection: Connection, framer: Framer): Promise<void> | undefined {
  const type = framer.header >> 4;
  if (connection.state === 'authenticating') {
    const packet = decodePacket(framer, connection.version);
    if (packet.type === PacketType.auth) connection.resolveAuth(packet);
    else if (packet.type === PacketType.disconnect) connection.onDisconnect(false);
    // [MQTT-3.1.2-30] nothing but AUTH and DISCONNECT until CONNACK
    else throw new ProtocolError(ReasonCode.protocolError, 'expected AUTH or DISCONNECT', 'MQTT-3.1.2-30');
    return undefined;
  }
  // [MQTT-3.1.0-1] [v3 MQTT-3.1.0-1]
  if (type !== PacketType.connect)
    throw new ProtocolError(ReasonCode.protocolError, 'the first packet has to be CONNECT', 'MQTT-3.1.0-1');
  const packet = decodePacket(framer, connection.version);
  if (packet.type !== PacketType.connect) throw new Error('decodePacket disagrees with the header');
  return onConnect(connection, packet);
}
