import { DeliveryChecker } from '../../src/checker/delivery-checker.ts';
import { emptyReading, type StampReading } from '../../src/checker/stamp.ts';
import type { Delivery, SentMessage, SessionTerms, WillMessage } from '../../src/checker/witness.ts';
import type { SubscribeOptions } from '../../src/client/client.ts';

/** A message of a story: what was sent, and by whom. */
export interface Told extends SentMessage {
  readonly client: number;
}

/** Clients and their connections, told to a checker one after the other; a millisecond passes with each fact. */
export class Story {
  readonly checker: DeliveryChecker = new DeliveryChecker({ lateAfterSeconds: 30 });
  at = 1000;
  readonly #sequences: Map<number, number> = new Map();
  readonly #reading: StampReading = emptyReading();

  /** Lets time pass. */
  wait(ms: number): this {
    this.at += ms;
    this.checker.advance(this.at);
    return this;
  }

  /** A client of class `class-N`. */
  client(number: number): number {
    this.#sequences.set(number, 0);
    this.checker.client(number, `client-${number}`, `class-${number}`);
    return number;
  }

  /** A client that connects and gets its CONNACK. */
  up(number: number, terms: Partial<SessionTerms> = {}, sessionPresent = false, will?: WillMessage): number {
    if (!this.#sequences.has(number)) this.client(number);
    const all = { cleanStart: true, expirySeconds: 0, keepAliveSeconds: 60, ...terms };
    this.checker.connecting(number, all, will, ++this.at);
    this.checker.connected(number, sessionPresent, ++this.at);
    return number;
  }

  /** The same with a session that outlives connections. */
  persistent(number: number, sessionPresent = false, terms: Partial<SessionTerms> = {}, will?: WillMessage): number {
    const all = { cleanStart: false, expirySeconds: Number.POSITIVE_INFINITY, ...terms };
    return this.up(number, all, sessionPresent, will);
  }

  /** The will that the next connection of a client has. */
  will(number: number, fields: Partial<WillMessage> = {}): WillMessage {
    const base = { topicName: `gone/${number}`, qos: 1, retain: false, isEmpty: false, delaySeconds: 0 } as const;
    return { ...base, ...fields, sequence: this.#next(number) };
  }

  down(number: number, how: 'closed' | 'silent' = 'closed'): void {
    this.checker.ended(number, how, ++this.at);
  }

  /** DISCONNECT, and the end that follows. */
  leave(number: number, options: { withWill?: boolean; expirySeconds?: number } = {}): void {
    this.checker.disconnecting(number, options.withWill === true, options.expirySeconds, ++this.at);
    this.down(number);
  }

  subscribe(number: number, topicFilter: string, qos: 0 | 1 | 2 = 2, options: Partial<SubscribeOptions> = {}): void {
    this.checker.subscribing(number, { topicFilter, qos, ...options }, ++this.at);
    this.checker.subscribed(number, topicFilter, qos, ++this.at);
  }

  unsubscribe(number: number, topicFilter: string): void {
    this.checker.unsubscribing(number, topicFilter, ++this.at);
    this.checker.unsubscribed(number, topicFilter, ++this.at);
  }

  /** Sends a message that is not acknowledged yet. */
  send(client: number, topicName = 'load/1', fields: Partial<SentMessage> = {}): Told {
    const message = {
      topicName,
      qos: 1,
      retain: false,
      isEmpty: false,
      ...fields,
      sequence: this.#next(client),
    } as const;
    this.checker.sent(client, message, ++this.at);
    return { ...message, client };
  }

  acknowledge(message: Told): void {
    this.checker.acknowledged(message.client, message.sequence, ++this.at);
    this.checker.completed(message.client, message.sequence, ++this.at);
  }

  /** Sends a message and has it acknowledged. */
  publish(client: number, topicName = 'load/1', fields: Partial<SentMessage> = {}): Told {
    const message = this.send(client, topicName, fields);
    if (message.qos > 0) this.acknowledge(message);
    return message;
  }

  /** A delivery of a message, as it should be unless told otherwise. */
  deliver(message: Told, to: number, fields: Partial<Delivery> = {}, reading: Partial<StampReading> = {}): void {
    const { topicName, qos, isEmpty, client, sequence } = message;
    const kind = isEmpty ? 'empty' : 'intact';
    const stamp = isEmpty ? { client: 0, sequence: 0 } : { client, sequence };
    Object.assign(this.#reading, { kind, ...stamp, qos, dueAt: 0, ...reading });
    const delivery = { topicName, qos, retain: false, dup: false, length: isEmpty ? 0 : 60, ...fields };
    this.checker.delivered(to, delivery, this.#reading, ++this.at);
  }

  /** The faults above 0, after judging what is still open. */
  end(): Record<string, number> {
    this.wait(5000);
    this.checker.finish(this.at);
    return this.faults;
  }

  get faults(): Record<string, number> {
    const counts = Object.entries(this.checker.verdict().faults).filter(([, { total }]) => total > 0);
    return Object.fromEntries(counts.map(([fault, { total }]) => [fault, total]));
  }

  #next(number: number): number {
    const sequence = (this.#sequences.get(number) ?? 0) + 1;
    this.#sequences.set(number, sequence);
    return sequence;
  }
}
