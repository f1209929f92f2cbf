import type { Random } from '../lib/random.ts';
import type { TimerHandle, Timers } from '../lib/timers.ts';

/** Bytes at most that share one moment of arrival on a line of limited bandwidth, ms of the line's time. */
const pieceMs = 20;
const pieceBytesMin = 256;

/** How slow a lane is; absent is no limit. */
export interface LaneProfile {
  /** ms; a range is drawn anew for each chunk. */
  readonly latencyMs?: number | readonly [low: number, high: number] | undefined;
  /** Bytes per second. */
  readonly bandwidth?: number | undefined;
}

interface Parcel {
  readonly bytes: Buffer;
  /** Not before this, and not before the parcels ahead of it. */
  readonly dueAt: number;
}

/**
 * One direction of a slow line: chunks leave it in the order they came, each when the line has carried it and the
 * latency is over. An empty chunk is carried like any other and marks the end of the stream.
 *
 *     push(chunk) --> carried, `bandwidth` bytes a second --> under way for `latencyMs` --> deliver(chunk)
 */
export class Lane {
  readonly #profile: LaneProfile;
  readonly #timers: Timers;
  readonly #random: Random;
  readonly #deliver: (bytes: Buffer) => void;
  readonly #onDue = (): void => this.#deliverDue();
  #parcels: Parcel[] = [];
  #head = 0;
  #queuedBytes = 0;
  #lineFreeAt = 0;
  #timer: TimerHandle | undefined;

  /** @param deliver takes over each chunk whose time has come. */
  constructor(profile: LaneProfile, timers: Timers, random: Random, deliver: (bytes: Buffer) => void) {
    this.#profile = profile;
    this.#timers = timers;
    this.#random = random;
    this.#deliver = deliver;
  }

  /** Bytes under way. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  push(bytes: Buffer): void {
    const { latencyMs, bandwidth } = this.#profile;
    if (latencyMs === undefined && bandwidth === undefined) {
      this.#deliver(bytes);
      return;
    }
    const now = this.#timers.now();
    const latency = latencyMs === undefined ? 0 : this.#draw(latencyMs);
    if (bandwidth === undefined) {
      this.#enqueue(bytes, now + latency);
    } else {
      const piece = Math.max(pieceBytesMin, Math.floor((bandwidth * pieceMs) / 1000));
      let at = 0;
      do {
        const part = bytes.subarray(at, at + piece);
        this.#lineFreeAt = Math.max(now, this.#lineFreeAt) + (part.length / bandwidth) * 1000;
        this.#enqueue(part, this.#lineFreeAt + latency);
        at += piece;
      } while (at < bytes.length);
    }
    this.#arm(now);
  }

  /** Loses everything under way. */
  clear(): void {
    this.#parcels = [];
    this.#head = 0;
    this.#queuedBytes = 0;
    if (this.#timer !== undefined) this.#timers.cancel(this.#timer);
    this.#timer = undefined;
  }

  #draw(latencyMs: number | readonly [low: number, high: number]): number {
    return typeof latencyMs === 'number' ? latencyMs : this.#random.between(latencyMs[0], latencyMs[1]);
  }

  #enqueue(bytes: Buffer, dueAt: number): void {
    this.#parcels.push({ bytes, dueAt });
    this.#queuedBytes += bytes.length;
  }

  #arm(now: number): void {
    const first = this.#parcels[this.#head];
    if (first === undefined || this.#timer !== undefined) return;
    this.#timer = this.#timers.after(first.dueAt - now, this.#onDue);
  }

  #deliverDue(): void {
    this.#timer = undefined;
    const now = this.#timers.now();
    for (let first = this.#parcels[this.#head]; first !== undefined && first.dueAt <= now; ) {
      this.#head++;
      this.#queuedBytes -= first.bytes.length;
      this.#deliver(first.bytes);
      first = this.#parcels[this.#head]; // of a new row, empty, when `deliver` has cleared this one
    }
    this.#forgetDelivered();
    this.#arm(now);
  }

  /** Now and then, so that it costs nothing per chunk. */
  #forgetDelivered(): void {
    if (this.#head < this.#parcels.length && this.#head < 256) return;
    this.#parcels = this.#parcels.slice(this.#head);
    this.#head = 0;
  }
}
