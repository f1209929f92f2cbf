import type { RedisKeys } from './redis-keys.ts';

/** The keys of one call of the commit script that come behind those it always has, and where in KEYS they stand. */
export class CommitKeys {
  readonly #keys: RedisKeys;
  readonly #firstIndex: number;
  readonly #names: string[] = [];
  readonly #indexes: Map<string, number> = new Map();
  /** By queue id, the index of its first key. */
  readonly #queueIndexes: Map<number, number> = new Map();

  /** @param before how many keys come before. */
  constructor(keys: RedisKeys, before: number) {
    this.#keys = keys;
    this.#firstIndex = before;
  }

  /** All of them, in order. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Index of a key. */
  indexOf(name: string): number {
    const known = this.#indexes.get(name);
    if (known !== undefined) return known;
    const index = this.#firstIndex + this.#names.push(name);
    this.#indexes.set(name, index);
    return index;
  }

  /** Index of the first of the four keys that a queue has. */
  queue(queueId: number): number {
    const known = this.#queueIndexes.get(queueId);
    if (known !== undefined) return known;
    const keys = this.#keys;
    const index = this.#firstIndex + this.#names.push(keys.queue(queueId));
    this.#names.push(keys.flight(queueId), keys.dropped(queueId), keys.mailbox(queueId));
    this.#queueIndexes.set(queueId, index);
    return index;
  }
}
