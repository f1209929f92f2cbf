import type { ClientInfo } from '../hooks/hooks.ts';
import type { Deadline } from '../lib/deadline-heap.ts';
import { stackText } from '../lib/error-text.ts';
import type { Admission } from '../limits/admission.ts';
import { writeAck } from '../protocol/codec.ts';
import { isDisconnectCode } from '../protocol/disconnect.ts';
import { ProtocolError, protocolError } from '../protocol/errors.ts';
import { Framer } from '../protocol/framer.ts';
import type { Message } from '../protocol/message.ts';
import {
  type AckPacket,
  type AuthPacket,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type Qos,
} from '../protocol/packets.ts';
import type { PublishFrame } from '../protocol/publish.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Link } from '../session/link.ts';
import type { Session } from '../session/session.ts';
import { type FlushWaiter, HELD_BACK_BYTES } from '../session/write-path.ts';
import type { ByteStream, ByteStreamHandler } from '../transport/byte-stream.ts';
import { AckQueue, type AckSender } from './ack-queue.ts';
import { Brake, isDrained } from './brake.ts';
import { letGo } from './connection-end.ts';
import type { ConnectionState } from './connection-state.ts';
import type { ConnectionContext } from './context.ts';
import { DeferredSteps } from './deferred-steps.ts';
import { type DisconnectReason, disconnectReasonOf } from './disconnect-reasons.ts';
import { encodeFor } from './encode-packet.ts';
import type { IncomingAliases } from './incoming-aliases.ts';
import type { ReAuthentication } from './on-auth.ts';
import { onPacket } from './on-packet.ts';
import type { OutgoingAliases } from './outgoing-aliases.ts';
import { Outbox, type OutboxOwner } from './outbox.ts';
import { refuseConnect } from './refuse-connect.ts';
import type { TopicMemory } from './topic-memory.ts';
import { undoPublishes } from './undo-publishes.ts';
import { writePublish } from './write-publish.ts';

/** A backlog of the outbox above this many bytes holds back replays. */
const CONGESTED_BYTES = 256 * 1024;
/** Bytes of answers in the outbox from which a client that does not read them is held back. */
const ANSWER_BYTES = 1024 * 1024;

/**
 * One network connection from accept to close: the only place that closes it, once, with one reason. It reads frames,
 * hands each packet to its handler, and is the session's link to the client.
 */
export class Connection implements ByteStreamHandler, Link, FlushWaiter, Deadline, AckSender, OutboxOwner {
  readonly context: ConnectionContext;
  readonly stream: ByteStream;
  readonly framer: Framer;
  readonly outbox: Outbox;
  /** The PUBLISH being handled; one object for all connections, as only one is handled at a time. */
  readonly frame: PublishFrame;
  /** Made with the first acknowledgement that has to wait. */
  #acks: AckQueue | undefined = undefined;
  state: ConnectionState = 'new';
  version: ProtocolVersion = 4;
  /** Whether a broken CONNECT said at least its version. */
  knowsVersion = false;
  /** Known from CONNECT on. */
  client: ClientInfo | undefined = undefined;
  session: Session | undefined = undefined;
  /** Counts up with each CONNECT that claims a client id. */
  epoch = 0;
  /** Client id that was claimed for it and that nothing has become of yet. */
  claimed: string | undefined = undefined;
  /** Client's Receive Maximum, section 3.1.2.11.3. */
  receiveMaximum = 65_535;
  /** Client's Maximum Packet Size, bytes. */
  maximumPacketSize: number = Number.POSITIVE_INFINITY;
  /** Whether reason strings and user properties may go with any packet [MQTT-3.1.2-29]. */
  requestProblemInformation = true;
  /** Seconds without a packet after which the client counts as gone, times 1.5 already; 0 for never. */
  keepAliveLimitMs = 0;
  outgoingAliases: OutgoingAliases | undefined = undefined;
  /** Made with the first topic alias the client sets. */
  incomingAliases: IncomingAliases | undefined = undefined;
  /** Made with the first PUBLISH. */
  topics: TopicMemory | undefined = undefined;
  /** Whether a PUBLISH has to be shown to a hook. */
  readonly asksHooks: boolean;
  /** Incoming QoS 1 and 2 publishes not finished, against our Receive Maximum. */
  unfinishedPublishes = 0;
  /** The Session Expiry Interval of CONNECT, seconds [MQTT-3.14.2-2]. */
  connectExpiryInterval = 0;
  authenticationMethod = '';
  reAuthentication: ReAuthentication | undefined = undefined;
  /** Ends it when its credentials expire; undefined for never. */
  expiry: Deadline | undefined = undefined;
  waitingFor = 0;
  at = 0;
  index = -1;
  /** What limits know of it. */
  readonly admission: Admission;
  /** Where there are rates it may send at. */
  readonly #brake: Brake | undefined;
  /** PUBLISH packets in what was read last. */
  #publishes = 0;
  #lastReceived: number;
  #deferred: DeferredSteps | undefined = undefined;
  #chunks: Buffer[] | undefined = undefined;
  #blocked = false;
  #paused = false;
  /** Bytes of everything but PUBLISH that were sent since the outbox was last empty. */
  #answerBytes = 0;
  #awaitingAuth: ((packet: AuthPacket) => void) | undefined = undefined;
  #processing = false;
  /** Set when the peer went while packets of its were still waiting: runs after those. */
  #gone: (() => void) | undefined = undefined;

  constructor(context: ConnectionContext, stream: ByteStream, admission: Admission) {
    this.context = context;
    this.stream = stream;
    this.admission = admission;
    const { settings, clock, hooks, access } = context;
    this.#brake = Brake.of(this);
    this.frame = context.frame;
    this.framer = new Framer(settings.connectBytesMax);
    this.outbox = new Outbox(stream, this, context.scheduler);
    this.asksHooks = access !== undefined || hooks.authorize !== undefined || hooks.onPublish !== undefined;
    this.#lastReceived = clock.now();
    context.connections.add(this);
    context.deadlines.schedule(this, this.#lastReceived + settings.connectTimeoutMs);
  }

  // ---- bytes in ----

  onBytes(chunk: Buffer): void {
    if (this.isOver) return;
    this.context.traffic.bytesReceived += chunk.length;
    this.#lastReceived = this.context.clock.now();
    this.outbox.hear();
    this.#brake?.hear(chunk.length);
    if (this.outbox.pendingBytes === 0) this.#answerBytes = 0;
    if (this.#blocked || this.#processing) {
      this.#chunks ??= [];
      this.#chunks.push(chunk);
      this.#holdBack();
      return;
    }
    // Whoever speaks another protocol is told by the first byte, not when what it takes for a length has come.
    if (this.state === 'new' && this.framer.pendingBytes === 0 && (chunk[0] as number) >> 4 !== PacketType.connect) {
      this.#fail(protocolError('the first packet has to be CONNECT', 'MQTT-3.1.0-1')); // [MQTT-3.1.0-1] [v3 MQTT-3.1.0-1]
      return;
    }
    this.framer.push(chunk);
    this.#publishes = 0;
    this.#process();
  }

  get packetBytesMax(): number {
    return this.framer.maximumPacketSize;
  }

  /** Time of the chunk being handled, ms since the epoch. */
  get now(): number {
    return this.#lastReceived;
  }

  /** Handles all whole packets at hand, until one has to wait for an answer. */
  #process(): void {
    const { framer } = this;
    const { traffic } = this.context;
    const before = traffic.publishesReceived;
    this.#processing = true;
    try {
      for (;;) {
        while (framer.next()) {
          const pending = onPacket(this, framer);
          if (this.isOver) return;
          if (pending !== undefined) this.#block(pending);
          if (this.#blocked) return;
        }
        const chunk = this.#chunks?.shift();
        if (chunk === undefined) break;
        framer.push(chunk);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#processing = false;
      this.#publishes += traffic.publishesReceived - before;
    }
    if (this.#chunks?.length === 0) this.#chunks = undefined;
    if (this.#gone !== undefined) this.#gone();
    else if (!this.isOver) {
      this.#brake?.take(this.#publishes);
      this.#regulate();
    }
  }

  /** Reads on, or waits for the store where requests outrun it, or for a client that does not read its answers. */
  #regulate(): void {
    const { writePath, settings } = this.context;
    const waiting = Math.max(this.#acksWaiting(), this.#stepsWaiting());
    if (writePath.openBytes > (waiting > 0 ? 1 : 2) * HELD_BACK_BYTES || waiting > settings.receiveMaximum) {
      this.#holdBack();
      writePath.wait(this);
    } else if (this.#isHeld() || (this.#answerBytes > ANSWER_BYTES && !this.outbox.hasRoomFor(ANSWER_BYTES))) {
      this.#holdBack(); // Messages have a limit of their own; here the rest of the outbox gets one. `onRoom` goes on.
    } else if (this.#paused && !this.#blocked) {
      this.#paused = false;
      this.#lastReceived = this.context.clock.now(); // It could not be heard before.
      this.stream.resume();
    }
  }

  /** Whether it has sent more than it may, or publishes while there is no memory for that. */
  #isHeld(): boolean {
    if (this.#brake?.holds === true) return true;
    const { guard } = this.context;
    if (guard.publishers === 'free' || this.#publishes === 0 || isDrained(this)) return false;
    return this.#paused || guard.memory?.holdsPublisher() === true;
  }

  /** Whether it is the broker that keeps it waiting. */
  #isOurFault(): boolean {
    return this.#blocked || this.waitingFor > this.context.writePath.flushed || this.#isHeld();
  }

  /** What it was held back for may be over. */
  readOn(): void {
    if (this.#paused) this.#regulate();
  }

  #holdBack(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.stream.pause();
  }

  #block(pending: Promise<void>): void {
    this.#blocked = this.state !== 'authenticating';
    pending.then(
      () => {
        this.#blocked = false;
        if (!this.isOver) this.#process();
      },
      (error: unknown) => {
        this.#blocked = false;
        this.#fail(error);
      },
    );
  }

  /** The one place that turns what a peer did wrong, or a bug of ours, into the end of its connection. */
  #fail(error: unknown): void {
    if (error instanceof ProtocolError) {
      if (this.state === 'new' && error.protocolVersion !== undefined) {
        this.version = error.protocolVersion;
        this.knowsVersion = true;
      }
      this.close(error.reasonCode, error.message);
      return;
    }
    const text = stackText(error);
    this.context.logger.error('a packet could not be handled', { error: text, client: this.client?.clientId });
    this.close(ReasonCode.implementationSpecificError, 'internal error');
  }

  /** Waits for the next AUTH packet of the client. */
  awaitAuth(): Promise<AuthPacket> {
    this.state = 'authenticating';
    return new Promise((resolve) => {
      this.#awaitingAuth = resolve;
      // The handshake that waits here holds packets back: let them through.
      this.#blocked = false;
      if (!this.#processing) this.#process();
    });
  }

  /** Hands an AUTH packet to who waits for it; further packets wait until that has been dealt with. */
  resolveAuth(packet: AuthPacket): void {
    const resolve = this.#awaitingAuth;
    if (resolve === undefined) throw new ProtocolError(ReasonCode.protocolError, 'an AUTH packet nobody asked for');
    this.#awaitingAuth = undefined;
    this.state = 'handshaking';
    this.#blocked = true;
    resolve(packet);
  }

  // ---- bytes out ----

  get writable(): boolean {
    return this.outbox.hasRoomFor(this.context.guard.outboxBytesMax);
  }

  get congested(): boolean {
    return !this.outbox.hasRoomFor(CONGESTED_BYTES);
  }

  onDrain(): void {
    if (this.state !== 'closed') this.outbox.onDrain();
  }

  onRoom(): void {
    this.#answerBytes = 0;
    this.session?.pump();
    this.readOn();
  }

  sendPublish(
    message: Message,
    qos: Qos,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[],
  ): boolean {
    return writePublish(this, message, qos, retain, dup, packetId, identifiers);
  }

  sendPubrel(packetId: number): void {
    this.writeAck(PacketType.pubrel, packetId, 0);
  }

  /** Appends PUBACK, PUBREC, PUBREL or PUBCOMP. */
  writeAck(type: number, packetId: number, reasonCode: number): void {
    const length = reasonCode === 0 || this.version < 5 ? 4 : 5;
    this.#answerBytes += length;
    this.context.traffic.packetsSent += 1;
    const at = this.outbox.reserve(length);
    writeAck(this.outbox.buffer, at, type as AckPacket['type'], packetId, reasonCode, this.version);
  }

  /** Sends an acknowledgement of a PUBLISH or PUBREL once `ticket` is durable and those before it are sent. */
  acknowledge(ticket: number, type: number, packetId: number, reasonCode: number, reason?: string): void {
    if (ticket === 0 && this.#acksWaiting() === 0) {
      this.finishAck(type, packetId, reasonCode, reason);
      return;
    }
    this.#acks ??= new AckQueue();
    this.#acks.push(ticket, type, packetId, reasonCode, reason);
    if (ticket !== 0) this.context.writePath.wait(this);
  }

  /** Acknowledgements waiting for the store. (Methods: a private getter costs a call into the engine's runtime.) */
  #acksWaiting(): number {
    return this.#acks === undefined ? 0 : this.#acks.length;
  }

  #stepsWaiting(): number {
    return this.#deferred === undefined ? 0 : this.#deferred.length;
  }

  finishAck(type: number, packetId: number, reasonCode: number, reason: string | undefined): void {
    if (type !== PacketType.pubrec || reasonCode >= 0x80) this.finishPublish();
    if (reason === undefined || !this.explains) this.writeAck(type, packetId, reasonCode);
    else this.send({ type: type as AckPacket['type'], packetId, reasonCode, properties: { reasonString: reason } });
  }

  /** Whether this client can be told reasons in words in every packet [MQTT-3.1.2-29]. */
  get explains(): boolean {
    return this.version === 5 && this.requestProblemInformation;
  }

  /** Whether nothing more is to come of it. */
  get isOver(): boolean {
    return this.state === 'closing' || this.state === 'closed';
  }

  /** One incoming QoS 1 or 2 exchange is over: the client may start another. */
  finishPublish(): void {
    if (this.unfinishedPublishes > 0) this.unfinishedPublishes -= 1;
  }

  /** Appends a packet, as far as the client can take it. */
  send(packet: Packet): void {
    const bytes = encodeFor(this, packet, this.context.logger);
    if (bytes === undefined) return;
    this.#answerBytes += bytes.length;
    this.context.traffic.packetsSent += 1;
    this.outbox.append(bytes, 0, bytes.length);
  }

  /** Runs once `ticket` is durable; at once for 0. */
  onceDurable(ticket: number, run: () => void): void {
    if (ticket === 0) {
      run();
      return;
    }
    this.#deferred ??= new DeferredSteps();
    this.#deferred.push(ticket, run);
    this.context.writePath.wait(this);
  }

  onFlushed(flushed: number): void {
    if (this.isOver) return;
    this.#acks?.release(flushed, this);
    this.#deferred?.run(flushed);
    if (this.#acksWaiting() > 0 || this.#stepsWaiting() > 0) this.context.writePath.wait(this);
    this.readOn();
  }

  onStoreFull(failed: number, retriedAs: number): void {
    if (this.#acks !== undefined) undoPublishes(this, this.#acks, failed, retriedAs);
    this.#deferred?.postpone(failed, retriedAs);
    this.onFlushed(failed);
  }

  // ---- life ----

  /** The handshake is done: from here on it is the session's link. */
  establish(session: Session): void {
    this.state = 'connected';
    this.framer.maximumPacketSize = this.context.settings.maximumPacketSize;
    const { context, keepAliveLimitMs } = this;
    const now = context.clock.now();
    this.admission.connected(session.clientId, now);
    if (keepAliveLimitMs > 0) context.deadlines.schedule(this, now + keepAliveLimitMs);
    else context.deadlines.cancel(this);
    session.attach(this);
  }

  onDeadline(now: number): void {
    switch (this.state) {
      case 'handshaking':
        return this.#end('connect-timeout', ReasonCode.serverUnavailable, 'CONNECT could not be answered in time');
      case 'new':
      case 'authenticating':
        return this.#end('connect-timeout', ReasonCode.unspecifiedError, 'no CONNECT in time');
      case 'connected': {
        const due = this.#lastReceived + this.keepAliveLimitMs;
        if (due > now) this.context.deadlines.schedule(this, due);
        // Not read from because of a hook, the store or a limit: what the client sends meanwhile is not seen.
        else if (this.#paused && this.#gone === undefined && this.#isOurFault())
          this.context.deadlines.schedule(this, now + this.keepAliveLimitMs);
        else this.close(ReasonCode.keepAliveTimeout, 'nothing received for 1.5 times the keep alive'); // [MQTT-3.1.2-22]
        return;
      }
      case 'closing':
        this.stream.destroy();
        return;
      case 'closed':
    }
  }

  /** Closes the connection for a reason of ours, counted as `why`, telling an MQTT 5.0 client [MQTT-3.14.0-1]. */
  close(reasonCode: number, reason: string, serverReference?: string, why?: DisconnectReason): void {
    // Section 4.11: a reference goes with these two codes only.
    const moves = reasonCode === ReasonCode.useAnotherServer || reasonCode === ReasonCode.serverMoved;
    this.#end(why ?? disconnectReasonOf(reasonCode), reasonCode, reason, moves ? serverReference : undefined);
  }

  /** The client said DISCONNECT: the will is dropped unless its reason code was another than 0x00. */
  onDisconnect(withWill: boolean): void {
    this.#finish(withWill ? 'client-disconnect-with-will' : 'client-disconnect', !withWill, 'DISCONNECT');
    this.#linger();
  }

  onEnd(): void {
    if (this.state === 'closing') this.stream.destroy();
    // Half a connection is none: a client that cannot send can neither acknowledge nor ping.
    else this.#leave('the client closed the connection', () => this.#linger());
  }

  onClose(error: Error | undefined): void {
    this.outbox.close();
    this.#leave(error?.message ?? 'the client closed the connection', () => {
      this.state = 'closed';
      this.context.deadlines.cancel(this);
      this.context.connections.remove(this);
      this.admission.closed();
    });
  }

  /** The peer is gone: what it had sent before still counts. */
  #leave(reason: string, then: () => void): void {
    const leave = (): void => {
      this.#gone = undefined;
      this.#finish('connection-lost', false, reason);
      then();
    };
    if (this.#blocked && this.state !== 'closing') this.#gone = leave;
    else leave();
  }

  #end(why: DisconnectReason, reasonCode: number, reason: string, serverReference?: string): void {
    if (this.isOver) return;
    if (this.state === 'connected') {
      if (this.version === 5) {
        const properties = { reasonString: reason, ...(serverReference !== undefined && { serverReference }) };
        // [MQTT-3.14.2-1] hooks and the embedding program may name a code of other packets
        const code = isDisconnectCode(reasonCode) ? reasonCode : ReasonCode.unspecifiedError;
        this.send({ type: PacketType.disconnect, reasonCode: code, properties });
      }
    } else {
      refuseConnect(this, reasonCode, reason, serverReference);
    }
    this.#finish(why, false, reason, reasonCode);
    this.#linger();
  }

  /** Lets go of session and will, exactly once. @param reasonCode undefined where it is the client who went. */
  #finish(why: DisconnectReason, clean: boolean, reason: string, reasonCode?: number): void {
    if (this.isOver) return;
    const before = this.state;
    this.state = 'closing';
    this.#brake?.release();
    this.#chunks = undefined;
    letGo(this, before, { why, clean, reason, reasonCode });
  }

  /** Sends what is left, closes our side, and drains the peer for a moment so that it can read the reason [MQTT-4.13.1-1]. */
  #linger(): void {
    if (this.#gone !== undefined) {
      this.#gone(); // The stream of a peer that is gone tells nothing any more.
      return;
    }
    this.outbox.flush();
    this.stream.resume();
    this.stream.end();
    this.context.deadlines.schedule(this, this.context.clock.now() + this.context.settings.lingerMs);
  }
}
