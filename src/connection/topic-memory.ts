/** Topic names up to this many bytes are remembered. */
const REMEMBERED_BYTES = 256;

/** The last topic name of a connection by its bytes, so that a device that repeats itself costs no decoding. */
export class TopicMemory {
  /** As long as the longest name remembered so far: who has many names does not cost an allocation for each. */
  #bytes: Buffer | undefined = undefined;
  #length = 0;
  #topicName = '';

  /** The topic name these bytes stand for, if it is the one of last time; undefined otherwise. */
  recall(buffer: Buffer, start: number, end: number): string | undefined {
    const bytes = this.#bytes;
    const length = end - start;
    if (bytes === undefined || length !== this.#length) return undefined;
    // Names of one device tend to differ near the end.
    for (let i = length - 1; i >= 0; i--) if (bytes[i] !== buffer[start + i]) return undefined;
    return this.#topicName;
  }

  /** Remembers a topic name and its bytes. */
  remember(buffer: Buffer, start: number, end: number, topicName: string): void {
    const length = end - start;
    if (length > REMEMBERED_BYTES) return;
    if (this.#bytes === undefined || this.#bytes.length < length) this.#bytes = Buffer.allocUnsafe(length);
    const bytes = this.#bytes;
    for (let i = 0; i < length; i++) bytes[i] = buffer[start + i] as number;
    this.#length = length;
    this.#topicName = topicName;
  }
}
