import type { ProtocolVersion } from './packets.ts';
import { ReasonCode } from './reason-codes.ts';

/**
 * What a peer did wrong. It closes the connection: caught in one place (connection/), which sends the reason code where
 * the protocol version has a packet for it.
 */
export class ProtocolError extends Error {
  /** The MQTT 5.0 reason code to close with. */
  readonly reasonCode: ReasonCode;
  /** The normative statement that was broken, such as `MQTT-3.1.0-1`; empty where the standard gives none. */
  readonly statementId: string;
  /** The version in whose form to refuse a broken CONNECT: the one it asked for, where that could be read. */
  protocolVersion: ProtocolVersion | undefined;

  constructor(reasonCode: ReasonCode, message: string, statementId = '') {
    super(statementId === '' ? message : `${message} [${statementId}]`);
    this.name = 'ProtocolError';
    this.reasonCode = reasonCode;
    this.statementId = statementId;
    this.protocolVersion = undefined;
  }
}

/** A packet that cannot be parsed as the standard has it: reason code 0x81, section 1.2. */
export function malformed(message: string, statementId = ''): ProtocolError {
  return new ProtocolError(ReasonCode.malformedPacket, message, statementId);
}

/** A packet that parses but holds what the protocol does not allow: reason code 0x82, section 1.2. */
export function protocolError(message: string, statementId = ''): ProtocolError {
  return new ProtocolError(ReasonCode.protocolError, message, statementId);
}
