import type { ReasonCode } from './reason-codes.ts';

/**
 * What a peer did wrong. It closes the connection: caught in one place (connection/), which sends the reason code where
 * the protocol version has a packet for it.
 */
export class ProtocolError extends Error {
  /** The MQTT 5.0 reason code to close with. */
  readonly reasonCode: ReasonCode;
  /** The normative statement that was broken, such as `MQTT-3.1.0-1`; empty where the standard gives none. */
  readonly statementId: string;

  constructor(reasonCode: ReasonCode, message: string, statementId = '') {
    super(statementId === '' ? message : `${message} [${statementId}]`);
    this.name = 'ProtocolError';
    this.reasonCode = reasonCode;
    this.statementId = statementId;
  }
}
