import type { Random } from '../lib/random.ts';
import type { NetworkPath, NetworkProfile } from './network-path.ts';

/** Something that a network does to a connection at a time of its own. */
export interface PathEvent {
  readonly kind: 'cut' | 'hand-over';
  /** ms on the clock of Timers. */
  readonly at: number;
}

/** How long a half-open connection lingers unless the profile says otherwise, s. */
const defaultHalfOpenSeconds = 60;

/** The network of one device: what is drawn, when the next cut or hand-over is due, and where the device is now. */
export class DevicePath implements NetworkPath {
  readonly profile: NetworkProfile;
  /** For latencies and cuts; the device's own, so that its network can be repeated from the seed. */
  readonly random: Random;
  #localAddress: string | undefined;
  #cutAt = 0;
  #handOverAt = 0;

  /** @param localAddress where the device is at first; absent leaves it to the system. */
  constructor(profile: NetworkProfile, random: Random, localAddress?: string) {
    this.profile = profile;
    this.random = random;
    this.#localAddress = localAddress;
  }

  get localAddress(): string | undefined {
    return this.#localAddress;
  }

  /** How long a connection lingers that nobody is told of, ms. */
  get halfOpenMs(): number {
    return (this.profile.halfOpenSeconds ?? defaultHalfOpenSeconds) * 1000;
  }

  /** What happens next, after `now`; times that went by without a connection are drawn anew. */
  nextEvent(now: number): PathEvent | undefined {
    const { cutEverySeconds, handOverEverySeconds } = this.profile;
    if (cutEverySeconds !== undefined && this.#cutAt <= now) {
      this.#cutAt = now + this.random.exponential(cutEverySeconds * 1000);
    }
    if (handOverEverySeconds !== undefined && this.#handOverAt <= now) {
      this.#handOverAt = now + this.random.exponential(handOverEverySeconds * 1000);
    }
    const cutAt = cutEverySeconds === undefined ? Number.POSITIVE_INFINITY : this.#cutAt;
    const handOverAt = handOverEverySeconds === undefined ? Number.POSITIVE_INFINITY : this.#handOverAt;
    if (Math.min(cutAt, handOverAt) === Number.POSITIVE_INFINITY) return undefined;
    return cutAt < handOverAt ? { kind: 'cut', at: cutAt } : { kind: 'hand-over', at: handOverAt };
  }

  /** Whether a cut that happens now is one that nobody is told of. */
  isSilentCut(): boolean {
    const { halfOpen } = this.profile;
    return halfOpen !== undefined && halfOpen > 0 && this.random.chance(halfOpen);
  }

  /** Moves the device: where all of 127.0.0.0/8 is its own, to another address there, else only to another port. */
  handOver(isLoopback: boolean): void {
    if (!isLoopback) return;
    const before = this.#localAddress;
    do {
      const { random } = this;
      this.#localAddress = `127.${1 + random.below(254)}.${random.below(256)}.${1 + random.below(254)}`;
    } while (this.#localAddress === before);
  }
}

/** Whether bytes have to be held back or counted on this network, and not only connections to be ended. */
export function isShaped(profile: NetworkProfile): boolean {
  return (
    profile.latencyMs !== undefined ||
    profile.bandwidth !== undefined ||
    profile.cutAtByte !== undefined ||
    profile.readRate !== undefined
  );
}

/** Whether this network ends connections at times of its own. */
export function hasEvents(profile: NetworkProfile): boolean {
  return profile.cutEverySeconds !== undefined || profile.handOverEverySeconds !== undefined;
}
