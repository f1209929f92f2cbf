/** A map that holds so many entries at most: the one that was not set for longest makes room. */
export class RecentMap<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #entriesMax: number;
  /** Stands behind all that made room. A new iterator would walk over what was deleted in front, thousands of slots each time. */
  readonly #oldest: MapIterator<K> = this.#entries.keys();

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
    if (this.#entries.size > this.#entriesMax) this.#entries.delete(this.#oldest.next().value as K);
  }

  /** Takes a key out. */
  delete(key: K): void {
    this.#entries.delete(key);
  }
}
