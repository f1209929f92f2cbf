import { ProtocolError } from '../protocol/errors.ts';
import type { DisconnectPacket } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Session } from '../session/session.ts';
import type { Connection } from './connection.ts';

/** DISCONNECT from a client, section 3.14. */
export function onDisconnect(connection: Connection, packet: DisconnectPacket): void {
  const { sessionExpiryInterval } = packet.properties;
  if (sessionExpiryInterval !== undefined) {
    // [MQTT-3.14.2-2] what counts is what CONNECT said
    if (connection.connectExpiryInterval === 0 && sessionExpiryInterval > 0) {
      throw new ProtocolError(
        ReasonCode.protocolError,
        'a session that was to end with its connection cannot be given an expiry',
        'MQTT-3.14.2-2',
      );
    }
    const { registry, session } = connection.context;
    const seconds = Math.min(sessionExpiryInterval, session.settings.sessionExpiryIntervalMax);
    registry.changeExpiry(connection.session as Session, seconds);
  }
  connection.onDisconnect(packet.reasonCode !== ReasonCode.success); // [MQTT-3.14.4-3]
}
