import { expect } from 'vitest';
import { decodePacket, encodePacket } from '../../src/protocol/codec.ts';
import { Framer } from '../../src/protocol/framer.ts';
import {
  type AckPacket,
  type ConnackPacket,
  type DisconnectPacket,
  type Packet,
  PacketType,
  type PingPacket,
  type Properties,
  type ProtocolVersion,
  type PublishPacket,
  type Qos,
  type SubackPacket,
  type SubscriptionRequest,
  type UnsubackPacket,
} from '../../src/protocol/packets.ts';
import type { ClientSocket, ClientSocketHandler } from './client-socket.ts';
import { connectPacket, type RawConnectOptions } from './connect-packet.ts';
import { describePacket, PACKET_NAMES } from './packet-text.ts';
import { ServerRules } from './server-rules.ts';

const WAIT_MS = 20_000;

/** The packet that bears this type. */
export type PacketOf<T extends PacketType> = T extends AckPacket['type']
  ? AckPacket
  : T extends PingPacket['type']
    ? PingPacket
    : Extract<Packet, { type: T }>;

/** How to publish; QoS 0, not retained, without properties by default. */
export interface RawPublishOptions {
  qos?: Qos;
  retain?: boolean;
  dup?: boolean;
  packetId?: number;
  properties?: Properties;
}

/** A topic filter with its options; what is left out is QoS 0 and 0. */
export type RawSubscription = Partial<SubscriptionRequest> & { topicFilter: string };

/** What to look for in a PUBLISH; what is left out may be anything. The payload is compared as text where given so. */
export interface PublishExpectation {
  topicName?: string;
  payload?: string | Uint8Array;
  qos?: Qos;
  retain?: boolean;
  dup?: boolean;
  packetId?: number;
  properties?: Properties;
}

/** How the broker closed a connection. */
export interface CloseReport {
  /** The DISCONNECT it sent before, MQTT 5.0 only. */
  disconnect: DisconnectPacket | undefined;
  /** Whether the connection was broken off (reset) instead of ended. */
  reset: boolean;
}

/**
 * A client that sends whatever bytes a test wants, and is strict about everything the broker sends: each packet is
 * decoded strictly and held against `ServerRules`; what breaks them fails the test, at the latest when its broker closes.
 *
 * Methods named `expect...` are assertions: they go through vitest's `expect` and count. The others (`connect`,
 * `subscribe`, `publish`, `unsubscribe`, `disconnect`) prepare a test; they throw when the broker refuses, but do not
 * count as assertions.
 */
export class RawClient implements ClientSocketHandler {
  /** Client id used by default. */
  readonly name: string;
  /** Protocol version it encodes and decodes. */
  readonly version: ProtocolVersion;
  /** CONNACK of the last `connect`. */
  connack: ConnackPacket | undefined;
  /** Told of the first byte of each packet before it is decoded. */
  onHeader: ((firstByte: number) => void) | undefined;
  /** With several nodes: waits until all of them have done what any has taken so far. */
  settle: (() => Promise<void>) | undefined;
  /** With a store in Redis: waits until the retained messages of a subscription are on their way. */
  settleSubscription: (() => Promise<void>) | undefined;
  #socket: ClientSocket | undefined;
  #framer = new Framer(268_435_460);
  #rules: ServerRules;
  #inbox: Packet[] = [];
  #violation: string | undefined;
  #closed = false;
  #reset = false;
  #destroyed = false;
  #wakers = new Set<() => void>();
  #lastPacketId = 0;

  constructor(name: string, version: ProtocolVersion) {
    this.name = name;
    this.version = version;
    this.#rules = new ServerRules(version);
  }

  /** Takes the opened socket over; called once by whoever opened it with this client as the handler. */
  attach(socket: ClientSocket): this {
    this.#socket = socket;
    return this;
  }

  /** What the broker did against the rules of the protocol so far; undefined for nothing. */
  get violation(): string | undefined {
    return this.#violation;
  }

  /** Whether the connection is closed, by whichever side. */
  get closed(): boolean {
    return this.#closed;
  }

  onBytes(chunk: Buffer): void {
    if (this.#destroyed || this.#violation !== undefined) return;
    try {
      this.#framer.push(chunk);
      while (this.#framer.next()) {
        this.onHeader?.(this.#framer.header);
        const packet = decodePacket(this.#framer, this.version);
        this.#rules.check(packet);
        this.#inbox.push(packet);
      }
    } catch (error) {
      this.#violation = `${this.name} got from the broker what it must not send: ${String(error)}`;
    }
    this.#wake();
  }

  onClose(reset: boolean): void {
    this.#closed = true;
    this.#reset = reset;
    if (!this.#destroyed && this.#framer.pendingBytes > 0) this.#violation ??= `${this.name} got half a packet`;
    this.#wake();
  }

  // ---- sending

  /** Sends a packet, or bytes as they are. */
  send(packet: Packet | Uint8Array): void {
    if (this.#socket === undefined) throw new Error(`${this.name} has no socket`);
    this.#socket.write(packet instanceof Uint8Array ? packet : encodePacket(packet, this.version));
  }

  /** Sends bytes written in hex; blanks are ignored. */
  sendRaw(hex: string): void {
    const digits = hex.replaceAll(/\s/g, '');
    if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hex: ${hex}`);
    this.send(Buffer.from(digits, 'hex'));
  }

  /** Sends CONNECT without waiting. */
  sendConnect(options: RawConnectOptions = {}): void {
    this.send(connectPacket(this.version, this.name, options));
  }

  /** Sends PUBLISH without waiting. @returns its packet id, 0 with QoS 0. */
  sendPublish(topicName: string, payload: string | Uint8Array, options: RawPublishOptions = {}): number {
    const qos = options.qos ?? 0;
    const packetId = qos === 0 ? 0 : (options.packetId ?? this.nextPacketId());
    this.send({
      type: PacketType.publish,
      dup: options.dup ?? false,
      qos,
      retain: options.retain ?? false,
      topicName,
      packetId,
      payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
      properties: options.properties ?? {},
    });
    return packetId;
  }

  /** Sends PUBACK, PUBREC, PUBREL or PUBCOMP. */
  sendAck(type: AckPacket['type'], packetId: number, reasonCode = 0): void {
    this.send({ type, packetId, reasonCode, properties: {} });
  }

  /** Sends SUBSCRIBE without waiting. @returns its packet id. */
  sendSubscribe(
    filters: string | readonly (string | RawSubscription)[],
    qos: Qos = 0,
    properties: Properties = {},
  ): number {
    const packetId = this.nextPacketId();
    const subscriptions = (typeof filters === 'string' ? [filters] : filters).map((filter) => ({
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
      ...(typeof filter === 'string' ? { topicFilter: filter } : filter),
    }));
    this.send({ type: PacketType.subscribe, packetId, subscriptions, properties });
    return packetId;
  }

  /** Sends UNSUBSCRIBE without waiting. @returns its packet id. */
  sendUnsubscribe(filters: string | readonly string[], properties: Properties = {}): number {
    const packetId = this.nextPacketId();
    const topicFilters = typeof filters === 'string' ? [filters] : [...filters];
    this.send({ type: PacketType.unsubscribe, packetId, topicFilters, properties });
    return packetId;
  }

  /** A packet id this client did not use recently: 1, 2, 3 and so on, in a circle. */
  nextPacketId(): number {
    this.#lastPacketId = (this.#lastPacketId % 65_535) + 1;
    return this.#lastPacketId;
  }

  // ---- preparing: throws when refused, counts as no assertion

  /** Connects. @throws Error when the broker refuses. */
  async connect(options: RawConnectOptions = {}): Promise<ConnackPacket> {
    this.sendConnect(options);
    const connack = await this.#take(PacketType.connack);
    this.connack = connack;
    if (connack.reasonCode !== 0) throw new Error(`${this.name} was refused: 0x${connack.reasonCode.toString(16)}`);
    return connack;
  }

  /** Subscribes to one or several filters and waits for SUBACK. @throws Error when the broker refuses one of them. */
  async subscribe(
    filters: string | readonly (string | RawSubscription)[],
    qos: Qos = 0,
    properties: Properties = {},
  ): Promise<SubackPacket> {
    const packetId = this.sendSubscribe(filters, qos, properties);
    const suback = await this.#take(PacketType.suback, packetId);
    if (suback.reasonCodes.some((code) => code >= 0x80)) throw new Error(`refused: ${describePacket(suback)}`);
    // What is retained comes a little later then; what is published before that may be among it.
    await this.settleSubscription?.();
    return suback;
  }

  /** Unsubscribes and waits for UNSUBACK. */
  async unsubscribe(filters: string | readonly string[]): Promise<UnsubackPacket> {
    return await this.#take(PacketType.unsuback, this.sendUnsubscribe(filters));
  }

  /**
   * Publishes and waits until the broker has taken it over: PUBACK, or PUBREC and PUBCOMP, or with QoS 0 the answer to a
   * PINGREQ sent behind it. @throws Error when the broker refuses.
   */
  async publish(topicName: string, payload: string | Uint8Array, options: RawPublishOptions = {}): Promise<void> {
    const packetId = this.sendPublish(topicName, payload, options);
    const qos = options.qos ?? 0;
    if (qos === 0) {
      await this.ping();
      await this.settle?.();
      return;
    }
    const first = await this.#take(qos === 1 ? PacketType.puback : PacketType.pubrec, packetId);
    if (first.reasonCode >= 0x80) throw new Error(`refused: ${describePacket(first)}`);
    if (qos === 2) {
      this.sendAck(PacketType.pubrel, packetId);
      await this.#take(PacketType.pubcomp, packetId);
    }
  }

  /** PINGREQ and its PINGRESP: what was sent before it has been handled. Packets that come in between stay unread. */
  async ping(): Promise<void> {
    this.send({ type: PacketType.pingreq });
    await this.#take(PacketType.pingresp);
  }

  /** Sends DISCONNECT and waits until the broker has closed the connection. */
  async disconnect(reasonCode = 0, properties: Properties = {}): Promise<void> {
    this.send({ type: PacketType.disconnect, reasonCode, properties });
    await this.#until(() => this.#closed, 'the connection to close');
  }

  /** Closes the connection at once without DISCONNECT, as a failing network does. Nothing is read afterwards. */
  destroy(): void {
    this.#destroyed = true;
    this.#socket?.destroy();
  }

  /** Stops reading until `resume`. */
  pause(): void {
    this.#socket?.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#socket?.resume();
  }

  // ---- expecting: each is an assertion

  /** The next packet, whatever it is. @throws Error when none comes within `timeoutMs` or the connection closes. */
  async next(timeoutMs: number = WAIT_MS): Promise<Packet> {
    await this.#until(() => this.#inbox.length > 0 || this.#closed, 'a packet', timeoutMs);
    const packet = this.#inbox.shift();
    if (packet === undefined) throw new Error(`${this.name}: the connection closed instead of another packet`);
    return packet;
  }

  /** Asserts that the next packet is of this type and has these fields. */
  async expect<T extends PacketType>(type: T, fields: Partial<PacketOf<T>> = {}): Promise<PacketOf<T>> {
    const packet = await this.next();
    expect(PACKET_NAMES[packet.type], `type of ${describePacket(packet)}`).toBe(PACKET_NAMES[type]);
    if (!isOfType(packet, type)) throw new Error('another type');
    expect(packet).toMatchObject(fields);
    return packet;
  }

  /** Asserts that the next packet is a CONNACK with this reason code (3.x: return code). */
  async expectConnack(reasonCode: number, sessionPresent = false): Promise<ConnackPacket> {
    return await this.expect(PacketType.connack, { reasonCode, sessionPresent });
  }

  /** Asserts that the next packet is a PUBLISH like this; acknowledges nothing. */
  async expectPublish(like: PublishExpectation = {}): Promise<PublishPacket> {
    const packet = await this.expect(PacketType.publish);
    const { payload, ...fields } = like;
    expect(packet).toMatchObject(fields);
    if (typeof payload === 'string') expect(Buffer.from(packet.payload).toString()).toBe(payload);
    else if (payload !== undefined) expect(Buffer.from(payload).equals(packet.payload)).toBe(true);
    return packet;
  }

  /** Asserts that the next packet is a PUBLISH like this, and acknowledges it to the end of its QoS. */
  async expectMessage(like: PublishExpectation = {}): Promise<PublishPacket> {
    const packet = await this.expectPublish(like);
    if (packet.qos === 1) this.sendAck(PacketType.puback, packet.packetId);
    if (packet.qos === 2) {
      this.sendAck(PacketType.pubrec, packet.packetId);
      await this.#take(PacketType.pubrel, packet.packetId);
      this.sendAck(PacketType.pubcomp, packet.packetId);
    }
    return packet;
  }

  /** Asserts that the broker has nothing more for this client: a PINGREQ is answered before anything else comes. */
  async expectNothing(): Promise<void> {
    await this.settle?.();
    this.send({ type: PacketType.pingreq });
    await this.expect(PacketType.pingresp);
  }

  /** Whether the connection is closed. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Asserts that the broker closes the connection and sends nothing before but, with MQTT 5.0, a DISCONNECT. */
  async expectClose(timeoutMs: number = WAIT_MS): Promise<CloseReport> {
    await this.#until(() => this.#closed, 'the connection to close', timeoutMs);
    const last = this.#inbox.at(-1);
    const disconnect = last?.type === PacketType.disconnect ? last : undefined;
    const before = this.#inbox.splice(0).filter((packet) => packet !== disconnect);
    expect(before.map(describePacket), 'packets before the connection closed').toEqual([]);
    return { disconnect, reset: this.#reset };
  }

  /** Asserts that the broker sends DISCONNECT with this reason code and closes (MQTT 5.0). */
  async expectDisconnect(reasonCode: number): Promise<DisconnectPacket> {
    const { disconnect } = await this.expectClose();
    expect(disconnect?.reasonCode, 'reason code of DISCONNECT').toBe(reasonCode);
    if (disconnect === undefined) throw new Error('no DISCONNECT');
    return disconnect;
  }

  // ---- waiting

  /** Takes the first packet of this type (and packet id) out of the inbox, whatever stands before it. */
  async #take<T extends PacketType>(type: T, packetId?: number): Promise<PacketOf<T>> {
    const wanted = (packet: Packet): packet is PacketOf<T> =>
      isOfType(packet, type) && (packetId === undefined || ('packetId' in packet && packet.packetId === packetId));
    const what = `${PACKET_NAMES[type]} ${packetId ?? ''}`;
    await this.#until(() => this.#inbox.some(wanted) || this.#closed, what);
    const found = this.#inbox.find(wanted);
    const inbox = this.#inbox.map(describePacket).join(', ');
    if (found === undefined) throw new Error(`${this.name}: closed while waiting for ${what}; unread: [${inbox}]`);
    this.#inbox.splice(this.#inbox.indexOf(found), 1);
    return found;
  }

  async #until(isDone: () => boolean, what: string, timeoutMs: number = WAIT_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (this.#violation !== undefined) throw new Error(this.#violation);
      if (isDone()) return;
      const left = deadline - performance.now();
      const inbox = this.#inbox.map(describePacket).join(', ');
      if (left <= 0) throw new Error(`${this.name} waited ${timeoutMs} ms for ${what}; unread: [${inbox}]`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wakers.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #wake(): void {
    const wakers = [...this.#wakers];
    this.#wakers.clear();
    for (const wake of wakers) wake();
  }
}

function isOfType<T extends PacketType>(packet: Packet, type: T): packet is PacketOf<T> {
  return packet.type === type;
}
