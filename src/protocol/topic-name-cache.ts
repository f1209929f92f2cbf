import { decodeTopicName } from './publish.ts';

/** Names longer than this many bytes are decoded each time. */
const NAME_MAX = 256;

/**
 * Remembers topic names met, so that one that comes again costs a comparison instead of a check and a new string; the
 * same string each time also spares whoever looks it up in a Map the hashing. One instance serves all connections.
 *
 * A table of fixed size, one name in each slot, the newest wins: bounded whatever peers send, and names made to collide
 * only cost their sender the saving. Names outside ASCII are not kept, as byte n is character n only within it.
 */
export class TopicNameCache {
  readonly #names: string[];
  readonly #mask: number;

  /** @param slots names remembered at most, a power of two. */
  constructor(slots: number) {
    this.#names = Array.from({ length: slots }, () => '');
    this.#mask = slots - 1;
  }

  /**
   * The same as `decodeTopicName`.
   *
   * @throws ProtocolError as `decodeTopicName`.
   */
  decode(buffer: Buffer, start: number, end: number): string {
    const length = end - start;
    if (length === 0 || length > NAME_MAX) return decodeTopicName(buffer, start, end);
    let hash = length;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ buffer[at]!, 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & this.#mask;
    const known = this.#names[slot]!;
    if (known.length === length && isText(buffer, start, known)) return known;
    const name = decodeTopicName(buffer, start, end);
    if (name.length === length) this.#names[slot] = name;
    return name;
  }
}

/** Whether the bytes from `start` are the ASCII characters of `text`. */
function isText(buffer: Buffer, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) !== buffer[start + i]) return false;
  }
  return true;
}
