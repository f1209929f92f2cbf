type Allocator = (size: number, ...rest: never[]) => Buffer;

/** What is watched: all through which src makes a Buffer of a length that comes from somewhere else. */
const WATCHED = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const;

/** Notes the largest Buffer that is made while it watches; `close` ends that. */
export class AllocationWatch {
  /** Bytes of the largest Buffer asked for since `reset`. */
  largest = 0;
  readonly #originals = new Map<(typeof WATCHED)[number], Allocator>();

  constructor() {
    const allocators = Buffer as unknown as Record<(typeof WATCHED)[number], Allocator>;
    for (const name of WATCHED) {
      const original = allocators[name];
      this.#originals.set(name, original);
      allocators[name] = (size, ...rest) => {
        if (size > this.largest) this.largest = size;
        return original.call(Buffer, size, ...rest);
      };
    }
  }

  /** Forgets what was noted. */
  reset(): void {
    this.largest = 0;
  }

  /** Puts the allocators back. */
  close(): void {
    Object.assign(Buffer, Object.fromEntries(this.#originals));
  }
}
