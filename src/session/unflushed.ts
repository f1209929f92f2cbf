import type { QueueEntry } from './queue-entry.ts';

/** Entries that are to be sent once their batch is durable, in order. */
export class Unflushed {
  #entries: QueueEntry[] = [];

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  push(entry: QueueEntry): void {
    this.#entries.push(entry);
  }

  /** Takes out those whose batch is durable, up to the first that is not. */
  take(flushed: number): readonly QueueEntry[] {
    const first = this.#entries.findIndex(({ ticket }) => ticket > flushed);
    if (first === 0) return [];
    const taken = first === -1 ? this.#entries : this.#entries.slice(0, first);
    this.#entries = first === -1 ? [] : this.#entries.slice(first);
    return taken;
  }

  /** A batch goes with another instead; entries that are not to be kept are left out. */
  retry(failed: number, retriedAs: number, isKept: (entry: QueueEntry) => boolean): void {
    for (const entry of this.#entries) if (entry.ticket === failed) entry.ticket = retriedAs;
    this.#entries = this.#entries.filter(isKept);
  }
}
