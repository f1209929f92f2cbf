/** A map that holds so many entries at most: the one that was not set for longest makes room. */
export class RecentMap<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #entriesMax: number;

  /** @param entriesMax At least 1. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** Entries held. */
  get size(): number {
    return this.#entries.size;
  }

  /** The value of a key; undefined for none. */
  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** Sets a value and makes its key the most recent one. */
  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#entriesMax) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }

  /** Takes a key out. */
  delete(key: K): void {
    this.#entries.delete(key);
  }
}
