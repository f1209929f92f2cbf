import type { Packet, ProtocolVersion } from '../../src/protocol/packets.ts';

/** Clients of a sequence. */
export const CLIENTS = 3;

/** A packet as it goes over the wire, with a name for people. */
export interface StepPacket {
  readonly name: string;
  /** Hexadecimal. */
  readonly hex: string;
  /** What it is; undefined where it is wrong on purpose. */
  readonly packet: Packet | undefined;
}

/** Something that one client of a sequence does. */
export type Step =
  /** Opens a connection of its own and sends this CONNECT, taking over from its connection before where it has one. */
  | {
      readonly kind: 'open';
      readonly client: number;
      readonly version: ProtocolVersion;
      readonly connect: StepPacket;
      /** Whether it acknowledges what it receives. */
      readonly acknowledges: boolean;
    }
  /** Sends these packets in one piece. */
  | { readonly kind: 'send'; readonly client: number; readonly packets: readonly StepPacket[] }
  /** Ends its connection without DISCONNECT. */
  | { readonly kind: 'drop'; readonly client: number };

/** A step in one line. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'open':
      return `client ${step.client} opens: ${step.connect.name}${step.acknowledges ? '' : ', and acknowledges nothing'}`;
    case 'send':
      return `client ${step.client} sends: ${step.packets.map(({ name }) => name).join('; ')}`;
    case 'drop':
      return `client ${step.client} drops its connection`;
  }
}
