/** Entries from which on an array is smaller than a map. */
const sparseMax = 64;

/**
 * The highest sequence number per row of messages: a map while there are few, an array by row number for takers that
 * get nearly everything.
 */
export class Heights {
  #sparse: Map<number, number> | undefined;
  #dense: Uint32Array | undefined;

  /** 0 for none yet. */
  get(row: number): number {
    if (this.#dense !== undefined) return this.#dense[row] ?? 0;
    return this.#sparse?.get(row) ?? 0;
  }

  set(row: number, sequence: number): void {
    if (this.#dense === undefined) {
      this.#sparse ??= new Map();
      this.#sparse.set(row, sequence);
      if (this.#sparse.size > sparseMax && row < 32 * this.#sparse.size) this.#condense(row);
      return;
    }
    if (row >= this.#dense.length) {
      const larger = new Uint32Array(Math.max(row + 1, 2 * this.#dense.length));
      larger.set(this.#dense);
      this.#dense = larger;
    }
    this.#dense[row] = sequence;
  }

  #condense(row: number): void {
    const sparse = this.#sparse as Map<number, number>;
    let highest = row;
    for (const other of sparse.keys()) highest = Math.max(highest, other);
    const dense = new Uint32Array(highest + 1);
    for (const [other, sequence] of sparse) dense[other] = sequence;
    this.#dense = dense;
    this.#sparse = undefined;
  }
}
