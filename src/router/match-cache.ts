/** The longest topic name that is kept, in characters; with the number of entries it bounds the memory of names. */
const MAX_NAME_LENGTH = 512;

/** Results may list this many takers per entry on average. */
const TAKERS_PER_ENTRY = 8;

/**
 * The results of recent matches by topic name, at most a given number.
 *
 * Two maps stand in for a list ordered by use: new and used entries go to the young one; when that holds half of the
 * maximum it becomes the old one, and what the former old one still held was not used for long and goes. Results that
 * list very many takers fill it earlier, so that it cannot grow by them; `length` tells how many.
 */
export class MatchCache<R extends { readonly length: number }> {
  readonly #half: number;
  #young = new Map<string, R>();
  #old = new Map<string, R>();
  #youngTakers = 0;

  /** @param max entries at most; 0 or 1 keeps none. */
  constructor(max: number) {
    this.#half = Math.floor(max / 2);
  }

  /** Entries held. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Returns what is kept for a topic name, and keeps it for longer. */
  get(topicName: string): R | undefined {
    const young = this.#young.get(topicName);
    if (young !== undefined) return young;
    const old = this.#old.get(topicName);
    if (old === undefined) return undefined;
    this.#old.delete(topicName);
    this.set(topicName, old);
    return old;
  }

  /** Keeps a result. */
  set(topicName: string, result: R): void {
    if (topicName.length > MAX_NAME_LENGTH || this.#half === 0) return;
    if (this.#young.size >= this.#half || this.#youngTakers >= this.#half * TAKERS_PER_ENTRY) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngTakers = 0;
    }
    this.#young.set(topicName, result);
    this.#youngTakers += result.length;
  }

  /** Forgets one topic name. */
  delete(topicName: string): void {
    if (!this.#young.delete(topicName)) this.#old.delete(topicName);
  }

  /** Forgets everything. */
  clear(): void {
    if (this.#young.size > 0) this.#young = new Map();
    if (this.#old.size > 0) this.#old = new Map();
    this.#youngTakers = 0;
  }
}
