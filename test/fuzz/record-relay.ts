import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Random } from '../fakes/random.ts';
import { plainRecord } from './false-starts.ts';
import { breakOff, type Tampering } from './fuzz-wire.ts';
import { cutAtRandom } from './mutator.ts';

/** How many records with data of the client are made wrong, and how many handshakes. */
const RECORD_RATE = 0.02;
const HANDSHAKE_RATE = 0.04;
/** How many records are sent in two segments; how many handshakes begin with a ClientHello in many records. */
const SEGMENT_RATE = 0.1;
const FRAGMENT_RATE = 0.1;
const FRAGMENTS_MAX = 60;

const HEADER_BYTES = 5;
const ALERT = 21;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;

/** A way to make a record wrong that is to be sent encrypted. */
interface RecordFault {
  readonly kind: string;
  /** Whether the broker has to close the connection for it; if not it may wait for more, and gets the end instead. */
  readonly isFatal: boolean;
  /** What is sent instead. */
  readonly forge: (record: Buffer, random: Random) => Buffer;
}

/** TLS numbers records and authenticates them with their numbers, so that none may change, come twice or be missing. */
const RECORD_FAULTS: readonly RecordFault[] = [
  {
    kind: 'a bit of a record changed',
    isFatal: true,
    forge: (record, random) =>
      withFlippedBit(record, HEADER_BYTES + random.below(record.length - HEADER_BYTES), random),
  },
  {
    kind: 'a bit of the header of a record changed',
    isFatal: false,
    forge: (record, random) => withFlippedBit(record, random.below(HEADER_BYTES), random),
  },
  { kind: 'a record twice', isFatal: true, forge: (record) => Buffer.concat([record, record]) },
  { kind: 'a record left out', isFatal: false, forge: () => Buffer.alloc(0) },
  {
    kind: 'a record broken off',
    isFatal: false,
    forge: (record, random) => record.subarray(0, random.below(record.length)),
  },
  {
    kind: 'random bytes between records',
    isFatal: false,
    forge: (record, random) => Buffer.concat([random.bytes(1 + random.below(60)), record]),
  },
  {
    kind: 'a record of random bytes',
    isFatal: true,
    forge: (record, random) =>
      Buffer.concat([plainRecord(APPLICATION_DATA, random.bytes(1 + random.below(2_000))), record]),
  },
  {
    kind: 'an empty record',
    isFatal: true,
    forge: (record) => Buffer.concat([plainRecord(APPLICATION_DATA, Buffer.alloc(0)), record]),
  },
  {
    kind: 'a record longer than allowed',
    isFatal: true,
    forge: (record, random) =>
      Buffer.concat([plainRecord(APPLICATION_DATA, random.bytes(100), 0x5000 + random.below(0xb000)), record]),
  },
  {
    kind: 'an alert in plain text',
    isFatal: false,
    forge: (record, random) => Buffer.concat([plainRecord(ALERT, Buffer.of(1, random.below(120))), record]),
  },
];

/**
 * Lies between a client's TLS and its socket, and sees each record that the client sends. Some of them it sends in pieces,
 * and some it makes wrong, or nothing is sent any more.
 */
export class RecordRelay extends Duplex {
  /** What was made wrong; undefined for nothing. */
  tampered: Tampering | undefined;
  /** Whether the client is through with its handshake. */
  isOpen = false;
  readonly #socket: Socket;
  readonly #random: Random;
  /** Number of the record of the handshake that is made wrong; undefined for none. */
  readonly #faultyRecord: number | undefined;
  readonly #hasFragments: boolean;
  #bytes: Buffer = Buffer.alloc(0);
  #records = 0;
  /** `doomed`: the broker has to close the connection, not the client; `mute`: nothing is sent any more. */
  #state: 'passing' | 'doomed' | 'mute' = 'passing';

  /** @param random belongs to it alone. */
  constructor(socket: Socket, random: Random) {
    // As soon as the broker has ended there is nobody to send to.
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#random = random;
    this.#faultyRecord = random.chance(HANDSHAKE_RATE) ? random.below(4) : undefined;
    this.#hasFragments = random.chance(FRAGMENT_RATE);
  }

  /** Hands on what the broker sent; undefined for its end. */
  receive(chunk: Buffer | undefined): void {
    if (!this.destroyed && !this.readableEnded) this.push(chunk ?? null);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + this.#bytes.readUInt16BE(3);
      if (this.#bytes.length < end) break;
      this.#take(this.#bytes.subarray(0, end));
      this.#bytes = this.#bytes.subarray(end);
    }
    callback();
  }

  override _final(callback: () => void): void {
    this.#end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#end();
    callback(error);
  }

  /** Ends the connection, unless the broker has to. */
  #end(): void {
    if (this.#state === 'passing') this.#socket.end();
  }

  #take(record: Buffer): void {
    const number = this.#records++;
    if (this.#state === 'mute') return;
    const random = this.#random;
    if (number === this.#faultyRecord && !this.isOpen) this.#spoilHandshake(record);
    else if (record[0] === APPLICATION_DATA && this.#state === 'passing' && random.chance(RECORD_RATE))
      this.#spoil(record);
    else if (number === 0 && record[0] === HANDSHAKE && this.#hasFragments) {
      const pieces = cutAtRandom(record.subarray(HEADER_BYTES), 1 + random.below(FRAGMENTS_MAX), random);
      this.#send(Buffer.concat(pieces.map((piece) => plainRecord(HANDSHAKE, piece))));
    } else this.#send(record);
  }

  #spoil(record: Buffer): void {
    const random = this.#random;
    const fault = RECORD_FAULTS[random.below(RECORD_FAULTS.length)] as RecordFault;
    this.tampered = { kind: fault.kind, forges: false };
    this.#send(fault.forge(record, random));
    if (fault.isFatal) this.#state = 'doomed';
    else this.#stop();
  }

  #spoilHandshake(record: Buffer): void {
    const random = this.#random;
    if (random.chance(0.5)) {
      this.tampered = { kind: 'a bit of the handshake changed', forges: false };
      this.#send(withFlippedBit(record, random.below(record.length), random));
      return;
    }
    this.tampered = { kind: 'a handshake broken off', forges: false };
    this.#send(record.subarray(0, random.below(record.length)));
    // The broker has a deadline for those who go on to be silent.
    if (random.chance(0.2)) this.#state = 'mute';
    else this.#stop();
  }

  /** Sends no more, and hangs up in one way or the other. */
  #stop(): void {
    this.#state = 'mute';
    if (this.#random.chance(0.5)) this.#socket.end();
    else breakOff(this.#socket);
  }

  #send(bytes: Buffer): void {
    const cut = this.#random.chance(SEGMENT_RATE) ? this.#random.below(bytes.length + 1) : bytes.length;
    for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) if (part.length > 0) this.#socket.write(part);
  }
}

function withFlippedBit(bytes: Buffer, at: number, random: Random): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = (changed[at] as number) ^ (1 << random.below(8));
  return changed;
}
