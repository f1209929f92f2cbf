import { connect, type Socket } from 'node:net';
import {
  generate,
  type IConnackPacket,
  type IPublishPacket,
  type Packet,
  type Parser,
  parser as newParser,
} from 'mqtt-packet';
import type { DeliveryChecker } from '../checker/delivery-checker.ts';
import type { SentMessage } from '../checker/records.ts';
import type { Random } from '../fakes/random.ts';

/** Held acknowledgements are sent after this many of them, or this time, ms. */
const HELD_MAX = 12;
const HELD_MS = 15;

const QUOTA_EXCEEDED = 0x97;

/** What devices of a run share. */
export interface DeviceWorld {
  readonly checker: DeliveryChecker;
  readonly random: Random;
  /** Counts up with each broker process. */
  readonly life: number;
  /** Something was received, or answers that had waited were sent; the run decides when to kill by it. */
  onEvent(device: Device): void;
  /** A publish was refused with 0x97 (Quota exceeded); it is not sent again. */
  onRefused(device: Device, text: string): void;
}

/** How a device behaves. */
export interface DeviceOptions {
  clientId: string;
  version: 4 | 5;
  /** Session Expiry Interval, seconds; 0 is a session that ends with its connection. 4 knows 0 and for ever only. */
  sessionExpiryInterval: number;
  /** When the application gets a QoS 2 message: with its PUBREL (A) or with its PUBLISH (B), section 4.3.3. */
  qos2Method?: 'A' | 'B';
  /** MQTT 5.0 only. */
  receiveMaximum?: number;
  /** Name of the taker its deliveries count for; its client id by default. */
  taker?: string;
}

/** A topic filter the device keeps subscribed to. */
export interface Wish {
  topicFilter: string;
  qos: 1 | 2;
}

interface Outgoing {
  message: SentMessage;
  state: 'sent' | 'released';
}

/** What waits for SUBACK or UNSUBACK. */
interface Pending {
  kind: 'subscribe' | 'unsubscribe';
  wish: Wish;
}

/**
 * A client whose state outlives its connections and the broker's processes, with a codec that is not the broker's. It
 * resends what is unacknowledged, takes QoS 2 messages once, and holds acknowledgements back now and then.
 */
export class Device {
  readonly clientId: string;
  readonly taker: string;
  protected readonly world: DeviceWorld;
  protected readonly options: DeviceOptions;
  #socket: Socket | undefined = undefined;
  /** Where its connection stands. */
  state: 'offline' | 'connecting' | 'connected' = 'offline';
  #hasConnected = false;
  #connects = 0;
  readonly #outgoing: Map<number, Outgoing> = new Map();
  #lastPacketId = 0;
  /** QoS 2 packet ids received and not released, with the message where the application has not got it. */
  readonly #incoming: Map<number, IPublishPacket | undefined> = new Map();
  #held: Packet[] = [];
  #holding = false;
  readonly #pending: Map<number, Pending> = new Map();
  /** Subscriptions it has, as far as it knows. */
  readonly granted: Map<string, Wish> = new Map();

  constructor(world: DeviceWorld, options: DeviceOptions) {
    this.world = world;
    this.options = options;
    this.clientId = options.clientId;
    this.taker = options.taker ?? options.clientId;
  }

  /** Publishes not acknowledged to the end. */
  get outstanding(): number {
    return this.#outgoing.size;
  }

  /** Whether it waits for no answer and owes none. */
  get isIdle(): boolean {
    const owes = this.#outgoing.size + this.#incoming.size + this.#held.length + this.#pending.size;
    return this.state === 'connected' && owes === 0;
  }

  /** SUBSCRIBE and UNSUBSCRIBE without an answer. */
  get unanswered(): number {
    return this.#pending.size;
  }

  get #isPersistent(): boolean {
    return this.options.sessionExpiryInterval > 0;
  }

  // ---- connection

  /** Opens a connection; one that is open is forgotten as it stands, which the broker sees as a takeover. */
  connect(port: number): void {
    this.#forget();
    this.state = 'connecting';
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const parser = newParser({ protocolVersion: this.options.version });
    this.#socket = socket;
    const isCurrent = (): boolean => this.#socket === socket;
    parser.on('packet', (packet) => {
      if (isCurrent()) this.#onPacket(packet);
    });
    parser.on('error', (error: Error) => {
      if (isCurrent()) this.#fault(`received what is no packet: ${error.message}`);
    });
    socket.on('connect', () => {
      if (isCurrent()) this.#sendConnect();
    });
    socket.on('data', (chunk) => parse(parser, chunk as Buffer));
    // What follows is a close, which is all that counts.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (isCurrent()) this.#onClose();
    });
  }

  /** Breaks the connection off. */
  drop(): void {
    const socket = this.#socket;
    this.#forget();
    socket?.destroy();
  }

  /** Says DISCONNECT; the broker closes. */
  leave(): void {
    this.send({ cmd: 'disconnect' });
  }

  #sendConnect(): void {
    const { version, clientId, sessionExpiryInterval, receiveMaximum } = this.options;
    const will = this.nextWill();
    this.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clean: !this.#isPersistent,
      clientId,
      keepalive: 0,
      ...(will === undefined ? {} : { will: { topic: will.topicName, payload: will.payload, qos: will.qos } }),
      ...(version === 4
        ? {}
        : { properties: { sessionExpiryInterval, ...(receiveMaximum === undefined ? {} : { receiveMaximum }) } }),
    });
    this.#connects += 1;
  }

  /** The will of the next connection; undefined for none. */
  protected nextWill(): SentMessage | undefined {
    return undefined;
  }

  /** The connection is established. */
  protected onConnected(): void {}

  /** The connection is gone, or was left for another. */
  protected onGone(): void {}

  #forget(): void {
    if (this.state !== 'offline') this.#onClose();
    this.#socket = undefined;
  }

  #onClose(): void {
    const wasConnected = this.state === 'connected';
    this.state = 'offline';
    // What was only in this process' mind to be sent is never sent.
    this.#held = [];
    this.#holding = false;
    if (wasConnected) this.onGone();
  }

  #onConnack(packet: IConnackPacket): void {
    const code = this.options.version === 5 ? packet.reasonCode : packet.returnCode;
    if (code !== 0 || this.state !== 'connecting') {
      this.#fault(`CONNACK with ${code}`);
      return;
    }
    // Of an earlier CONNECT without an answer nobody knows what came of it.
    const unsure = this.#connects > 1 ? undefined : false;
    const expected = this.#isPersistent ? (this.#hasConnected ? true : unsure) : false;
    this.world.checker.connected(this.clientId, packet.sessionPresent, expected);
    this.#hasConnected = true;
    this.state = 'connected';
    if (!packet.sessionPresent) this.#incoming.clear();
    for (const [packetId, { message, state }] of this.#outgoing) {
      if (state === 'sent') this.#sendPublish(packetId, message, true);
      else this.send({ cmd: 'pubrel', messageId: packetId });
    }
    // SUBSCRIBE and UNSUBSCRIBE are not part of the session: they are sent anew.
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { kind, wish } of pending) this.#ask(kind, wish);
    this.onConnected();
  }

  // ---- sending

  /** Publishes for the first time; what cannot go out now goes with the next connection. */
  publish(message: SentMessage): void {
    const packetId = this.#nextPacketId();
    this.world.checker.sent(message);
    this.#outgoing.set(packetId, { message, state: 'sent' });
    if (this.state === 'connected') this.#sendPublish(packetId, message, false);
  }

  /** Asks for a subscription until it is granted. */
  subscribe(wish: Wish, isGroup = false): void {
    const filter = isGroup ? wish.topicFilter.split('/').slice(2).join('/') : wish.topicFilter;
    this.world.checker.subscribing(this.taker, filter, wish.qos, isGroup);
    this.#ask('subscribe', wish);
  }

  /** Asks for the end of a subscription until that is confirmed. */
  unsubscribe(wish: Wish): void {
    this.world.checker.unsubscribing(this.taker, wish.topicFilter);
    this.#ask('unsubscribe', wish);
  }

  #ask(kind: Pending['kind'], wish: Wish): void {
    const messageId = this.#nextPacketId();
    this.#pending.set(messageId, { kind, wish });
    if (this.state !== 'connected') return;
    const { topicFilter, qos } = wish;
    if (kind === 'subscribe') this.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: topicFilter, qos }] });
    else this.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [topicFilter] });
  }

  #sendPublish(messageId: number, message: SentMessage, dup: boolean): void {
    const { topicName: topic, payload, qos, retain } = message;
    this.send({ cmd: 'publish', messageId, topic, payload, qos, retain, dup });
  }

  protected send(packet: Packet): void {
    this.#socket?.write(generate(packet, { protocolVersion: this.options.version }));
  }

  #nextPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % 65_535) + 1;
    while (this.#outgoing.has(this.#lastPacketId) || this.#pending.has(this.#lastPacketId));
    return this.#lastPacketId;
  }

  // ---- receiving

  #onPacket(packet: Packet): void {
    const messageId = packet.messageId ?? 0;
    switch (packet.cmd) {
      case 'connack':
        this.#onConnack(packet);
        break;
      case 'publish':
        this.#onPublish(packet);
        break;
      case 'pubrel':
        this.#onPubrel(messageId);
        break;
      case 'puback':
      case 'pubrec':
        this.#onTaken(packet.cmd, messageId, packet.reasonCode ?? 0);
        break;
      case 'pubcomp':
        if (this.#outgoing.get(messageId)?.state !== 'released') this.#fault(`PUBCOMP for ${messageId}`);
        this.#outgoing.delete(messageId);
        break;
      case 'suback':
      case 'unsuback':
        this.#onAnswer(packet.cmd, messageId, packet.granted as number[] | undefined);
        break;
      // DISCONNECT comes with a takeover that this device wanted, and is not read then.
      case 'disconnect':
      case 'pingresp':
      case 'auth':
      case 'connect':
      case 'subscribe':
      case 'unsubscribe':
      case 'pingreq':
        this.#fault(`got ${packet.cmd}`);
    }
    this.world.onEvent(this);
  }

  #onPublish(packet: IPublishPacket): void {
    const messageId = packet.messageId ?? 0;
    switch (packet.qos) {
      case 0:
        this.#deliver(packet);
        return;
      case 1:
        this.#deliver(packet);
        this.#answer({ cmd: 'puback', messageId });
        return;
      case 2:
        if (!this.#incoming.has(messageId)) {
          const withPublish = this.options.qos2Method !== 'A';
          this.#incoming.set(messageId, withPublish ? undefined : packet);
          if (withPublish) this.#deliver(packet);
        }
        this.#answer({ cmd: 'pubrec', messageId });
    }
  }

  #onPubrel(messageId: number): void {
    const message = this.#incoming.get(messageId);
    this.#incoming.delete(messageId);
    if (message !== undefined) this.#deliver(message);
    this.#answer({ cmd: 'pubcomp', messageId });
  }

  #deliver({ topic, qos, dup, payload }: IPublishPacket): void {
    this.world.checker.delivered(this.taker, this.clientId, {
      topicName: topic,
      qos,
      dup,
      payload: payload.toString(),
    });
  }

  /** Answers, in order; now and then all answers wait for a while, so that crashes find something in flight. */
  #answer(packet: Packet): void {
    const { random } = this.world;
    if (!this.#holding && random.chance(0.05)) {
      this.#holding = true;
      setTimeout(() => {
        this.#release();
        this.world.onEvent(this);
      }, random.below(HELD_MS)).unref();
    }
    this.#held.push(packet);
    if (!this.#holding || this.#held.length >= HELD_MAX) this.#release();
  }

  #release(): void {
    this.#holding = false;
    const held = this.#held;
    this.#held = [];
    for (const packet of held) this.send(packet);
  }

  #onTaken(cmd: 'puback' | 'pubrec', messageId: number, reasonCode: number): void {
    const outgoing = this.#outgoing.get(messageId);
    const qos = cmd === 'puback' ? 1 : 2;
    if (reasonCode === QUOTA_EXCEEDED && outgoing?.state === 'sent') {
      this.#outgoing.delete(messageId);
      this.world.onRefused(this, `${cmd} with ${reasonCode}`);
      return;
    }
    if (outgoing === undefined || outgoing.message.qos !== qos || outgoing.state !== 'sent' || reasonCode >= 0x80) {
      this.#fault(`${cmd} for ${messageId} with ${reasonCode}, which is ${outgoing?.state ?? 'not outstanding'}`);
      return;
    }
    const { publisher, sequence } = outgoing.message;
    this.world.checker.acknowledged(publisher, sequence);
    if (qos === 1) {
      this.#outgoing.delete(messageId);
      return;
    }
    outgoing.state = 'released';
    this.send({ cmd: 'pubrel', messageId });
  }

  #onAnswer(cmd: 'suback' | 'unsuback', messageId: number, codes: readonly number[] | undefined): void {
    const pending = this.#pending.get(messageId);
    this.#pending.delete(messageId);
    if (pending === undefined || (cmd === 'suback') !== (pending.kind === 'subscribe')) {
      this.#fault(`${cmd} for ${messageId}`);
      return;
    }
    const { wish } = pending;
    if (pending.kind === 'subscribe') {
      if (codes?.[0] !== wish.qos) this.#fault(`SUBACK with ${codes?.[0]}`);
      this.granted.set(wish.topicFilter, wish);
      this.world.checker.subscribed(this.taker, wish.topicFilter.replace(/^\$share\/[^/]+\//, ''));
    } else {
      this.granted.delete(wish.topicFilter);
      this.world.checker.unsubscribed(this.taker, wish.topicFilter);
    }
  }

  #fault(text: string): void {
    this.world.checker.violated('liveness', `${this.clientId}: ${text}`);
  }
}

function parse(parser: Parser, chunk: Buffer): void {
  parser.parse(chunk);
}
