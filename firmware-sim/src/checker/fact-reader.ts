import { code, messageOf, qosOf, readingKinds, sizes, subscriptionOf } from './fact-codes.ts';
import { emptyReading, type StampReading } from './stamp.ts';
import type { Delivery, Witness } from './witness.ts';
import type { WitnessBatch } from './witness-recorder.ts';

/** Reads the batches of one recorder, fact after fact. */
export class FactReader {
  /** No fact before this time is missing, ms. */
  until: number = Number.NEGATIVE_INFINITY;
  /** Time of the next fact, ms, never before the one before; Infinity while there is none. */
  nextAt: number = Number.POSITIVE_INFINITY;
  readonly #waiting: WitnessBatch[] = [];
  #facts = new Float64Array(0);
  #place = 0;
  #strings: string[] = [];
  #lastAt = Number.NEGATIVE_INFINITY;
  readonly #reading: StampReading = emptyReading();
  readonly #delivery: { -readonly [Key in keyof Delivery]: Delivery[Key] } = {
    topicName: '',
    qos: 0,
    retain: false,
    dup: false,
    length: 0,
  };

  add(batch: WitnessBatch): void {
    this.#waiting.push(batch);
    this.until = batch.until;
    if (this.nextAt === Number.POSITIVE_INFINITY) this.#peek();
  }

  /** Tells the next fact; only where there is one. */
  tell(witness: Witness): void {
    const place = this.#place;
    this.#place += sizes[this.#facts[place] as number] as number;
    this.#lastAt = this.nextAt;
    this.#replay(witness, place);
    this.#peek();
  }

  #peek(): void {
    while (this.#place >= this.#facts.length) {
      const batch = this.#waiting.shift();
      if (batch === undefined) {
        this.nextAt = Number.POSITIVE_INFINITY;
        return;
      }
      this.#facts = new Float64Array(batch.facts);
      this.#place = 0;
      if (batch.forgets) this.#strings = [];
      for (const text of batch.strings) this.#strings.push(text);
    }
    this.nextAt = Math.max(this.#lastAt, this.#facts[this.#place + 1] as number);
  }

  #number(place: number): number {
    return this.#facts[place] as number;
  }

  #text(place: number): string {
    return this.#strings[this.#facts[place] as number] as string;
  }

  #replay(witness: Witness, place: number): void {
    const kind = this.#number(place) as (typeof code)[keyof typeof code];
    const at = this.#number(place + 1);
    const client = this.#number(place + 2);
    const first = this.#number(place + 3);
    switch (kind) {
      case code.client:
        return witness.client(client, this.#text(place + 3), this.#text(place + 4));
      case code.connecting:
      case code.connectingWithWill:
        return this.#connecting(witness, place, kind === code.connectingWithWill);
      case code.connected:
        return witness.connected(client, first === 1, at);
      case code.disconnecting: {
        const expirySeconds = this.#number(place + 4);
        return witness.disconnecting(client, first === 1, Number.isNaN(expirySeconds) ? undefined : expirySeconds, at);
      }
      case code.ended:
        return witness.ended(client, first === 1 ? 'closed' : 'silent', at);
      case code.sent: {
        const [sequence, expirySeconds] = [this.#number(place + 4), this.#number(place + 6)];
        return witness.sent(client, messageOf(first, sequence, this.#text(place + 5), expirySeconds), at);
      }
      case code.acknowledged:
        return witness.acknowledged(client, first, at);
      case code.completed:
        return witness.completed?.(client, first, at);
      case code.refused:
        return witness.refused(client, first, this.#number(place + 4), at);
      case code.abandoned:
        return witness.abandoned(client, first, at);
      case code.subscribing:
        return witness.subscribing(client, subscriptionOf(first, this.#text(place + 4)), at);
      case code.subscribed:
        return witness.subscribed(client, this.#text(place + 3), this.#number(place + 4), at);
      case code.unsubscribing:
        return witness.unsubscribing(client, this.#text(place + 3), at);
      case code.unsubscribed:
        return witness.unsubscribed(client, this.#text(place + 3), at);
      case code.delivered:
        return this.#delivered(witness, place);
      case code.broker:
        return witness.broker(first === 1 ? 'up' : 'down', at);
    }
  }

  #connecting(witness: Witness, place: number, hasWill: boolean): void {
    const terms = {
      cleanStart: this.#number(place + 3) === 1,
      expirySeconds: this.#number(place + 4),
      keepAliveSeconds: this.#number(place + 5),
    };
    const [at, client] = [this.#number(place + 1), this.#number(place + 2)];
    if (!hasWill) return witness.connecting(client, terms, undefined, at);
    const [bits, sequence, expirySeconds] = [this.#number(place + 6), this.#number(place + 7), this.#number(place + 9)];
    const message = messageOf(bits, sequence, this.#text(place + 8), expirySeconds);
    witness.connecting(client, terms, { ...message, delaySeconds: this.#number(place + 10) }, at);
  }

  #delivered(witness: Witness, place: number): void {
    const delivery = this.#delivery;
    const reading = this.#reading;
    const bits = this.#number(place + 3);
    delivery.qos = qosOf(bits);
    delivery.retain = (bits & 4) !== 0;
    delivery.dup = (bits & 8) !== 0;
    delivery.topicName = this.#text(place + 4);
    delivery.length = this.#number(place + 5);
    reading.kind = readingKinds[bits >> 4] as StampReading['kind'];
    reading.client = this.#number(place + 6);
    reading.sequence = this.#number(place + 7);
    reading.dueAt = this.#number(place + 8);
    reading.qos = this.#number(place + 9);
    witness.delivered(this.#number(place + 2), delivery, reading, this.#number(place + 1));
  }
}
