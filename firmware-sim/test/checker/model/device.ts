import { emptyReading, type StampReading } from '../../../src/checker/stamp.ts';
import type { Delivery, SentMessage, Witness } from '../../../src/checker/witness.ts';
import type { SubscribeOptions } from '../../../src/client/client.ts';
import type { ModelBroker } from './broker.ts';
import type { ModelEnd, ModelMessage, ModelPacket, ModelWill, Pipe, World } from './wire.ts';

/** What a device is like. */
export interface Character {
  readonly number: number;
  readonly isClean: boolean;
  readonly expirySeconds: number;
  readonly keepAliveSeconds: number;
  /** Topic of its wills; undefined for none. */
  readonly willTopic: string | undefined;
  readonly willQos: 0 | 1 | 2;
  readonly willRetain: boolean;
  readonly willDelaySeconds: number;
  /** It tells the witness of PUBCOMP. */
  readonly tellsCompletion: boolean;
}

interface Flight {
  readonly message: ModelMessage;
  state: 'published' | 'released';
}

interface Wanted {
  readonly subscription: SubscribeOptions;
  state: 'asked' | 'granted' | 'leaving';
}

/** A client in simulated time that keeps to the standard and tells the witness what it sees. */
export class Device implements ModelEnd {
  readonly character: Character;
  readonly #world: World;
  readonly #broker: ModelBroker;
  readonly #witness: Witness;
  readonly #flights: Map<number, Flight> = new Map();
  readonly #received: Set<number> = new Set();
  readonly #wanted: Map<string, Wanted> = new Map();
  readonly #reading: StampReading = emptyReading();
  #pipe: Pipe | undefined;
  #isUp = false;
  /** DISCONNECT is written. */
  #isLeaving = false;
  #sequence = 0;
  #attempt = 0;

  constructor(world: World, broker: ModelBroker, witness: Witness, character: Character) {
    this.#world = world;
    this.#broker = broker;
    this.#witness = witness;
    this.character = character;
    witness.client(character.number, `device-${character.number}`, character.isClean ? 'clean' : 'persistent');
  }

  get state(): 'off' | 'connecting' | 'up' {
    return this.#pipe === undefined ? 'off' : this.#isUp ? 'up' : 'connecting';
  }

  get isIdle(): boolean {
    return this.#flights.size === 0;
  }

  connect(): void {
    if (this.#pipe !== undefined) return;
    const { number, isClean, expirySeconds, keepAliveSeconds } = this.character;
    const will = this.#will();
    const told = will === undefined ? undefined : { ...factOf(will.message), delaySeconds: will.delaySeconds };
    this.#witness.connecting(number, { cleanStart: isClean, expirySeconds, keepAliveSeconds }, told, this.#world.now);
    const attempt = ++this.#attempt;
    const end: ModelEnd = {
      onPacket: (packet) => attempt === this.#attempt && this.onPacket(packet),
      onClosed: () => attempt === this.#attempt && this.onClosed(),
    };
    this.#pipe = this.#broker.connect(end);
    if (this.#pipe === undefined) {
      this.#witness.ended(number, 'closed', this.#world.now);
      return;
    }
    this.#pipe.toBroker({ kind: 'connect', client: number, cleanStart: isClean, expirySeconds, will });
  }

  publish(
    topicName: string,
    qos: 0 | 1 | 2,
    options: { retain: boolean; isEmpty: boolean; expirySeconds?: number },
  ): void {
    if (!this.#isUp || this.#pipe === undefined) return;
    const { number } = this.character;
    const message: ModelMessage = { client: number, sequence: ++this.#sequence, topicName, qos, ...options };
    if (qos > 0) this.#flights.set(message.sequence, { message, state: 'published' });
    this.#witness.sent(number, factOf(message), this.#world.now);
    this.#transmit(message, false);
  }

  subscribe(subscription: SubscribeOptions): void {
    if (!this.#isUp) return;
    this.#wanted.set(subscription.topicFilter, { subscription, state: 'asked' });
    this.#witness.subscribing(this.character.number, subscription, this.#world.now);
    this.#pipe?.toBroker({ kind: 'subscribe', subscription });
  }

  unsubscribe(topicFilter: string): void {
    const wanted = this.#wanted.get(topicFilter);
    if (!this.#isUp || wanted === undefined) return;
    wanted.state = 'leaving';
    this.#witness.unsubscribing(this.character.number, topicFilter, this.#world.now);
    this.#pipe?.toBroker({ kind: 'unsubscribe', topicFilter });
  }

  get filters(): readonly string[] {
    return [...this.#wanted.keys()];
  }

  disconnect(withWill: boolean, expirySeconds: number | undefined): void {
    if (!this.#isUp || this.#pipe === undefined) return;
    const { number } = this.character;
    this.#witness.disconnecting(number, withWill, expirySeconds, this.#world.now);
    this.#pipe.toBroker({ kind: 'disconnect', withWill, expirySeconds });
    this.#isUp = false; // Until the broker closes.
    this.#isLeaving = true;
  }

  /** Drops the connection; the broker sees it at once. */
  crash(): void {
    if (this.#pipe !== undefined && !this.#isLeaving) this.#leave();
  }

  /** Loses the network; the broker finds out by keep alive, or sooner. */
  freeze(): void {
    if (this.#pipe === undefined) return;
    const { keepAliveSeconds } = this.character;
    const latestMs = keepAliveSeconds === 0 ? 60_000 : 1500 * keepAliveSeconds;
    this.#pipe.freeze(this.#world.random.between(0, latestMs));
    this.#gone('silent');
  }

  /** Loses the connection, with what is under way on it. */
  cut(): void {
    if (this.#pipe === undefined) return;
    this.#pipe.cut();
    // What was written last may not have arrived, DISCONNECT too.
    this.#gone(this.#isLeaving ? 'silent' : 'closed');
  }

  onClosed(): void {
    if (this.#pipe !== undefined) this.#gone('closed');
  }

  onPacket(packet: ModelPacket): void {
    const { number } = this.character;
    const { now } = this.#world;
    switch (packet.kind) {
      case 'connack':
        return this.#onConnected(packet.sessionPresent);
      case 'publish':
        return this.#onPublish(packet);
      case 'puback':
        if (this.#flights.delete(packet.id)) this.#witness.acknowledged(number, packet.id, now);
        return;
      case 'pubrec': {
        const flight = this.#flights.get(packet.id);
        if (flight?.state === 'published') {
          flight.state = 'released';
          this.#witness.acknowledged(number, packet.id, now);
        }
        return this.#pipe?.toBroker({ kind: 'pubrel', id: packet.id });
      }
      case 'pubcomp':
        if (this.#flights.delete(packet.id) && this.character.tellsCompletion) {
          this.#witness.completed?.(number, packet.id, now);
        }
        return;
      case 'pubrel':
        this.#received.delete(packet.id);
        return this.#pipe?.toBroker({ kind: 'pubcomp', id: packet.id });
      case 'suback': {
        const wanted = this.#wanted.get(packet.topicFilter);
        if (wanted?.state === 'asked') wanted.state = 'granted';
        return this.#witness.subscribed(number, packet.topicFilter, packet.reasonCode, now);
      }
      case 'unsuback': {
        if (this.#wanted.get(packet.topicFilter)?.state === 'leaving') this.#wanted.delete(packet.topicFilter);
        return this.#witness.unsubscribed(number, packet.topicFilter, now);
      }
      case 'connect':
      case 'subscribe':
      case 'unsubscribe':
      case 'disconnect':
        throw new Error(`a broker sent ${packet.kind}`);
    }
  }

  #onConnected(sessionPresent: boolean): void {
    this.#isUp = true;
    this.#witness.connected(this.character.number, sessionPresent, this.#world.now);
    if (sessionPresent && !this.character.isClean) {
      for (const { message, state } of this.#flights.values()) {
        if (state === 'published') this.#transmit(message, true);
        else this.#pipe?.toBroker({ kind: 'pubrel', id: message.sequence });
      }
      for (const [topicFilter, { subscription, state }] of this.#wanted) {
        if (state === 'asked') this.subscribe(subscription);
        else if (state === 'leaving') this.unsubscribe(topicFilter);
      }
      return;
    }
    this.#abandon();
    this.#received.clear();
    const wanted = [...this.#wanted.values()].filter(({ state }) => state !== 'leaving');
    this.#wanted.clear();
    for (const { subscription } of wanted) this.subscribe(subscription);
  }

  #onPublish({ message, qos, retain, dup, id, isDamaged = false }: Extract<ModelPacket, { kind: 'publish' }>): void {
    const isNew = qos < 2 || !this.#received.has(id);
    if (qos === 2) this.#received.add(id);
    if (isNew) this.#deliver(message, { qos, retain, dup }, isDamaged);
    if (qos === 1) this.#pipe?.toBroker({ kind: 'puback', id });
    if (qos === 2) this.#pipe?.toBroker({ kind: 'pubrec', id });
  }

  #deliver(message: ModelMessage, flags: Pick<Delivery, 'qos' | 'retain' | 'dup'>, isDamaged: boolean): void {
    const reading = this.#reading;
    reading.kind = message.isEmpty ? 'empty' : isDamaged ? 'damaged' : 'intact';
    reading.client = message.isEmpty ? 0 : message.client;
    reading.sequence = message.isEmpty ? 0 : message.sequence;
    reading.qos = message.qos;
    reading.dueAt = 0;
    const delivery = { topicName: message.topicName, ...flags, length: message.isEmpty ? 0 : 60 };
    this.#witness.delivered(this.character.number, delivery, reading, this.#world.now);
  }

  #transmit(message: ModelMessage, dup: boolean): void {
    const { qos, retain, sequence } = message;
    this.#pipe?.toBroker({ kind: 'publish', message, qos, retain, dup, id: sequence });
  }

  #will(): ModelWill | undefined {
    const { number, willTopic, willQos: qos, willRetain: retain, willDelaySeconds: delaySeconds } = this.character;
    if (willTopic === undefined) return undefined;
    const message = { client: number, sequence: ++this.#sequence, topicName: willTopic, qos, retain, isEmpty: false };
    return { message, delaySeconds };
  }

  #leave(): void {
    this.#pipe?.closeByClient();
    this.#gone('closed');
  }

  #gone(how: 'closed' | 'silent'): void {
    this.#attempt++;
    this.#pipe = undefined;
    this.#isUp = this.#isLeaving = false;
    this.#witness.ended(this.character.number, how, this.#world.now);
    if (this.character.isClean) this.#abandon();
  }

  #abandon(): void {
    for (const [sequence, { state }] of this.#flights) {
      if (state === 'published') this.#witness.abandoned(this.character.number, sequence, this.#world.now);
    }
    this.#flights.clear();
  }
}

/** What the witness is told of a message. */
function factOf({ sequence, topicName, qos, retain, isEmpty, expirySeconds }: ModelMessage): SentMessage {
  const message = { sequence, topicName, qos, retain, isEmpty };
  return expirySeconds === undefined ? message : { ...message, expirySeconds };
}
