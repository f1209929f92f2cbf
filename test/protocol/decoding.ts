import { decodePacket } from '../../src/protocol/codec.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { Framer } from '../../src/protocol/framer.ts';
import type { Packet, ProtocolVersion } from '../../src/protocol/packets.ts';

/** What came of pushing chunks through framer and codec. */
export interface Decoded {
  packets: Packet[];
  error: ProtocolError | undefined;
  /** Bytes of a packet that is not whole yet. */
  pendingBytes: number;
}

/** Decodes chunks one after the other up to the first ProtocolError; anything else that is thrown is a bug and passes. */
export function decodeChunks(chunks: readonly Buffer[], version: ProtocolVersion): Decoded {
  const framer = new Framer(268_435_460);
  const packets: Packet[] = [];
  const error = errorOf(() => {
    for (const chunk of chunks) {
      framer.push(chunk);
      while (framer.next()) packets.push(decodePacket(framer, version));
    }
  });
  return { packets, error, pendingBytes: framer.pendingBytes };
}

/** The ProtocolError that an action throws, undefined for none; anything else that is thrown is a bug and passes. */
export function errorOf(action: () => unknown): ProtocolError | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  return undefined;
}

/** A framer that stands on the first packet of these bytes. */
export function framed(bytes: Buffer): Framer {
  const framer = new Framer(268_435_460);
  framer.push(bytes);
  if (!framer.next()) throw new Error('The bytes are no whole packet');
  return framer;
}

/** The bytes one at a time. */
export function singleBytes(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.of(byte));
}
