/** Sizes are powers of two from this many bytes on. */
const SMALLEST = 1024;
/** Larger buffers are made when asked for and not kept. */
const LARGEST = 64 * 1024;
/** Bytes kept of each size at most. */
const KEPT_BYTES = 1024 * 1024;

/** Buffers of a few sizes to be used again, so that what lives for one turn of the loop costs no allocation. */
export class BufferPool {
  /** By size: 1 KiB, 2 KiB, ... */
  readonly #free: Buffer[][] = [];

  constructor() {
    for (let size = SMALLEST; size <= LARGEST; size *= 2) this.#free.push([]);
  }

  /** A buffer of at least this many bytes, with whatever content. */
  take(length: number): Buffer {
    const size = sizeFor(length);
    if (size > LARGEST) return Buffer.allocUnsafeSlow(length);
    return this.#free[indexOf(size)]!.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  /** Takes a buffer back that nobody reads or writes any more; only what `take` handed out. */
  give(buffer: Buffer): void {
    const { length } = buffer;
    if (length > LARGEST) return;
    const free = this.#free[indexOf(length)]!;
    if (free.length * length < KEPT_BYTES) free.push(buffer);
  }
}

/** The power of two that holds the length, at least SMALLEST. */
function sizeFor(length: number): number {
  return length <= SMALLEST ? SMALLEST : 2 ** (32 - Math.clz32(length - 1));
}

function indexOf(size: number): number {
  return Math.clz32(SMALLEST) - Math.clz32(size);
}
