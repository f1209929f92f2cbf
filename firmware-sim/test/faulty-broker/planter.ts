import { stampLength, writeStamp } from '../../src/checker/stamp.ts';
import type { Random } from '../../src/lib/random.ts';

/** What a broker can be told to do wrong. */
export type Plant =
  | 'lose' // a delivery of QoS 1 or 2 is dropped
  | 'duplicate' // a delivery of QoS 0 or 2 comes again, QoS 2 with a packet id of its own
  | 'repeat' // a delivery of QoS 1 comes again without DUP
  | 'reorder' // two consecutive deliveries of one publisher, topic and QoS change places
  | 'corrupt' // one byte of the payload changes
  | 'leak' // who did not subscribe gets a copy, or the sender despite No Local
  | 'phantom' // a message that nobody sent, with a good stamp
  | 'wrong-topic' // a copy on another topic
  | 'stale-retained' // a new subscription gets the value before the last
  | 'no-retained' // a new subscription gets nothing
  | 'no-will' // a connection breaks, and nobody hears of it
  | 'second-will' // a will is published twice
  | 'clean-will' // a will is published after DISCONNECT
  | 'session-lost' // session present is 0 where there is one
  | 'session-invented' // session present is 1 after clean start
  | 'late'; // a delivery is held back until releaseLate()

/** Where something could go wrong. */
export interface Spot {
  /** Whom it would happen to. */
  readonly clientId: string;
  /** Empty where it is a session that is lied about. */
  readonly topicName: string;
  readonly publisherId: string;
  /** Of the publisher. */
  readonly qos: number;
}

/** How often each, and where. */
export interface PlantOptions {
  readonly times: Partial<Readonly<Record<Plant, number>>>;
  /** Probability (above 0, up to 1) that one that could happen does. */
  readonly chance: number;
  readonly random: Random;
  allows(plant: Plant, spot: Spot): boolean;
}

/** Decides what goes wrong when, and keeps count. */
export class Planter {
  readonly #spots: Map<Plant, Spot[]> = new Map();
  readonly #options: PlantOptions;
  #phantoms = 0;

  constructor(options: PlantOptions) {
    this.#options = options;
  }

  /** What is still to be planted. */
  get left(): readonly Plant[] {
    return (Object.keys(this.#options.times) as Plant[]).filter((plant) => this.#left(plant) > 0);
  }

  /** Where this has gone wrong so far. */
  planted(plant: Plant): readonly Spot[] {
    return this.#spots.get(plant) ?? [];
  }

  /** One of `plants` that shall happen now, or nothing. It counts from here; see {@link Planter.takeBack}. */
  draw(plants: readonly Plant[], spot: Spot): Plant | undefined {
    const { random, chance } = this.#options;
    const open = plants.filter((plant) => this.#left(plant) > 0 && this.#options.allows(plant, spot));
    if (open.length === 0 || !random.chance(chance)) return undefined;
    const plant = random.pick(open);
    this.#spots.set(plant, [...this.planted(plant), spot]);
    return plant;
  }

  /** It did not come to that after all. */
  takeBack(plant: Plant, spot: Spot): void {
    this.#spots.set(
      plant,
      this.planted(plant).filter((other) => other !== spot),
    );
  }

  /** A copy with one byte changed. */
  corrupted(payload: Buffer): Buffer {
    const { random } = this.#options;
    const copy = Buffer.from(payload);
    const at = random.below(copy.length);
    copy[at] = (copy[at] as number) ^ (1 + random.below(255));
    return copy;
  }

  /** A copy whose stamp is good and of a message that its publisher has not sent, and never will. */
  forged(payload: Buffer): Buffer {
    const copy = Buffer.from(payload);
    const stampAt = copy.lastIndexOf('~S1', copy.length - stampLength, 'latin1');
    const digits = (from: number, to: number): number =>
      Number.parseInt(copy.toString('latin1', stampAt + from, stampAt + to), 16);
    const dueUs = digits(23, 30) * 0x1000_0000 + digits(30, 37);
    const sequence = 0x4000_0000 + this.#phantoms++;
    const stamp = { client: digits(9, 15), sequence, dueAt: dueUs / 1000, qos: digits(37, 38) };
    writeStamp({ bytes: copy, stampAt }, digits(3, 9), stamp);
    return copy;
  }

  /** Between two numbers, both included. */
  within(low: number, high: number): number {
    return low + this.#options.random.below(high - low + 1);
  }

  #left(plant: Plant): number {
    return (this.#options.times[plant] ?? 0) - this.planted(plant).length;
  }
}
