import { Framer } from '../../src/protocol/framer.ts';
import { decodePacket, encodePacket } from '../../src/protocol/codec.ts';
import {
  type AckPacket,
  type ConnackPacket,
  type Packet,
  PacketType,
  type Properties,
  type ProtocolVersion,
  type PublishPacket,
  type Qos,
  type Will,
} from '../../src/protocol/packets.ts';
import type { ByteStreamHandler } from '../../src/transport/byte-stream.ts';
import type { FakeStream } from '../fakes/fake-network.ts';
import { Receiver } from './receiver.ts';
import type { World } from './world.ts';

/** What a client is like, all of its life. */
export interface Character {
  readonly clientId: string;
  readonly version: ProtocolVersion;
  /** Seconds; 0 for a session that ends with its connection, Infinity for one that never does. */
  readonly expirySeconds: number;
  readonly receiveMaximum: number;
  readonly maximumPacketSize: number;
  readonly topicAliasMaximum: number;
  /** Seconds, 0 for none. */
  readonly keepAlive: number;
  /** Acknowledgements it lets wait. */
  readonly patience: number;
  /** Whether its session must outlast the run. */
  readonly isSteady: boolean;
}

/** Where a client connects: the node, and its end of the connection. */
export interface Place {
  readonly stream: FakeStream;
  /** The node; always the same where there is one. */
  readonly at: string;
}

/** What a client asks to be published. */
export interface Publication {
  topicName: string;
  qos: Qos;
  retain?: boolean;
  /** Bytes the payload is filled up to. */
  length?: number;
  expirySeconds?: number;
  isEmpty?: boolean;
}

interface Outgoing {
  packet: PublishPacket;
  /** As which it was sent first. */
  publisher: string;
  sequence: number;
  isReleased: boolean;
}

interface ArmedWill {
  sequence: number;
  delaySeconds: number;
}

/** Publishes a client has unacknowledged at most. */
const OUTGOING_MAX = 20;

/** What has waited while a client did not read has arrived after this long, ms. */
const BACKLOG_MS = 1000;

/** For so long a CONNECT that was given up may be dealt with by another node, ms. */
const RIVAL_MS = 30_000;

/** A client with honest state machines that outlive its connections, and no more trust in the broker than needed. */
export class SimulatedClient {
  readonly character: Character;
  readonly #world: World;
  readonly #receiver: Receiver;
  state: 'offline' | 'connecting' | 'connected' = 'offline';
  stream: FakeStream | undefined = undefined;
  /** The connection that a CONNECT without an answer was to take over from. */
  #former: FakeStream | undefined = undefined;
  #framer: Framer = new Framer(1);
  /** Whether the broker has its session, as far as it can know. */
  #session: 'none' | 'present' | 'unknown' = 'none';
  /** When the broker last gave a sign of life, ms since the epoch. */
  #heardAt = 0;
  /** Bytes that arrive before may have been long on their way, and are no sign of life; ms since the epoch. */
  #freshFrom = 0;
  /** The same, when it connected. */
  #awaySince = 0;
  #incarnation = 1;
  /** Of the session it has or asks for. */
  #expirySeconds = 0;
  #connectsClean = false;
  /** A clean CONNECT without an answer has to be repeated. */
  #mustClean = false;
  /** How it ends: `unsure` is a clean DISCONNECT that may have been lost, `refused` was said by the broker. */
  #end: 'open' | 'clean' | 'unclean' | 'unsure' | 'refused' = 'open';
  /** Where it is connected, or was last. */
  at = '';
  /** How often it has gone elsewhere. */
  #stay = 0;
  /** Another node may still deal with a CONNECT it has given up, and take the client id over, until then; ms since the epoch. */
  #rivalUntil = 0;
  #sequence = 0;
  #nextPacketId = 1;
  readonly #outgoing: Map<number, Outgoing> = new Map();
  readonly #asked: Map<number, { type: 'subscribe' | 'unsubscribe'; topicFilter: string }> = new Map();
  /** Topic filters this session ever asked for. */
  readonly filters: Map<string, Qos> = new Map();
  /** Those of them it has not left. */
  readonly #current: Set<string> = new Set();
  /** Topic filters that were granted, by any of its sessions. */
  readonly granted: Set<string> = new Set();
  #aliasMax = 0;
  #serverReceiveMaximum = OUTGOING_MAX;
  readonly #aliases: Map<string, number> = new Map();
  #will: ArmedWill | undefined = undefined;
  #reviewed: ReturnType<World['wills']['reconnecting']> = [];
  #lastSent = 0;
  /** Whether this connection ever was quiet for longer than its keep alive. */
  #wasSilent = false;
  #arrivedBytes = 0;
  isSilent = false;

  constructor(world: World, character: Character) {
    this.#world = world;
    this.character = character;
    this.#receiver = new Receiver(world, character, (packet) => this.send(packet));
  }

  get clientId(): string {
    return this.character.clientId;
  }

  /** Name of its session, a new one each time the broker made one. */
  get taker(): string {
    return `${this.clientId}#${this.#incarnation}`;
  }

  /** Wills have an order of their own. */
  get #willPublisher(): string {
    return `${this.clientId}'s will`;
  }

  /** Its messages are in order as long as it publishes on one node: on each it counts as another publisher. */
  get #publisher(): string {
    return this.#stay === 0 ? this.clientId : `${this.clientId}~${this.#stay}`;
  }

  /** Whether it may send: connected, and not after DISCONNECT. */
  get #isOpen(): boolean {
    return this.state === 'connected' && this.#end === 'open';
  }

  /** Whether everything it asked for is answered. */
  get isAtRest(): boolean {
    return this.#outgoing.size === 0 && this.#asked.size === 0 && this.#receiver.owed === 0;
  }

  // ---- what the driver has it do

  /** Connects, from whatever state it is in; a connection it has is taken over. */
  connect(to: Place, cleanStart: boolean, will: Publication | undefined, delaySeconds: number): void {
    const { stream, at } = to;
    if (this.state === 'connecting') this.vanish();
    const former = this.stream;
    this.#lost();
    this.#former = former;
    if (at !== this.at && this.at !== '') this.#stay += 1;
    this.at = at;
    const clean = cleanStart || this.#mustClean || this.#mayMeetAnother;
    const { character, clientId } = this;
    const { version, expirySeconds } = character;
    this.#connectsClean = clean || (version < 5 && expirySeconds === 0);
    // In 3.x a clean session also ends with its connection.
    this.#expirySeconds = version < 5 && this.#connectsClean ? 0 : expirySeconds;
    if (this.#connectsClean) {
      this.#newSession();
      this.#mustClean = true;
    }
    this.#reviewed = this.#world.wills.reconnecting(this.#willPublisher);
    this.state = 'connecting';
    this.#end = 'open';
    this.isSilent = false;
    this.#framer = new Framer(Math.max(character.maximumPacketSize, 100));
    this.stream = stream;
    this.#arrivedBytes = 0;
    this.#awaySince = this.#heardAt;
    this.#freshFrom = 0;
    stream.attach(this.#handlerOf(stream));
    this.#world.note(
      `${clientId} CONNECT ${at} clean ${this.#connectsClean} will ${will?.qos} after ${delaySeconds} s`,
    );
    const packet: Packet = {
      type: PacketType.connect,
      protocolVersion: version,
      cleanStart: this.#connectsClean,
      keepAlive: character.keepAlive,
      clientId,
      properties: version === 5 ? this.#connectProperties() : {},
    };
    if (will !== undefined) packet.will = this.#armWill(will, delaySeconds);
    this.#wasSilent = false;
    this.#lastSent = this.#world.clock.now();
    this.#write(packet);
  }

  /** Publishes, if it may have another message on its way. */
  publish(publication: Publication): void {
    const { topicName, qos, retain = false, expirySeconds } = publication;
    if (!this.#isOpen) return;
    if (qos > 0 && this.#outgoing.size >= Math.min(OUTGOING_MAX, this.#serverReceiveMaximum)) return;
    const sequence = this.#sequence++;
    const payload = publication.isEmpty === true ? '' : this.#payload(sequence, publication.length);
    const isExcused = expirySeconds !== undefined || payload.length > 100 || topicName.startsWith('n/');
    this.#tellSent(sequence, payload, publication, false, isExcused);
    const packetId = qos === 0 ? 0 : this.#packetId();
    const properties: Properties = expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds };
    const packet: PublishPacket = {
      type: PacketType.publish,
      dup: false,
      qos,
      retain,
      topicName,
      packetId,
      payload: Buffer.from(payload),
      properties: this.character.version === 5 ? properties : {},
    };
    if (qos > 0) this.#outgoing.set(packetId, { packet, publisher: this.#publisher, sequence, isReleased: false });
    this.send(this.#withAlias(packet));
  }

  subscribe(topicFilter: string, qos: Qos, noLocal = false): void {
    if (!this.#isOpen || this.#asked.size > 0) return;
    this.filters.set(topicFilter, qos);
    this.#current.add(topicFilter);
    const { taker } = this;
    if (qos !== 0 && !topicFilter.startsWith('$share/'))
      this.#world.history.tell((checker) => checker.subscribing(taker, topicFilter, qos));
    const packetId = this.#packetId();
    this.#asked.set(packetId, { type: 'subscribe', topicFilter });
    const request = { topicFilter, qos, noLocal, retainAsPublished: false, retainHandling: 0 } as const;
    this.send({ type: PacketType.subscribe, packetId, subscriptions: [request], properties: {} });
  }

  unsubscribe(topicFilter: string): void {
    const qos = this.filters.get(topicFilter);
    if (!this.#isOpen || qos === undefined || !this.#current.has(topicFilter) || this.#asked.size > 0) return;
    const { taker } = this;
    if (qos > 0 && !topicFilter.startsWith('$share/'))
      this.#world.history.tell((checker) => checker.unsubscribing(taker, topicFilter));
    const packetId = this.#packetId();
    this.#asked.set(packetId, { type: 'unsubscribe', topicFilter });
    this.send({ type: PacketType.unsubscribe, packetId, topicFilters: [topicFilter], properties: {} });
  }

  /** Ends the connection with DISCONNECT, or with the will where `withWill`. */
  disconnect(withWill: boolean): void {
    if (!this.#isOpen || this.stream === undefined) return;
    const reasonCode = withWill && this.character.version === 5 ? 0x04 : 0;
    this.send({ type: PacketType.disconnect, reasonCode, properties: {} });
    this.#end = reasonCode === 0 ? 'clean' : 'unclean';
    // From here on the broker may have let go, whatever still arrives.
    this.#freshFrom = Number.POSITIVE_INFINITY;
    this.stream.end();
  }

  /** Goes without a word. */
  vanish(): void {
    if (this.#end === 'clean') this.#end = 'unsure';
    else if (this.#end === 'open') this.#end = 'unclean';
    // A CONNECT still on its way could arrive after the next one, and take over from it.
    if (this.state === 'connecting') this.stream?.reset();
    else this.stream?.destroy();
  }

  /** Stops reading, or goes on with what has waited. */
  stall(isStalled: boolean): void {
    this.stream?.stall(isStalled);
    if (isStalled) this.#freshFrom = Number.POSITIVE_INFINITY;
    else if (this.#end === 'open' && this.#freshFrom === Number.POSITIVE_INFINITY)
      this.#freshFrom = this.#world.clock.now() + BACKLOG_MS;
  }

  /** Has the network cut the connection after so many more bytes. */
  cutAfter(bytes: number): void {
    this.stream?.cutAfter(this.#arrivedBytes + bytes);
  }

  /** Does what is due: acknowledgements, and PINGREQ when it has been quiet for half its keep alive. */
  turn(): void {
    if (!this.#isOpen || this.isSilent) return;
    this.#receiver.answer(this.#world.random.below(this.character.patience + 1));
    const { keepAlive } = this.character;
    if (keepAlive > 0 && this.#world.clock.now() - this.#lastSent >= keepAlive * 500)
      this.send({ type: PacketType.pingreq });
  }

  /** Acknowledges all there is. */
  answerAll(): void {
    if (this.#isOpen) this.#receiver.answer(0);
  }

  send(packet: Packet): void {
    const { clientId } = this;
    const id = 'packetId' in packet ? ` ${packet.packetId}` : '';
    this.#world.note(`${clientId} > ${packet.type}${id}${startOf(packet)}`);
    this.#write(packet);
  }

  // ---- what the network tells it

  /** Hears of a connection as long as it is the one it has; of an older one it only answers the end. */
  #handlerOf(stream: FakeStream): ByteStreamHandler {
    return {
      onBytes: (chunk) => {
        if (this.stream === stream) this.#onBytes(chunk);
      },
      onDrain() {},
      onEnd: () => {
        if (this.stream === stream) this.#onEnd();
        stream.end();
      },
      onClose: (error) => {
        if (this.stream === stream) this.#onClose(error);
      },
    };
  }

  #onBytes(chunk: Buffer): void {
    const { stream } = this;
    this.#arrivedBytes += chunk.length;
    // Half a CONNACK tells nothing of a session.
    if (this.state === 'connected') this.#noteLife();
    this.#framer.push(chunk);
    try {
      while (this.stream === stream && this.state !== 'offline' && this.#framer.next())
        this.#onPacket(decodePacket(this.#framer, this.character.version));
    } catch (error) {
      this.#world.violated('liveness', `${this.clientId} got what it cannot read: ${String(error)}`);
      this.vanish();
    }
  }

  #noteLife(): void {
    const now = this.#world.clock.now();
    if (now >= this.#freshFrom) this.#heardAt = now;
  }

  #onEnd(): void {
    if (this.#end === 'open' && !this.#mayBeClosed)
      this.#world.violated('liveness', `${this.clientId} was closed in state ${this.state}`);
  }

  #onClose(error: Error | undefined): void {
    if (this.#end === 'clean' && this.#will !== undefined) {
      if (error === undefined)
        this.#world.wills.endedCleanly(this.#willPublisher, this.#will.sequence, this.#world.clock.now());
      this.#will = undefined;
    }
    this.#lost();
  }

  /** The session is over as far as the run is concerned. */
  excuse(): void {
    this.#world.history.excuseTaker(this.taker);
  }

  #onPacket(packet: Packet): void {
    const id = 'packetId' in packet ? ` ${packet.packetId}` : '';
    const present = packet.type === PacketType.connack ? ` ${packet.reasonCode} ${packet.sessionPresent}` : '';
    this.#world.note(`${this.clientId} < ${packet.type}${id}${startOf(packet)}${present}`);
    if (packet.type === PacketType.connack) {
      this.#onConnack(packet);
      return;
    }
    if (this.state !== 'connected') {
      this.#world.violated('liveness', `${this.clientId} got packet type ${packet.type} before CONNACK`);
      return;
    }
    switch (packet.type) {
      case PacketType.publish:
        this.#receiver.onPublish(packet, this.taker, this.filters);
        return;
      case PacketType.pubrel:
        this.#receiver.onPubrel(packet.packetId);
        return;
      case PacketType.puback:
      case PacketType.pubrec:
      case PacketType.pubcomp:
        this.#onAck(packet);
        return;
      case PacketType.suback:
      case PacketType.unsuback:
        this.#onAnswer(packet.packetId, packet.reasonCodes);
        return;
      case PacketType.disconnect:
        if (!this.#mayBeClosed)
          this.#world.violated('liveness', `${this.clientId} was told to go: ${packet.reasonCode}`);
        return;
      case PacketType.pingresp:
        return;
      case PacketType.connect:
      case PacketType.subscribe:
      case PacketType.unsubscribe:
      case PacketType.pingreq:
      case PacketType.auth:
        this.#world.violated('liveness', `${this.clientId} got packet type ${packet.type}`);
    }
  }

  #onConnack(packet: ConnackPacket): void {
    const { clientId } = this;
    const { reasonCode, properties } = packet;
    const isRoomless = reasonCode === 0x97 || reasonCode === 3;
    const isTimeout = reasonCode === 0x88;
    const isRefused =
      reasonCode !== 0 && (this.#mayBeRefused || (this.#world.hasFullDisks && (isRoomless || isTimeout)));
    if (this.state === 'connecting' && isRefused) {
      this.#end = 'refused';
      return;
    }
    if (this.state !== 'connecting' || reasonCode !== 0) {
      this.#world.violated('liveness', `${clientId} got CONNACK ${reasonCode} in state ${this.state}`);
      return;
    }
    const expected = this.#expectsSession();
    // MQTT 3.1 does not tell: its clients have to believe.
    const isTold = this.character.version > 3;
    const sessionPresent = isTold ? packet.sessionPresent : !this.#connectsClean && this.#session !== 'none';
    this.#world.history.tell((checker) =>
      checker.connected(clientId, packet.sessionPresent, isTold ? expected : false),
    );
    if (!sessionPresent && !this.#connectsClean) this.#newSession();
    this.#mustClean = false;
    this.#session = 'present';
    this.state = 'connected';
    this.#former = undefined;
    this.#noteLife();
    this.#world.wills.reconnected(this.#reviewed, sessionPresent, this.#world.clock.now());
    this.#reviewed = [];
    this.#aliasMax = properties.topicAliasMaximum ?? 0;
    this.#serverReceiveMaximum = properties.receiveMaximum ?? 65_535;
    this.#aliases.clear();
    this.#receiver.connected();
    for (const { packet: publish, publisher, isReleased, sequence } of this.#outgoing.values()) {
      const { packetId, qos } = publish;
      // On a full disk a QoS 2 message may have been refused, and is as good as new.
      const isAsNew = qos === 1 || this.#world.hasFullDisks || publisher !== this.#publisher;
      if (isAsNew) this.#world.sentAgain.add(`${sequence} of ${publisher}`).add(`${sequence} of ${clientId}`);
      if (qos === 1 && publish.payload.length === 0) this.#world.sentAgain.add(`nothing on ${publish.topicName}`);
      if (isReleased) this.send({ type: PacketType.pubrel, packetId, reasonCode: 0, properties: {} });
      else this.send(this.#withAlias({ ...publish, dup: true }));
    }
  }

  #onAck({ type, packetId, reasonCode }: AckPacket): void {
    const outgoing = this.#outgoing.get(packetId);
    const { clientId } = this;
    const qos = type === PacketType.puback ? 1 : 2;
    if (
      outgoing === undefined ||
      outgoing.packet.qos !== qos ||
      outgoing.isReleased !== (type === PacketType.pubcomp)
    ) {
      // PUBREC again for what was sent again is answered again.
      if (outgoing?.isReleased === true && type === PacketType.pubrec) this.#release(packetId);
      else this.#world.violated('liveness', `${clientId} got packet type ${type} for id ${packetId}`);
      return;
    }
    if (reasonCode < 0x80 && type !== PacketType.pubcomp)
      this.#world.history.acknowledged(outgoing.publisher, outgoing.sequence);
    if (reasonCode < 0x80 && type === PacketType.pubrec) {
      outgoing.isReleased = true;
      this.#release(packetId);
    } else {
      this.#outgoing.delete(packetId);
    }
  }

  #release(packetId: number): void {
    this.send({ type: PacketType.pubrel, packetId, reasonCode: 0, properties: {} });
  }

  #onAnswer(packetId: number, reasonCodes: readonly number[]): void {
    const asked = this.#asked.get(packetId);
    if (asked === undefined) {
      this.#world.violated('liveness', `${this.clientId} got an answer to ${packetId}`);
      return;
    }
    this.#asked.delete(packetId);
    const { topicFilter, type } = asked;
    const qos = this.filters.get(topicFilter) as Qos;
    const { taker } = this;
    if (type === 'subscribe' && reasonCodes[0] !== qos) {
      if (!this.#world.hasFullDisks || (reasonCodes[0] as number) < 0x80)
        this.#world.violated('liveness', `${taker} was granted ${reasonCodes[0]} for ${topicFilter}`);
      return;
    }
    if (type === 'subscribe') this.granted.add(topicFilter);
    else this.#current.delete(topicFilter);
    if (qos === 0 || topicFilter.startsWith('$share/')) return;
    if (type === 'subscribe') this.#world.history.subscribed(taker, topicFilter);
    else this.#world.history.tell((checker) => checker.unsubscribed(taker, topicFilter));
  }

  // ---- its own state

  /** Whether the broker may have a reason to close the connection. */
  get #mayBeClosed(): boolean {
    this.#noteSilence();
    // A session that cannot be stored gets no CONNACK.
    const isRoomless = this.#world.hasFullDisks && this.state === 'connecting';
    return this.#mayBeRefused || this.isSilent || this.#wasSilent || isRoomless;
  }

  /** Whether its node may be going down, or another one may take its client id over. */
  get #mayBeRefused(): boolean {
    const { isGoingDown, unsteady, clock } = this.#world;
    if (isGoingDown || unsteady.has(this.at)) return true;
    return unsteady.size > 0 && this.state === 'connecting' ? true : clock.now() < this.#rivalUntil;
  }

  /** A session made by a CONNECT without an answer may have followed the one it knows, which has expired. */
  get #mayMeetAnother(): boolean {
    const awayMs = this.#world.clock.now() - this.#heardAt;
    return this.#session === 'unknown' && awayMs >= this.character.expirySeconds * 1000 - 1000;
  }

  #expectsSession(): boolean | undefined {
    if (this.#connectsClean || this.#session === 'none') return false;
    if (this.#session === 'unknown') return undefined;
    const awayMs = this.#world.clock.now() - this.#awaySince;
    return awayMs < this.#expirySeconds * 1000 - 1000 ? true : undefined;
  }

  /** The connection is gone, by whatever end. */
  #lost(): void {
    if (this.state === 'offline') return;
    const expirySeconds = this.#expirySeconds;
    const now = this.#world.clock.now();
    this.#world.note(`${this.clientId} lost in state ${this.state}`);
    // Whether a broker that is not heard of any more has read a DISCONNECT cannot be known.
    const isUnclean = this.#end === 'open' || this.#end === 'unclean';
    // A CONNECT that another node still deals with resumes the session in place of this connection, and drops the will.
    const hasRival = this.#stay > 0 && now < this.#rivalUntil;
    if (this.state === 'connected' && this.#will !== undefined && isUnclean && !hasRival) {
      const { sequence, delaySeconds } = this.#will;
      this.#world.wills.lost(this.#willPublisher, sequence, Math.min(delaySeconds, expirySeconds) * 1000, {
        heardAt: this.#heardAt,
        now,
      });
    }
    if (this.state === 'connecting') {
      this.#rivalUntil = now + RIVAL_MS;
      this.#former?.destroy();
    }
    if (this.state === 'connecting')
      this.#session = this.#session === 'none' && expirySeconds === 0 ? 'none' : 'unknown';
    else if (expirySeconds === 0) this.#session = 'none';
    if (expirySeconds === 0) this.#newSession();
    this.#will = undefined;
    this.#asked.clear();
    this.state = 'offline';
    this.stream = undefined;
  }

  #newSession(): void {
    this.excuse();
    this.#incarnation += 1;
    this.filters.clear();
    this.#current.clear();
    this.#outgoing.clear();
    this.#receiver.forget();
  }

  #armWill(will: Publication, delaySeconds: number): Will {
    const sequence = this.#sequence++;
    const payload = this.#payload(sequence, undefined);
    this.#tellSent(sequence, payload, will, true, this.#world.hasFullDisks);
    if (will.qos > 0) this.#will = { sequence, delaySeconds: this.character.version === 5 ? delaySeconds : 0 };
    const properties: Properties =
      this.character.version === 5 && delaySeconds > 0 ? { willDelayInterval: delaySeconds } : {};
    const { topicName, qos } = will;
    return { topicName, payload: Buffer.from(payload), qos, retain: false, properties };
  }

  #tellSent(sequence: number, payload: string, publication: Publication, isWill: boolean, isExcused: boolean): void {
    const publisher = isWill ? this.#willPublisher : this.#publisher;
    const { topicName, qos, retain = false } = publication;
    this.#world.sent(payload, { publisher, sequence: isWill ? -1 : sequence, topicName, qos });
    if (qos === 0) return;
    this.#world.history.tell((checker) =>
      checker.sent({ publisher, sequence, topicName, qos, retain, payload, isWill }),
    );
    if (isExcused || this.#world.isLossy) this.#world.history.excuseMessage(publisher, sequence);
  }

  #connectProperties(): Properties {
    const { expirySeconds, receiveMaximum, maximumPacketSize, topicAliasMaximum } = this.character;
    const sessionExpiryInterval = expirySeconds === Number.POSITIVE_INFINITY ? 0xffff_ffff : expirySeconds;
    return { sessionExpiryInterval, receiveMaximum, maximumPacketSize, topicAliasMaximum };
  }

  #payload(sequence: number, length = 0): string {
    return `${this.clientId}:${sequence}`.padEnd(length, '.');
  }

  #packetId(): number {
    do this.#nextPacketId = (this.#nextPacketId % 65_535) + 1;
    while (this.#outgoing.has(this.#nextPacketId) || this.#asked.has(this.#nextPacketId));
    return this.#nextPacketId;
  }

  /** With a topic alias where the broker takes any: the name goes along the first time. */
  #withAlias(packet: PublishPacket): PublishPacket {
    if (this.character.version < 5 || this.#aliasMax === 0) return packet;
    const { topicName, properties } = packet;
    const known = this.#aliases.get(topicName);
    if (known !== undefined) return { ...packet, topicName: '', properties: { ...properties, topicAlias: known } };
    if (this.#aliases.size >= this.#aliasMax) return packet;
    const topicAlias = this.#aliases.size + 1;
    this.#aliases.set(topicName, topicAlias);
    return { ...packet, properties: { ...properties, topicAlias } };
  }

  #noteSilence(): void {
    const { keepAlive } = this.character;
    if (keepAlive > 0 && this.#world.clock.now() - this.#lastSent >= keepAlive * 1000) this.#wasSilent = true;
  }

  #write(packet: Packet): void {
    this.#noteSilence();
    this.#lastSent = this.#world.clock.now();
    this.stream?.write(encodePacket(packet, this.character.version));
  }
}

/** What tells a message apart in the trace. */
function startOf(packet: Packet): string {
  return packet.type === PacketType.publish ? ` ${Buffer.from(packet.payload.subarray(0, 12)).toString()}` : '';
}
