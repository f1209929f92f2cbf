import { binaryPayload, type StampedPayload, stampLength, stampPlaceholder } from '../checker/stamp.ts';
import { Random } from '../lib/random.ts';
import type { Telemetry } from '../scenario/scenario.ts';
import { asciiJson } from './ascii-json.ts';
import { decimalLength, digitsOf, writeDecimal, writeInteger } from './ascii-numbers.ts';
import { planValues, type ValueOwner, type ValuePlan, type ValueSource } from './values.ts';

/** Makes the payloads of one row of one device; each is new, and the network's to keep. */
export interface PayloadSource {
  /** @param at the device's clock, ms since 1970. */
  next(at: number): StampedPayload;
}

/** How the payloads of a row look, prepared once for all devices of a class. */
export interface PayloadPlan {
  source(owner: ValueOwner): PayloadSource;
}

/** Prepares the payloads of a row of telemetry. */
export function planPayloads(row: Telemetry): PayloadPlan {
  const values = planValues(row.model);
  if (row.format === 'json') {
    const frame = new JsonFrame(values, row.sizeBytes);
    return { source: (owner) => new JsonPayloads(frame, owner, values.source(owner)) };
  }
  const { bytes } = binaryPayload(randomBytes(Math.max(binaryHeadBytes, row.sizeBytes - stampLength)));
  return { source: (owner) => new BinaryPayloads(bytes, values.source(owner)) };
}

const sequenceLabel = Buffer.from('"seq":');
const timeLabel = Buffer.from('"time":');
const valueLabel = Buffer.from('"value":');
const padFrame = Buffer.from('"pad":"",');
const tail = Buffer.from(`"sim":"${stampPlaceholder}"}`);
const comma = 44;
const quote = 34;
const padding = 120;

/** What all JSON payloads of a row have in common. */
class JsonFrame {
  readonly hasSequence: boolean;
  readonly hasTime: boolean;
  /** The value is a number of three decimals, and nothing else. */
  readonly isNumeric: boolean;
  /** Bytes that are the same in all of them, without the head. */
  readonly fixedLength: number;
  readonly #values: ValuePlan;
  readonly #sizeBytes: number;

  constructor(values: ValuePlan, sizeBytes: number) {
    this.#values = values;
    this.#sizeBytes = this.#has('pad') ? 0 : sizeBytes;
    this.hasSequence = !values.isWhole && !this.#has('seq');
    this.hasTime = !values.isWhole && !this.#has('time');
    this.isNumeric = values.isNumeric;
    this.fixedLength =
      tail.length +
      (this.hasSequence ? sequenceLabel.length + 1 : 0) +
      (this.hasTime ? timeLabel.length + 1 : 0) +
      (this.isNumeric ? valueLabel.length + 1 : 0);
  }

  /** What comes first. A flat string: one object, where there are many devices and a Buffer would be three. */
  head(device: string): string {
    const head = this.#values.isWhole || this.#has('device') ? '{' : `{"device":${asciiJson(device)},`;
    return Buffer.from(head).toString('latin1');
  }

  /** Length of the member `pad` that makes a payload of `length` bytes long enough; 0 for none. */
  padLength(length: number): number {
    const missing = this.#sizeBytes - length;
    return missing > 0 ? Math.max(missing, padFrame.length) : 0;
  }

  #has(member: string): boolean {
    return this.#values.memberNames.has(member);
  }
}

/**
 * `{"device":"d","seq":1,"time":1700000000000,"value":21.5,"pad":"xx","sim":"~S1..."}`, written byte by byte: that costs
 * half of what putting a string together does. All of it is ASCII.
 */
class JsonPayloads implements PayloadSource {
  readonly #frame: JsonFrame;
  readonly #head: string;
  readonly #values: ValueSource;
  #sequence = 0;

  constructor(frame: JsonFrame, owner: ValueOwner, values: ValueSource) {
    this.#frame = frame;
    this.#head = frame.head(owner.device);
    this.#values = values;
  }

  next(at: number): StampedPayload {
    const { hasSequence, hasTime, isNumeric, fixedLength } = this.#frame;
    const sequence = ++this.#sequence;
    const time = Math.max(0, Math.round(at));
    const value = isNumeric ? this.#values.number(at) : 0;
    const members = isNumeric ? '' : this.#values.members(at);
    let length = this.#head.length + fixedLength;
    if (hasSequence) length += digitsOf(sequence);
    if (hasTime) length += digitsOf(time);
    if (isNumeric) length += decimalLength(value);
    else if (members !== '') length += members.length + 1;
    const padLength = this.#frame.padLength(length);
    const bytes = Buffer.allocUnsafe(length + padLength);
    const head = this.#head;
    let place = 0;
    for (; place < head.length; place++) bytes[place] = head.charCodeAt(place);
    if (hasSequence) place = writeMember(bytes, place, sequenceLabel, sequence);
    if (hasTime) place = writeMember(bytes, place, timeLabel, time);
    if (isNumeric) {
      place = writeDecimal(bytes, copy(valueLabel, bytes, place), value);
      bytes[place++] = comma;
    } else if (members !== '') {
      bytes.write(members, place, 'latin1');
      place += members.length;
      bytes[place++] = comma;
    }
    if (padLength > 0) place = writePad(bytes, place, padLength);
    copy(tail, bytes, place);
    return { bytes, stampAt: bytes.length - 2 - stampLength };
  }
}

/** Returns the place behind. Short texts are copied faster by hand than by a call into C++. */
function copy(from: Buffer, to: Buffer, place: number): number {
  for (let at = 0; at < from.length; at++) to[place + at] = from[at] as number;
  return place + from.length;
}

function writeMember(bytes: Buffer, place: number, label: Buffer, integer: number): number {
  const end = writeInteger(bytes, copy(label, bytes, place), integer);
  bytes[end] = comma;
  return end + 1;
}

/** @param length at least that of the member without padding. */
function writePad(bytes: Buffer, place: number, length: number): number {
  const first = copy(padFrame, bytes, place) - 2;
  const end = place + length;
  bytes.fill(padding, first, end - 2);
  bytes[end - 2] = quote;
  bytes[end - 1] = comma;
  return end;
}

/** Sequence (4 bytes), the device's time (ms, a double) and the value (a double), big-endian; then what fills. */
const binaryHeadBytes = 20;

class BinaryPayloads implements PayloadSource {
  /** What fills, and the stamp's place: one copy for both. */
  readonly #filler: Buffer;
  readonly #values: ValueSource;
  #sequence = 0;

  constructor(filler: Buffer, values: ValueSource) {
    this.#filler = filler;
    this.#values = values;
  }

  next(at: number): StampedPayload {
    const filler = this.#filler;
    const bytes = Buffer.allocUnsafe(filler.length);
    bytes.set(filler);
    bytes.writeUInt32BE(++this.#sequence % 2 ** 32, 0);
    bytes.writeDoubleBE(at, 4);
    bytes.writeDoubleBE(this.#values.number(at), 12);
    return { bytes, stampAt: bytes.length - stampLength };
  }
}

/** The same for all rows of a length; `~` is left out, so that nothing in it looks like a stamp. */
function randomBytes(length: number): Buffer {
  const random = new Random(length);
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at++) bytes[at] = random.below(0x7e);
  return bytes;
}
