import type { SubscribeOptions } from '../../../src/client/client.ts';
import type { Random } from '../../../src/lib/random.ts';

/** An event of a simulated world, in the order of time. */
interface Event {
  readonly at: number;
  readonly run: () => void;
}

/** Simulated time, ms: whatever is to happen later happens in order. */
export class World {
  now = 1000;
  readonly random: Random;
  readonly #events: Event[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  after(delayMs: number, run: () => void): void {
    const at = this.now + delayMs;
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1] as Event).at > at) place--;
    this.#events.splice(place, 0, { at, run });
  }

  /** Runs everything that falls due until then. */
  runUntil(end: number): void {
    for (let next = this.#events[0]; next !== undefined && next.at <= end; next = this.#events[0]) {
      this.#events.shift();
      this.now = next.at;
      next.run();
    }
    this.now = end;
  }
}

/** The will of a CONNECT. */
export interface ModelWill {
  readonly message: ModelMessage;
  readonly delaySeconds: number;
}

/** A message, with what its stamp would say. */
export interface ModelMessage {
  readonly client: number;
  readonly sequence: number;
  readonly topicName: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly isEmpty: boolean;
  readonly expirySeconds?: number;
}

/** Packets of the model. */
export type ModelPacket =
  | {
      readonly kind: 'connect';
      readonly client: number;
      readonly cleanStart: boolean;
      readonly expirySeconds: number;
      readonly will: ModelWill | undefined;
    }
  | { readonly kind: 'connack'; readonly sessionPresent: boolean }
  | {
      readonly kind: 'publish';
      readonly message: ModelMessage;
      readonly qos: 0 | 1 | 2;
      readonly retain: boolean;
      readonly dup: boolean;
      readonly id: number;
      readonly isDamaged?: boolean;
    }
  | { readonly kind: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'; readonly id: number; readonly isRefusal?: boolean }
  | { readonly kind: 'subscribe'; readonly subscription: SubscribeOptions }
  | { readonly kind: 'suback'; readonly topicFilter: string; readonly reasonCode: number }
  | { readonly kind: 'unsubscribe' | 'unsuback'; readonly topicFilter: string }
  | { readonly kind: 'disconnect'; readonly withWill: boolean; readonly expirySeconds: number | undefined };

/** One side of a pipe. */
export interface ModelEnd {
  onPacket(packet: ModelPacket): void;
  onClosed(): void;
}

/** A connection: packets arrive in order, a while later, or not at all once it is cut. */
export class Pipe {
  readonly #world: World;
  readonly #ends: readonly [client: ModelEnd, broker: ModelEnd];
  readonly #lastAt: [number, number] = [0, 0];
  readonly #isDead: [boolean, boolean] = [false, false];

  constructor(world: World, client: ModelEnd, broker: ModelEnd) {
    this.#world = world;
    this.#ends = [client, broker];
  }

  toBroker(packet: ModelPacket): void {
    this.#send(1, () => this.#ends[1].onPacket(packet));
  }

  toClient(packet: ModelPacket): void {
    this.#send(0, () => this.#ends[0].onPacket(packet));
  }

  /** The client closes: what it wrote still arrives, then the broker sees the end. */
  closeByClient(): void {
    this.#isDead[0] = true;
    this.#send(1, () => this.#ends[1].onClosed());
  }

  closeByBroker(): void {
    this.#isDead[1] = true;
    this.#send(0, () => this.#ends[0].onClosed());
  }

  /** The client goes silent: nothing arrives any more on either side, and the broker is not told for a while. */
  freeze(brokerNoticesMs: number): void {
    this.#isDead[0] = true;
    const isFrozen = this.#isDead;
    this.#world.after(brokerNoticesMs, () => {
      if (isFrozen[1]) return;
      isFrozen[1] = true;
      this.#ends[1].onClosed();
    });
    this.#lastAt[1] = Number.POSITIVE_INFINITY;
  }

  /** The client loses the connection and closes it: some of what it wrote may arrive, then the broker sees the end. */
  cut(): void {
    this.#isDead[0] = true;
    this.#world.after(this.#world.random.between(0, 4), () => {
      if (this.#isDead[1]) return;
      this.#isDead[1] = true;
      this.#ends[1].onClosed();
    });
  }

  /** The broker is killed: only the client learns of it. */
  kill(): void {
    this.#isDead[1] = true;
    this.#world.after(this.#world.random.between(0, 3), () => {
      if (this.#isDead[0]) return;
      this.#isDead[0] = true;
      this.#ends[0].onClosed();
    });
  }

  #send(side: 0 | 1, arrive: () => void): void {
    const at = Math.max(this.#lastAt[side], this.#world.now + this.#world.random.between(0.1, 3));
    if (at === Number.POSITIVE_INFINITY) return;
    this.#lastAt[side] = at;
    this.#world.after(at - this.#world.now, () => {
      if (!this.#isDead[side]) arrive();
    });
  }
}
