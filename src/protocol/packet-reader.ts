import { malformed, protocolError } from './errors.ts';
import { decodeString } from './utf8.ts';
import { decodeVariableByteInteger, variableByteIntegerLength } from './variable-byte-integer.ts';

/** Reads the data types of section 1.5 one after the other from a range of bytes, and never past its end. */
export class PacketReader {
  readonly #buffer: Buffer;
  #at: number;
  readonly #end: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#end - this.#at;
  }

  /** @throws ProtocolError 0x81 at the end. */
  readByte(): number {
    return this.#buffer[this.#skip(1)]!;
  }

  /** @throws ProtocolError 0x81 where it runs past the end. */
  readUint16(): number {
    return this.#buffer.readUInt16BE(this.#skip(2));
  }

  /** @throws ProtocolError 0x81 where it runs past the end. */
  readUint32(): number {
    return this.#buffer.readUInt32BE(this.#skip(4));
  }

  /** @throws ProtocolError 0x81 where it runs past the end or is not in its shortest form. */
  readVariableByteInteger(): number {
    const value = decodeVariableByteInteger(this.#buffer, this.#at, this.#end);
    this.#at += variableByteIntegerLength(value);
    return value;
  }

  /** @throws ProtocolError 0x81 where it runs past the end, is ill-formed UTF-8 or holds U+0000. */
  readString(): string {
    const length = this.readUint16();
    const start = this.#skip(length);
    return decodeString(this.#buffer, start, start + length);
  }

  /** Reads length-prefixed bytes; the result is a copy. @throws ProtocolError 0x81 where they run past the end. */
  readBinary(): Uint8Array {
    const length = this.readUint16();
    const start = this.#skip(length);
    return new Uint8Array(this.#buffer.subarray(start, start + length));
  }

  /**
   * Reads a topic filter without looking at its syntax.
   *
   * @throws ProtocolError 0x82 where it is empty, 0x81 as `readString`.
   */
  readTopicFilter(): string {
    const topicFilter = this.readString();
    // [MQTT-4.7.3-1] [v3 MQTT-4.7.3-1]
    if (topicFilter === '') throw protocolError('A topic filter is empty', 'MQTT-4.7.3-1');
    return topicFilter;
  }

  /**
   * Reads a packet identifier, section 2.2.1.
   *
   * @throws ProtocolError 0x81 where it is 0 or runs past the end.
   */
  readPacketId(): number {
    const packetId = this.readUint16();
    if (packetId === 0) throw malformed('Packet identifier 0', 'MQTT-2.2.1-3'); // [MQTT-2.2.1-3] [v3 MQTT-2.3.1-1]
    return packetId;
  }

  /** A reader of the next `length` bytes alone. @throws ProtocolError 0x81 where they run past the end. */
  take(length: number): PacketReader {
    const start = this.#skip(length);
    return new PacketReader(this.#buffer, start, start + length);
  }

  /** @throws ProtocolError 0x81 where bytes are left over. */
  expectEnd(): void {
    if (this.#at !== this.#end) throw malformed(`${this.remaining} bytes left over after the packet's last field`);
  }

  /** Moves on by `length` bytes. @returns where they start. */
  #skip(length: number): number {
    const start = this.#at;
    if (length > this.#end - start) throw malformed('A field runs past its packet');
    this.#at = start + length;
    return start;
  }
}
