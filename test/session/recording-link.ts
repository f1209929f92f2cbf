import type { Message } from '../../src/protocol/message.ts';
import type { Qos } from '../../src/protocol/packets.ts';
import type { Link } from '../../src/session/link.ts';

/** A packet a session sent. */
export interface SentPacket {
  type: 'PUBLISH' | 'PUBREL';
  packetId: number;
  qos: Qos;
  dup: boolean;
  retain: boolean;
  payload: string;
  identifiers: readonly number[];
}

/** The connection of a session under test: it notes what is sent, and takes as much as it is told to. */
export class RecordingLink implements Link {
  receiveMaximum: number;
  writable = true;
  congested = false;
  /** Payloads longer than this are too large for the client. */
  payloadMax: number = Number.POSITIVE_INFINITY;
  sent: SentPacket[] = [];
  /** Reason code it was closed with; undefined while it is open. */
  closedWith: number | undefined = undefined;

  constructor(receiveMaximum = 65_535) {
    this.receiveMaximum = receiveMaximum;
  }

  /** Payloads of the PUBLISH packets, in the order they were sent. */
  get payloads(): string[] {
    return this.sent.filter(({ type }) => type === 'PUBLISH').map(({ payload }) => payload);
  }

  /** What was sent since the last call. */
  take(): SentPacket[] {
    const taken = this.sent;
    this.sent = [];
    return taken;
  }

  sendPublish(
    message: Message,
    qos: Qos,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[],
  ): boolean {
    const payload = Buffer.from(message.payload).toString();
    if (payload.length > this.payloadMax) return false;
    this.sent.push({ type: 'PUBLISH', packetId, qos, dup, retain, payload, identifiers });
    return true;
  }

  sendPubrel(packetId: number): void {
    this.sent.push({ type: 'PUBREL', packetId, qos: 2, dup: false, retain: false, payload: '', identifiers: [] });
  }

  close(reasonCode: number): void {
    this.closedWith = reasonCode;
  }
}
