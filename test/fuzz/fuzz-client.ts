import { decodePacket } from '../../src/protocol/codec.ts';
import { Framer } from '../../src/protocol/framer.ts';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import type { Random } from '../fakes/random.ts';
import type { ClientSocketHandler } from '../support/client-socket.ts';
import { ServerRules } from '../support/server-rules.ts';
import { inTime } from './canary.ts';
import { type Prediction, predict } from './prediction.ts';
import type { FuzzStream } from './stream-maker.ts';
import type { FuzzWire } from './fuzz-wire.ts';
import type { FuzzTransport } from './transports.ts';

/** The reason code for what went wrong in the broker itself, and the one for no reason, which CONNACK has for lack of a better one. */
const IMPLEMENTATION_SPECIFIC_ERROR = 0x83;
const UNSPECIFIED_ERROR = 0x80;

/** CONNACK and DISCONNECT with a reason code and nothing else are shorter. */
const ANSWER_BYTES = 8;

/** Looks at everything a broker sends on one connection. */
class Witness implements ClientSocketHandler {
  readonly closed: Promise<void>;
  /** Packets received. */
  packets = 0;
  /** What the broker sent against the rules; undefined for nothing. */
  violation: string | undefined;
  /** Reason code of CONNACK, of DISCONNECT; undefined for none. */
  connack: number | undefined;
  disconnect: number | undefined;
  readonly #framer = new Framer(268_435_460);
  readonly #version: ProtocolVersion;
  readonly #rules: ServerRules;
  #onClosed: () => void = () => undefined;

  constructor(version: ProtocolVersion) {
    this.#version = version;
    this.#rules = new ServerRules(version);
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  onBytes(chunk: Buffer): void {
    if (this.violation !== undefined) return;
    try {
      this.#framer.push(chunk);
      while (this.#framer.next()) {
        const packet = decodePacket(this.#framer, this.#version);
        this.#rules.check(packet);
        this.packets += 1;
        if (packet.type === PacketType.connack) this.connack = packet.reasonCode;
        if (packet.type === PacketType.disconnect) this.disconnect = packet.reasonCode;
      }
    } catch (error) {
      this.violation = `the broker sent what it must not: ${String(error)}`;
    }
  }

  onClose(): void {
    this.#onClosed();
  }
}

/** What came of one connection. */
export interface ConnectionOutcome {
  /** What was wrong, in a sentence; undefined for nothing. */
  fault: string | undefined;
  packets: number;
  /** Reason codes of CONNACK and DISCONNECT, such as `CONNACK 0x0`. */
  answers: string[];
  /** What was made wrong on the way; undefined for nothing. */
  tampered: string | undefined;
  /** From the last byte sent to the end of the connection, ms. */
  closedAfterMs: number;
}

/** Sends a stream on a connection of its own, waits for its end, and says what was wrong with that. @throws Error where no connection can be made. */
export async function sendStream(
  transport: FuzzTransport,
  url: URL,
  stream: FuzzStream,
  random: Random,
): Promise<ConnectionOutcome> {
  const prediction = predict(Buffer.concat(stream.chunks));
  const witness = new Witness(prediction.version ?? stream.version);
  const wire = await inTime('a connection', transport.open(url, witness, random));
  for (const chunk of stream.chunks) {
    wire.write(chunk);
    if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve));
  }
  const sent = performance.now();
  const breaksOff = leave(wire, stream, prediction);
  let fault: string | undefined;
  try {
    await inTime('the end of a connection', witness.closed);
  } catch (error) {
    fault = `${prediction.end}: ${String(error)}`;
    wire.reset();
  }
  const closedAfterMs = performance.now() - sent;
  const { tampered } = wire;
  // Bytes that were changed on the way may have become another version, or anything.
  if (tampered?.forges !== true) fault ??= witness.violation;
  if (tampered === undefined && !breaksOff) fault ??= faultOf(witness, prediction);
  return { fault, packets: witness.packets, answers: answersOf(witness), tampered: tampered?.kind, closedAfterMs };
}

function answersOf({ connack, disconnect }: Witness): string[] {
  const answers = connack === undefined ? [] : [`CONNACK 0x${connack.toString(16)}`];
  if (disconnect !== undefined) answers.push(`DISCONNECT 0x${disconnect.toString(16)}`);
  return answers;
}

/** Ends the connection where the broker need not. @returns whether it was broken off. */
function leave(wire: FuzzWire, stream: FuzzStream, { end }: Prediction): boolean {
  if (end !== 'open' && wire.tampered === undefined) return false;
  if (stream.breaksOff) wire.reset();
  else wire.end();
  return stream.breaksOff;
}

/** What is wrong with how the broker ended a connection. */
function faultOf(
  { connack, disconnect }: Witness,
  { end, version, maximumPacketSize }: Prediction,
): string | undefined {
  const code = disconnect ?? (version === 5 ? connack : undefined);
  if (code === IMPLEMENTATION_SPECIFIC_ERROR || disconnect === UNSPECIFIED_ERROR) return `it ended with ${code}`;
  // Who takes hardly any bytes cannot be told [MQTT-3.1.2-24].
  if (end !== 'refused' || version !== 5 || maximumPacketSize < ANSWER_BYTES) return undefined;
  // All that is malformed is answered in 5.0: by CONNACK, or after one that accepted by DISCONNECT.
  if (connack === undefined) return 'CONNECT was refused without a CONNACK';
  if (connack === 0 && (disconnect ?? 0) < 0x80) return 'it ended without a reason code';
  return undefined;
}
