import type { IPublishPacket, Packet, QoS } from 'mqtt-packet';

/** A message as the broker routes it. */
export interface RoutedMessage {
  readonly publisherId: string;
  readonly topicName: string;
  readonly payload: Buffer;
  /** Of its publisher. */
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties: IPublishPacket['properties'];
}

/** A message on its way to one session. */
export interface Delivery extends RoutedMessage {
  /** The lower one of the publisher's and the subscription's. */
  readonly deliveryQos: QoS;
  /** Of the PUBLISH to this subscriber. */
  readonly retainFlag: boolean;
}

/** One filter of a session. */
export interface Subscription {
  readonly topicFilter: string;
  /** Of a shared subscription. */
  readonly group: string | undefined;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
}

/** Where a session's packets go while it has a connection. */
export interface PacketSink {
  send(packet: Packet): void;
}

/** What the broker has in flight at most, where a client takes more. */
const ownInFlightMax = 10;

interface InFlight {
  readonly delivery: Delivery;
  state: 'sent' | 'released';
}

/** The broker's half of a session, in memory: subscriptions, queue, what is in flight either way. */
export class Session {
  readonly clientId: string;
  readonly subscriptions: Map<string, Subscription> = new Map();
  /** By packet id: QoS 2 messages from PUBLISH to PUBREL; undefined for those that are routed already. */
  readonly received: Map<number, RoutedMessage | undefined> = new Map();
  /** s; 0 ends it with its connection. */
  expirySeconds: number;
  #sink: PacketSink | undefined;
  #inFlightMax = 1;
  #lastId = 0;
  readonly #queue: Delivery[] = [];
  readonly #inFlight: Map<number, InFlight> = new Map();

  constructor(clientId: string, expirySeconds: number) {
    this.clientId = clientId;
    this.expirySeconds = expirySeconds;
  }

  get isConnected(): boolean {
    return this.#sink !== undefined;
  }

  /** Whether nothing is under way in either direction. */
  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#inFlight.size === 0 && this.received.size === 0;
  }

  /** Sends again what was not complete, then what waits. */
  attach(sink: PacketSink, receiveMaximum: number): void {
    this.#sink = sink;
    this.#inFlightMax = Math.min(ownInFlightMax, receiveMaximum);
    for (const [messageId, { delivery, state }] of this.#inFlight) {
      sink.send(state === 'released' ? { cmd: 'pubrel', messageId } : packetOf(delivery, messageId, true));
    }
    this.#pump();
  }

  detach(): void {
    this.#sink = undefined;
  }

  deliver(delivery: Delivery): void {
    if (delivery.deliveryQos === 0) {
      this.#sink?.send(packetOf(delivery, undefined, false));
      return;
    }
    this.#queue.push(delivery);
    this.#pump();
  }

  /** PUBACK, PUBREC or PUBCOMP. */
  acknowledge(cmd: 'puback' | 'pubrec' | 'pubcomp', messageId: number, reasonCode: number): void {
    const entry = this.#inFlight.get(messageId);
    if (cmd === 'pubrec' && reasonCode < 0x80) {
      if (entry !== undefined) entry.state = 'released';
      this.#sink?.send({ cmd: 'pubrel', messageId });
      return;
    }
    this.#inFlight.delete(messageId);
    this.#pump();
  }

  #pump(): void {
    while (this.#sink !== undefined && this.#inFlight.size < this.#inFlightMax) {
      const delivery = this.#queue.shift();
      if (delivery === undefined) return;
      do this.#lastId = (this.#lastId % 65_535) + 1;
      while (this.#inFlight.has(this.#lastId));
      this.#inFlight.set(this.#lastId, { delivery, state: 'sent' });
      this.#sink.send(packetOf(delivery, this.#lastId, false));
    }
  }
}

function packetOf(delivery: Delivery, messageId: number | undefined, dup: boolean): IPublishPacket {
  const { topicName, payload, deliveryQos, retainFlag, properties } = delivery;
  return {
    cmd: 'publish',
    topic: topicName,
    payload,
    qos: deliveryQos,
    retain: retainFlag,
    dup,
    ...(messageId !== undefined && { messageId }),
    ...(properties !== undefined && { properties }),
  };
}
