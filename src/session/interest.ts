import type { WritePath } from './write-path.ts';

/** Tells the other nodes which topic filters have takers here that are no stored sessions, shared subscriptions left out. */
export class Interest {
  readonly #writePath: WritePath;
  /** Subscriptions by topic filter. */
  readonly #counts: Map<string, number> = new Map();

  constructor(writePath: WritePath) {
    this.#writePath = writePath;
  }

  /** A subscription was added. */
  add(topicFilter: string): void {
    const count = this.#counts.get(topicFilter) ?? 0;
    this.#counts.set(topicFilter, count + 1);
    if (count === 0) this.#writePath.add({ kind: 'interest-put', topicFilter });
  }

  /** One that was added is gone. */
  remove(topicFilter: string): void {
    const count = this.#counts.get(topicFilter) ?? 0;
    if (count > 1) {
      this.#counts.set(topicFilter, count - 1);
      return;
    }
    this.#counts.delete(topicFilter);
    this.#writePath.add({ kind: 'interest-delete', topicFilter });
  }
}
