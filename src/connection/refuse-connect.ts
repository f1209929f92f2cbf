import { isConnackReasonCode } from '../protocol/connack.ts';
import { PacketType, type Properties } from '../protocol/packets.ts';
import { ConnectReturnCode, ReasonCode } from '../protocol/reason-codes.ts';
import type { Connection } from './connection.ts';

/** Says no to a connection that is not established: by CONNACK where one is due [MQTT-3.1.4-2], [MQTT-3.2.2-6]. */
export function refuseConnect(
  connection: Connection,
  reasonCode: number,
  reason: string,
  serverReference?: string,
): void {
  if (connection.state === 'new' && !connection.knowsVersion) return;
  if (connection.version === 5) {
    const properties: Properties = { reasonString: reason };
    if (serverReference !== undefined) properties.serverReference = serverReference;
    const connackCode = connackReasonCodeOf(reasonCode);
    connection.send({ type: PacketType.connack, sessionPresent: false, reasonCode: connackCode, properties });
    return;
  }
  const returnCode = returnCodeOf(reasonCode);
  // [v3 MQTT-3.2.2-6] where none of the codes fits, the connection is closed without
  if (returnCode !== undefined)
    connection.send({ type: PacketType.connack, sessionPresent: false, reasonCode: returnCode, properties: {} });
}

/** The nearest reason code CONNACK has [MQTT-3.2.2-8]; 0x80 where none is near, as for a client id that a newer connection has (0x8E is for DISCONNECT alone). */
function connackReasonCodeOf(reasonCode: number): number {
  if (reasonCode === ReasonCode.serverShuttingDown) return ReasonCode.serverUnavailable;
  return isConnackReasonCode(reasonCode) && reasonCode !== ReasonCode.success
    ? reasonCode
    : ReasonCode.unspecifiedError;
}

/** The nearest CONNACK return code of 3.x; undefined for none. */
function returnCodeOf(reasonCode: number): ConnectReturnCode | undefined {
  switch (reasonCode) {
    case ReasonCode.unsupportedProtocolVersion:
      return ConnectReturnCode.unacceptableProtocolVersion;
    case ReasonCode.clientIdentifierNotValid:
      return ConnectReturnCode.identifierRejected;
    case ReasonCode.badUserNameOrPassword:
      return ConnectReturnCode.badUserNameOrPassword;
    case ReasonCode.notAuthorized:
    case ReasonCode.banned:
      return ConnectReturnCode.notAuthorized;
    case ReasonCode.serverUnavailable:
    case ReasonCode.serverBusy:
    case ReasonCode.quotaExceeded:
    case ReasonCode.serverShuttingDown:
    case ReasonCode.implementationSpecificError:
    case ReasonCode.useAnotherServer:
    case ReasonCode.serverMoved:
    case ReasonCode.connectionRateExceeded:
      return ConnectReturnCode.serverUnavailable;
    default:
      return undefined;
  }
}
