import type { PacketType } from './packets.ts';
import {
  encodeVariableByteInteger,
  VARIABLE_BYTE_INTEGER_MAX,
  variableByteIntegerLength,
} from './variable-byte-integer.ts';

/** Room kept in front of the body for the fixed header, bytes. */
const HEADER_ROOM = 5;
const INITIAL_SIZE = 128;
const LENGTH_MAX = 65_535;

/** Writes the data types of section 1.5 one after the other, then the fixed header in front of them. */
export class PacketWriter {
  #buffer: Buffer = Buffer.allocUnsafe(INITIAL_SIZE);
  #at: number = HEADER_ROOM;

  /** Bytes written so far. */
  get length(): number {
    return this.#at - HEADER_ROOM;
  }

  /** @throws RangeError outside 0 to 255. */
  writeByte(value: number): void {
    this.#reserve(1);
    this.#at = this.#buffer.writeUInt8(value, this.#at);
  }

  /** @throws RangeError outside 0 to 65,535. */
  writeUint16(value: number): void {
    this.#reserve(2);
    this.#at = this.#buffer.writeUInt16BE(value, this.#at);
  }

  /** @throws RangeError outside 0 to 4,294,967,295. */
  writeUint32(value: number): void {
    this.#reserve(4);
    this.#at = this.#buffer.writeUInt32BE(value, this.#at);
  }

  /** @throws RangeError outside 0 to VARIABLE_BYTE_INTEGER_MAX. */
  writeVariableByteInteger(value: number): void {
    if (!(value >= 0 && value <= VARIABLE_BYTE_INTEGER_MAX))
      throw new RangeError(`${value} is no variable byte integer`);
    this.#reserve(4);
    this.#at = encodeVariableByteInteger(this.#buffer, this.#at, value);
  }

  /** @throws RangeError for more than 65,535 bytes, U+0000 and lone surrogates [MQTT-1.5.4-1] [MQTT-1.5.4-2]. */
  writeString(text: string): void {
    const length = Buffer.byteLength(text);
    if (length > LENGTH_MAX) throw new RangeError(`A string of ${length} bytes is too long for MQTT`);
    if (text.includes('\0') || !text.isWellFormed()) throw new RangeError('A string MQTT does not allow');
    this.writeUint16(length);
    this.#reserve(length);
    this.#at += this.#buffer.write(text, this.#at, 'utf8');
  }

  /** @throws RangeError for more than 65,535 bytes. */
  writeBinary(bytes: Uint8Array): void {
    if (bytes.length > LENGTH_MAX) throw new RangeError(`Binary data of ${bytes.length} bytes is too long for MQTT`);
    this.writeUint16(bytes.length);
    this.writeRaw(bytes);
  }

  /** Writes bytes without a length in front. */
  writeRaw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** What was written, without a fixed header, as a copy. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#buffer.subarray(HEADER_ROOM, this.#at));
  }

  /**
   * Ends with the fixed header, section 2.1; the writer is of no use afterwards.
   *
   * @returns the whole packet.
   * @throws RangeError for a body longer than VARIABLE_BYTE_INTEGER_MAX bytes.
   */
  packet(type: PacketType, flags: number): Buffer {
    const length = this.length;
    if (length > VARIABLE_BYTE_INTEGER_MAX) throw new RangeError(`A packet of ${length} bytes is too long for MQTT`);
    const start = HEADER_ROOM - 1 - variableByteIntegerLength(length);
    this.#buffer[start] = (type << 4) | flags;
    encodeVariableByteInteger(this.#buffer, start + 1, length);
    return this.#buffer.subarray(start, this.#at);
  }

  #reserve(count: number): void {
    const needed = this.#at + count;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}
