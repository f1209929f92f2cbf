import { ProtocolError } from '../protocol/errors.ts';
import { PacketType } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { AckResult, Session } from '../session/session.ts';
import type { Connection } from './connection.ts';

/** PUBACK, PUBREC, PUBREL and PUBCOMP, section 4.3; `type` is one of them. */
export function onAck(connection: Connection, type: number, packetId: number, reasonCode: number): void {
  const session = connection.session as Session;
  switch (type) {
    case PacketType.puback:
      check(session.onPuback(packetId), 'PUBACK', packetId);
      return;
    case PacketType.pubrec: {
      const isError = reasonCode >= 0x80;
      const result = check(session.onPubrec(packetId, isError), 'PUBREC', packetId);
      if (result === 'unknown' && !isError) {
        connection.writeAck(PacketType.pubrel, packetId, ReasonCode.packetIdentifierNotFound);
      }
      return;
    }
    case PacketType.pubrel:
      onPubrel(connection, session, packetId);
      return;
    default:
      check(session.onPubcomp(packetId), 'PUBCOMP', packetId);
  }
}

/** Unknown ids are no error: they are left from before a session was lost. */
function check(result: AckResult, name: string, packetId: number): AckResult {
  if (result === 'wrong-state') {
    throw new ProtocolError(ReasonCode.protocolError, `${name} for packet id ${packetId} does not fit its exchange`);
  }
  return result;
}

/** [MQTT-4.3.3-11] PUBCOMP, once a crash cannot bring the packet id back any more. */
function onPubrel(connection: Connection, session: Session, packetId: number): void {
  if (session.inbound?.delete(packetId) !== true) {
    connection.acknowledge(0, PacketType.pubcomp, packetId, ReasonCode.packetIdentifierNotFound);
    return;
  }
  const { writePath } = connection.context;
  let ticket = 0;
  if (session.durable) {
    writePath.add({ kind: 'inbound-delete', clientId: session.clientId, packetId });
    ticket = writePath.ticket;
  }
  connection.acknowledge(ticket, PacketType.pubcomp, packetId, ReasonCode.success);
}
