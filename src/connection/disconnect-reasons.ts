import { ReasonCode } from '../protocol/reason-codes.ts';

/** Why a connection ended: the closed list. Each is counted, and MQTT 5.0 clients are told by reason code. */
export const DISCONNECT_REASONS = [
  'client-disconnect',
  'client-disconnect-with-will',
  'connection-lost',
  'keep-alive-timeout',
  'connect-timeout',
  'malformed-packet',
  'protocol-error',
  'packet-too-large',
  'receive-maximum-exceeded',
  'topic-alias-invalid',
  'topic-name-invalid',
  'qos-not-supported',
  'retain-not-supported',
  'payload-format-invalid',
  'unsupported-protocol-version',
  'taken-over',
  'refused',
  'server-busy',
  'quota-exceeded',
  'shutting-down',
  'credentials-expired',
  'banned',
  'rate-exceeded',
  'administrative',
  'internal-error',
] as const;

/** One of the closed list of reasons for the end of a connection. */
export type DisconnectReason = (typeof DISCONNECT_REASONS)[number];

const BY_CODE: ReadonlyMap<number, DisconnectReason> = new Map<number, DisconnectReason>([
  [ReasonCode.malformedPacket, 'malformed-packet'],
  [ReasonCode.protocolError, 'protocol-error'],
  [ReasonCode.packetTooLarge, 'packet-too-large'],
  [ReasonCode.receiveMaximumExceeded, 'receive-maximum-exceeded'],
  [ReasonCode.topicAliasInvalid, 'topic-alias-invalid'],
  [ReasonCode.topicNameInvalid, 'topic-name-invalid'],
  [ReasonCode.qosNotSupported, 'qos-not-supported'],
  [ReasonCode.retainNotSupported, 'retain-not-supported'],
  [ReasonCode.payloadFormatInvalid, 'payload-format-invalid'],
  [ReasonCode.unsupportedProtocolVersion, 'unsupported-protocol-version'],
  [ReasonCode.sessionTakenOver, 'taken-over'],
  [ReasonCode.keepAliveTimeout, 'keep-alive-timeout'],
  [ReasonCode.serverShuttingDown, 'shutting-down'],
  [ReasonCode.serverBusy, 'server-busy'],
  [ReasonCode.quotaExceeded, 'quota-exceeded'],
  [ReasonCode.maximumConnectTime, 'credentials-expired'],
  [ReasonCode.banned, 'banned'],
  [ReasonCode.connectionRateExceeded, 'rate-exceeded'],
  [ReasonCode.messageRateTooHigh, 'rate-exceeded'],
  [ReasonCode.administrativeAction, 'administrative'],
  [ReasonCode.implementationSpecificError, 'internal-error'],
  [ReasonCode.unspecifiedError, 'internal-error'],
]);

/** The name of the reason a connection is closed with this code for. */
export function disconnectReasonOf(reasonCode: number): DisconnectReason {
  return BY_CODE.get(reasonCode) ?? 'refused';
}
