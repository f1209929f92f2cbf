import { isUtf8 } from 'node:buffer';
import { Malformed } from './malformed.ts';

/** Longer names are made each time. */
const longestKept = 128;

/**
 * Topic names as they go over the wire, two bytes of length first: copying bytes costs a third of encoding text.
 * One per thread; keeps the newest `limit` names.
 */
export class TopicBytes {
  readonly #limit: number;
  readonly #bytes = new Map<string, Buffer>();

  constructor(limit = 16_384) {
    this.#limit = limit;
  }

  of(topicName: string): Buffer {
    const kept = this.#bytes.get(topicName);
    return kept ?? this.#make(topicName);
  }

  #make(topicName: string): Buffer {
    const length = Buffer.byteLength(topicName);
    if (length > 0xffff) throw new RangeError(`a topic name of ${length} bytes; 65535 is the most`);
    const bytes = Buffer.allocUnsafe(2 + length);
    bytes.writeUInt16BE(length);
    bytes.write(topicName, 2);
    if (length > longestKept) return bytes;
    if (this.#bytes.size >= this.#limit) this.#forgetOldest();
    this.#bytes.set(topicName, bytes);
    return bytes;
  }

  #forgetOldest(): void {
    for (const oldest of this.#bytes.keys()) {
      this.#bytes.delete(oldest);
      return;
    }
  }
}

interface KnownName {
  readonly bytes: Buffer;
  readonly text: string;
}

/**
 * Topic names that came in, as text: names seen lately are compared byte by byte and given out as the same string, so
 * that neither they nor who looks something up by them decodes and hashes them again. One per thread, of fixed size.
 */
export class TopicNames {
  readonly #slots: (KnownName | undefined)[];
  readonly #mask: number;

  /** @param slots a power of two; each holds one name. */
  constructor(slots = 16_384) {
    this.#slots = Array.from({ length: slots }, () => undefined);
    this.#mask = slots - 1;
  }

  /**
   * The topic name in `bytes` from `start` to before `end`.
   * @throws Malformed where it is empty, no UTF-8, or has a wildcard or U+0000 in it.
   */
  read(bytes: Buffer, start: number, end: number): string {
    let hash = 0;
    for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (bytes[at] as number)) | 0;
    const slot = (hash ^ (hash >>> 15)) & this.#mask;
    const known = this.#slots[slot];
    if (known !== undefined && isSame(known.bytes, bytes, start, end)) return known.text;
    const text = decodeTopicName(bytes.subarray(start, end));
    if (end - start <= longestKept) this.#slots[slot] = { bytes: Buffer.from(bytes.subarray(start, end)), text };
    return text;
  }
}

function isSame(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let at = 0; at < known.length; at++) if (known[at] !== bytes[start + at]) return false;
  return true;
}

function decodeTopicName(bytes: Buffer): string {
  if (bytes.length === 0) throw new Malformed('PUBLISH without a topic name');
  if (!isUtf8(bytes)) throw new Malformed('PUBLISH with a topic name that is not UTF-8');
  for (const byte of bytes) {
    if (byte === 0x2b || byte === 0x23) throw new Malformed('PUBLISH with a wildcard in its topic name');
    if (byte === 0) throw new Malformed('PUBLISH with U+0000 in its topic name');
  }
  return bytes.toString('utf8');
}
