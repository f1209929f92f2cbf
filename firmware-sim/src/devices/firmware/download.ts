import { createHash, type Hash } from 'node:crypto';
import type { Chunk, Manifest } from './manifest.ts';

/** Chunks from one missing one to the next that is there. */
export interface Gap {
  readonly from: number;
  readonly count: number;
}

/**
 * An image on its way into a device, as kept in flash memory: it outlives connections, sleep and crashes. The image
 * itself is not kept, only what proves it: the hash of what came without a gap, and the chunks that came ahead of one
 * (at most the window of requests), so that thousands of devices may update at once.
 */
export class Download {
  readonly manifest: Manifest;
  readonly #hash: Hash = createHash('sha256');
  readonly #ahead: Map<number, Buffer> = new Map();
  #next = 0;

  constructor(manifest: Manifest) {
    this.manifest = manifest;
  }

  /** The first chunk that is missing; the number of chunks when none is. */
  get next(): number {
    return this.#next;
  }

  /** How many chunks are there. */
  get received(): number {
    return this.#next + this.#ahead.size;
  }

  get isComplete(): boolean {
    return this.#next === this.manifest.chunks;
  }

  /** Takes a chunk below number `limit`. False where it is there already, or does not belong to this image. */
  add({ version, index, data }: Chunk, limit: number): boolean {
    const { manifest } = this;
    if (version !== manifest.version || index < this.#next || index >= limit || this.#ahead.has(index)) return false;
    const length = Math.min(manifest.chunkBytes, manifest.sizeBytes - index * manifest.chunkBytes);
    if (data.length !== length) return false;
    if (index > this.#next) {
      this.#ahead.set(index, Buffer.from(data));
      return true;
    }
    this.#append(data);
    for (let ahead = this.#ahead.get(this.#next); ahead !== undefined; ahead = this.#ahead.get(this.#next)) {
      this.#ahead.delete(this.#next);
      this.#append(ahead);
    }
    return true;
  }

  /** What is missing below number `limit`. */
  gaps(limit: number): Gap[] {
    const gaps: Gap[] = [];
    for (let at = this.#next; at < limit; at++) {
      const from = at;
      while (at < limit && !this.#ahead.has(at)) at++;
      if (at > from) gaps.push({ from, count: at - from });
    }
    return gaps;
  }

  /** Whether the image is what the manifest says; only once, when it is complete. */
  isRight(): boolean {
    return this.#hash.digest('hex') === this.manifest.sha256;
  }

  #append(data: Buffer): void {
    this.#hash.update(data);
    this.#next++;
  }
}
