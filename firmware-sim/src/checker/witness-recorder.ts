import type { SubscribeOptions } from '../client/client.ts';
import { code, messageBits, readingKinds, sizes, subscriptionBits } from './fact-codes.ts';
import { FactReader } from './fact-reader.ts';
import type { StampReading } from './stamp.ts';
import type { Delivery, SentMessage, SessionTerms, WillMessage, Witness } from './witness.ts';

/** Strings that a recorder has numbers for; when there are more, it begins anew. */
const stringsMax = 1 << 16;
/** A batch goes out by itself when it has so many numbers. */
const numbersMax = 1 << 17;

/** What a recorder saw, in a form that is posted to another thread without copying; see {@link WitnessMerger}. */
export interface WitnessBatch {
  /** Numbers of 64 bits, fact after fact; to be transferred. */
  readonly facts: ArrayBuffer;
  /** Strings that are new; facts speak of strings by their number. */
  readonly strings: readonly string[];
  /** Whether strings are numbered from 0 again, from this batch on. */
  readonly forgets: boolean;
  /** No fact before this time is missing, ms. */
  readonly until: number;
}

/** A witness in a thread of its own: packs what it is told into batches. */
export class WitnessRecorder implements Witness {
  readonly #onBatch: (batch: WitnessBatch) => void;
  #numbers = new Float64Array(4096);
  #length = 0;
  /** Time of the last fact. */
  #lastAt = 0;
  readonly #ids: Map<string, number> = new Map();
  #strings: string[] = [];
  #forgets = true;

  constructor(onBatch: (batch: WitnessBatch) => void) {
    this.#onBatch = onBatch;
  }

  /** Hands over what there is. @param until the time: no later fact will be told with an earlier one. */
  flush(until: number): void {
    const facts = this.#numbers.slice(0, this.#length).buffer;
    const batch = { facts, strings: this.#strings, forgets: this.#forgets, until };
    this.#length = 0;
    this.#strings = [];
    this.#forgets = false;
    if (this.#ids.size > stringsMax) {
      this.#ids.clear();
      this.#forgets = true;
    }
    this.#onBatch(batch);
  }

  client(client: number, clientId: string, className: string): void {
    // Clients are told before anything else, at no time of their own.
    const at = this.#begin(code.client, this.#lastAt, client);
    this.#numbers[at + 3] = this.#id(clientId);
    this.#numbers[at + 4] = this.#id(className);
  }

  connecting(client: number, terms: SessionTerms, will: WillMessage | undefined, at: number): void {
    const place = this.#begin(will === undefined ? code.connecting : code.connectingWithWill, at, client);
    const numbers = this.#numbers;
    numbers[place + 3] = terms.cleanStart ? 1 : 0;
    numbers[place + 4] = terms.expirySeconds;
    numbers[place + 5] = terms.keepAliveSeconds;
    if (will === undefined) return;
    numbers[place + 6] = messageBits(will);
    numbers[place + 7] = will.sequence;
    numbers[place + 8] = this.#id(will.topicName);
    numbers[place + 9] = will.expirySeconds ?? Number.NaN;
    numbers[place + 10] = will.delaySeconds;
  }

  connected(client: number, sessionPresent: boolean, at: number): void {
    const place = this.#begin(code.connected, at, client);
    this.#numbers[place + 3] = sessionPresent ? 1 : 0;
  }

  disconnecting(client: number, withWill: boolean, expirySeconds: number | undefined, at: number): void {
    const place = this.#begin(code.disconnecting, at, client);
    this.#numbers[place + 3] = withWill ? 1 : 0;
    this.#numbers[place + 4] = expirySeconds ?? Number.NaN;
  }

  ended(client: number, how: 'closed' | 'silent', at: number): void {
    const place = this.#begin(code.ended, at, client);
    this.#numbers[place + 3] = how === 'closed' ? 1 : 0;
  }

  sent(client: number, message: SentMessage, at: number): void {
    const place = this.#begin(code.sent, at, client);
    const numbers = this.#numbers;
    numbers[place + 3] = messageBits(message);
    numbers[place + 4] = message.sequence;
    numbers[place + 5] = this.#id(message.topicName);
    numbers[place + 6] = message.expirySeconds ?? Number.NaN;
  }

  acknowledged(client: number, sequence: number, at: number): void {
    const place = this.#begin(code.acknowledged, at, client);
    this.#numbers[place + 3] = sequence;
  }

  completed(client: number, sequence: number, at: number): void {
    const place = this.#begin(code.completed, at, client);
    this.#numbers[place + 3] = sequence;
  }

  refused(client: number, sequence: number, reasonCode: number, at: number): void {
    const place = this.#begin(code.refused, at, client);
    this.#numbers[place + 3] = sequence;
    this.#numbers[place + 4] = reasonCode;
  }

  abandoned(client: number, sequence: number, at: number): void {
    const place = this.#begin(code.abandoned, at, client);
    this.#numbers[place + 3] = sequence;
  }

  subscribing(client: number, subscription: SubscribeOptions, at: number): void {
    const place = this.#begin(code.subscribing, at, client);
    this.#numbers[place + 3] = subscriptionBits(subscription);
    this.#numbers[place + 4] = this.#id(subscription.topicFilter);
  }

  subscribed(client: number, topicFilter: string, reasonCode: number, at: number): void {
    const place = this.#begin(code.subscribed, at, client);
    this.#numbers[place + 3] = this.#id(topicFilter);
    this.#numbers[place + 4] = reasonCode;
  }

  unsubscribing(client: number, topicFilter: string, at: number): void {
    const place = this.#begin(code.unsubscribing, at, client);
    this.#numbers[place + 3] = this.#id(topicFilter);
  }

  unsubscribed(client: number, topicFilter: string, at: number): void {
    const place = this.#begin(code.unsubscribed, at, client);
    this.#numbers[place + 3] = this.#id(topicFilter);
  }

  delivered(client: number, delivery: Delivery, reading: StampReading, at: number): void {
    const place = this.#begin(code.delivered, at, client);
    const numbers = this.#numbers;
    const kind = readingKinds.indexOf(reading.kind);
    numbers[place + 3] = delivery.qos | (delivery.retain ? 4 : 0) | (delivery.dup ? 8 : 0) | (kind << 4);
    numbers[place + 4] = this.#id(delivery.topicName);
    numbers[place + 5] = delivery.length;
    numbers[place + 6] = reading.client;
    numbers[place + 7] = reading.sequence;
    numbers[place + 8] = reading.dueAt;
    numbers[place + 9] = reading.qos;
  }

  broker(state: 'down' | 'up', at: number): void {
    const place = this.#begin(code.broker, at, 0);
    this.#numbers[place + 3] = state === 'up' ? 1 : 0;
  }

  /** Makes room for a fact, in a larger array perhaps. @returns where it begins. */
  #begin(kind: number, at: number, client: number): number {
    if (this.#length >= numbersMax) this.flush(this.#lastAt);
    const place = this.#length;
    this.#length += sizes[kind] as number;
    if (this.#length > this.#numbers.length) {
      const larger = new Float64Array(2 * this.#numbers.length);
      larger.set(this.#numbers.subarray(0, place));
      this.#numbers = larger;
    }
    if (at > this.#lastAt) this.#lastAt = at;
    this.#numbers[place] = kind;
    this.#numbers[place + 1] = at;
    this.#numbers[place + 2] = client;
    return place;
  }

  #id(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    const id = this.#ids.size;
    this.#ids.set(text, id);
    this.#strings.push(text);
    return id;
  }
}

/**
 * Tells one witness what several recorders saw, in the order in which it happened: a fact is told as soon as every
 * recorder has told everything up to a later time. At the same time, the recorder with the lower number comes first.
 */
export class WitnessMerger {
  readonly #readers: readonly FactReader[];
  readonly #witness: Witness;

  /** @param count how many recorders there are. */
  constructor(witness: Witness, count: number) {
    this.#witness = witness;
    this.#readers = Array.from({ length: count }, () => new FactReader());
  }

  /** Takes the next batch of one recorder. @param recorder its number, from 0. */
  add(recorder: number, batch: WitnessBatch): void {
    const reader = this.#readers[recorder];
    if (reader === undefined) throw new Error(`there is no recorder ${recorder}`);
    reader.add(batch);
    let until = Number.POSITIVE_INFINITY;
    for (const one of this.#readers) until = Math.min(until, one.until);
    this.#tell(until);
  }

  /** Tells all that is left, when nothing more will come. */
  finish(): void {
    this.#tell(Number.POSITIVE_INFINITY);
  }

  #tell(before: number): void {
    for (;;) {
      let first: FactReader | undefined;
      for (const reader of this.#readers) if (reader.nextAt < (first?.nextAt ?? before)) first = reader;
      if (first === undefined) return;
      first.tell(this.#witness);
    }
  }
}
