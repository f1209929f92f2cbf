/** Slots of the first array; an empty queue has none. */
const MIN_CAPACITY = 8;

/**
 * A first-in, first-out queue with constant cost at both ends, amortised.
 *
 * Items stand in an array used as a ring. It doubles when it is full and halves when it is an eighth full, and keeps no
 * reference to an item that was taken out.
 */
export class RingQueue<T> {
  /** Its length is 0 or a power of two. */
  #slots: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  /** Items held. */
  get length(): number {
    return this.#length;
  }

  /** Adds an item at the end. */
  push(item: T): void {
    if (this.#length === this.#slots.length) this.#resize(Math.max(MIN_CAPACITY, this.#length * 2));
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item;
    this.#length++;
  }

  /** Puts an item in front of all others. */
  unshift(item: T): void {
    if (this.#length === this.#slots.length) this.#resize(Math.max(MIN_CAPACITY, this.#length * 2));
    this.#head = (this.#head - 1) & (this.#slots.length - 1);
    this.#slots[this.#head] = item;
    this.#length++;
  }

  /** Takes the first item out; undefined when there is none. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    const capacity = this.#slots.length;
    if (capacity > MIN_CAPACITY && this.#length <= capacity >> 3) this.#resize(capacity >> 1);
    return item;
  }

  /** Returns the first item and leaves it in; undefined when there is none. */
  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#slots[this.#head];
  }

  /** Takes all items out. */
  clear(): void {
    this.#slots = [];
    this.#head = 0;
    this.#length = 0;
  }

  /** Walks from the first to the last item. The queue must not change meanwhile. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    const mask = this.#slots.length - 1;
    for (let i = 0; i < this.#length; i++) yield this.#slots[(this.#head + i) & mask]!;
  }

  #resize(capacity: number): void {
    const slots: (T | undefined)[] = [];
    const mask = this.#slots.length - 1;
    for (let i = 0; i < this.#length; i++) slots.push(this.#slots[(this.#head + i) & mask]);
    while (slots.length < capacity) slots.push(undefined);
    this.#slots = slots;
    this.#head = 0;
  }
}
