import type { Random } from '../../../src/lib/random.ts';
import type { Plant, Plants } from './broker.ts';
import type { ModelMessage } from './wire.ts';

/** Plants faults at random, each so that it is one fault and nothing else, and counts them. */
export class Planter implements Plants {
  readonly #random: Random;
  readonly #kinds: ReadonlySet<Plant>;
  readonly #chance: number;
  readonly #counts: Map<Plant, number> = new Map();
  /** Messages and takers that something was done to: each gets one fault at most. */
  readonly #touched: Set<string> = new Set();

  constructor(random: Random, kinds: readonly Plant[], chance: number) {
    this.#random = random;
    this.#kinds = new Set(kinds);
    this.#chance = chance;
  }

  countOf(plant: Plant): number {
    return this.#counts.get(plant) ?? 0;
  }

  draw(plant: Plant, message: ModelMessage | undefined, taker: number): boolean {
    if (!this.#kinds.has(plant) || message === undefined || message.isEmpty || message.retain) return false;
    if (message.qos === 0 && plant === 'lose') return false; // QoS 0 may be lost.
    const key = `${message.client} ${message.sequence} ${taker}`;
    if (this.#touched.has(key) || !this.#random.chance(this.#chance)) return false;
    this.#touched.add(key);
    this.#counts.set(plant, this.countOf(plant) + 1);
    return true;
  }
}
