/**
 * Checks off what one subscriber gets, exactly: per publisher the sequence numbers 0, 1, 2... must each come once.
 * While all is well, a delivery costs one comparison; only what was passed over is remembered.
 */
export class DeliveryCheck {
  /** Messages that came for the first time. */
  delivered = 0;
  /** Messages that had come before. */
  duplicates = 0;
  /** Messages that came after a later one of the same publisher. */
  reordered = 0;
  /** Per publisher the sequence number after the highest that came. */
  readonly #next: Uint32Array;
  /** Per publisher the lower ones that did not come. */
  readonly #missing: Map<number, Set<number>> = new Map();

  constructor(publishers: number) {
    this.#next = new Uint32Array(publishers);
  }

  /** Notes a delivery; false when it is a duplicate. */
  note(publisher: number, sequence: number): boolean {
    const next = this.#next[publisher]!;
    if (sequence === next) {
      this.#next[publisher] = next + 1;
      this.delivered++;
      return true;
    }
    return sequence > next ? this.#skipTo(publisher, sequence) : this.#noteLate(publisher, sequence);
  }

  #skipTo(publisher: number, sequence: number): true {
    let missing = this.#missing.get(publisher);
    if (missing === undefined) this.#missing.set(publisher, (missing = new Set()));
    for (let skipped = this.#next[publisher]!; skipped < sequence; skipped++) missing.add(skipped);
    this.#next[publisher] = sequence + 1;
    this.delivered++;
    return true;
  }

  #noteLate(publisher: number, sequence: number): boolean {
    if (this.#missing.get(publisher)?.delete(sequence)) {
      this.reordered++;
      this.delivered++;
      return true;
    }
    this.duplicates++;
    return false;
  }
}
