import type { IConnackPacket, Packet } from 'mqtt-packet';
import type { TimerHandle, Timers } from '../lib/timers.ts';
import type { Endpoint } from '../wire/endpoint.ts';
import type { Link, LinkEnd, LinkFactory, LinkHandler } from '../wire/link.ts';
import type { NetworkPath } from '../wire/network-path.ts';
import type {
  ClientEnd,
  ConnectOptions,
  IncomingMessage,
  OutgoingMessage,
  ProtocolVersion,
  SubscribeOptions,
} from './client.ts';
import type { SessionConnection } from './client-session.ts';
import { connectedOf, disconnectedEnd, refusedEnd } from './endings.ts';
import { Malformed } from './malformed.ts';
import { type PacketDecoder, PacketReader, type PacketSink } from './packet-reader.ts';
import { acknowledgementName, puback, pubcomp, pubrec, pubrel } from './packet-types.ts';
import {
  encodeConnect,
  encodeDisconnect,
  encodePingreq,
  encodeSubscribe,
  encodeUnsubscribe,
  type PacketWriter,
} from './packet-writer.ts';
import type { ReceivedIds } from './received-ids.ts';
import type { ClientConnection, ClientState } from './session-client.ts';

/** How long CONNACK may take, the opening of the connection included, ms. */
export const connackTimeoutMs = 30_000;

/** How long the broker may take to close after DISCONNECT, ms. */
export const closeTimeoutMs = 10_000;

/** How long the broker may keep silent after PINGREQ: the keep alive, within these, ms. */
const shortestWaitMs = 5000;
const longestWaitMs = 30_000;

/** Of the keep alive, between two looks at whether there was traffic. */
const tickPart = 0.45;

const acknowledgementsBytes = 4096;

/** What the clients of one thread share. */
export interface PacketContext {
  readonly timers: Timers;
  readonly links: LinkFactory;
  readonly writer: PacketWriter;
  readonly decoder: PacketDecoder;
  /** Acknowledgements of what a connection reads at once; free between two readings. */
  readonly acknowledgements: { spare: Buffer | undefined };
}

/** A context for {@link PacketContext.acknowledgements}. */
export function newAcknowledgements(): PacketContext['acknowledgements'] {
  return { spare: Buffer.allocUnsafeSlow(acknowledgementsBytes) };
}

/**
 * One connection of a client, from the opening of the link to its end.
 *
 *     opening -> handshake -> up -> closing -> over
 *         \----------\---------\---------------^
 */
export class PacketConnection implements ClientConnection, LinkHandler, PacketSink, SessionConnection {
  readonly #version: ProtocolVersion;
  readonly #context: PacketContext;
  readonly #client: ClientState<ReceivedIds>;
  readonly #options: ConnectOptions;
  readonly #reader: PacketReader;
  readonly #onOver: (end: ClientEnd) => void;
  readonly #onTimer = (): void => this.#timedOut();
  #link: Link | undefined;
  #phase: 'opening' | 'handshake' | 'up' | 'closing' | 'over' = 'opening';
  #timer: TimerHandle | undefined;
  #keepAliveMs = 0;
  /** Anything was written since the timer fired last. */
  #hasWritten = false;
  /** Anything was heard since then. */
  #hasHeard = false;
  /** PINGREQs without an answer, and when the first of them went out, ms. */
  #unanswered = 0;
  #pingedAt = 0;
  /** When the timer last found that something was heard, ms. */
  #quietSince = 0;
  /** Why this side ends the connection. */
  #failure: ClientEnd | undefined;
  /** Acknowledgements of what is being read, and how many bytes of them there are. */
  #acknowledgements: Buffer | undefined;
  #acknowledged = 0;

  /** @param onOver is told once that the connection is over, unless it was frozen. */
  constructor(
    context: PacketContext,
    client: ClientState<ReceivedIds>,
    options: ConnectOptions,
    onOver: (end: ClientEnd) => void,
  ) {
    this.#version = options.version;
    this.#context = context;
    this.#client = client;
    this.#options = options;
    this.#onOver = onOver;
    this.#reader = new PacketReader(context.decoder, options.version, this);
  }

  get state(): 'connecting' | 'connected' | 'closing' {
    if (this.#phase === 'up') return 'connected';
    return this.#phase === 'closing' ? 'closing' : 'connecting';
  }

  get isUp(): boolean {
    return this.#phase === 'up';
  }

  get isReading(): boolean {
    return this.#phase === 'up' || this.#phase === 'handshake';
  }

  get bufferedBytes(): number {
    return this.#link?.bufferedBytes ?? 0;
  }

  open(endpoint: Endpoint, path: NetworkPath): void {
    this.#timer = this.#context.timers.after(connackTimeoutMs, this.#onTimer);
    this.#link = this.#context.links.open(endpoint, path, this);
  }

  publish(message: OutgoingMessage, packetId: number, isDup: boolean): void {
    const encoded = this.#context.writer.publish(message, this.#version, packetId, isDup);
    if (encoded instanceof Uint8Array) {
      this.#write(encoded);
    } else {
      this.#write(encoded.head);
      this.#write(encoded.payload);
    }
  }

  release(packetId: number, isAgain: boolean): void {
    // What is sent again keeps its order; else PUBREL may be gathered with other acknowledgements.
    if (isAgain) this.#write(Buffer.of(pubrel, 2, packetId >>> 8, packetId & 255));
    else this.#acknowledge(pubrel, packetId, 0);
  }

  subscribe(subscriptions: readonly SubscribeOptions[], packetId: number): void {
    this.#write(encodeSubscribe(subscriptions, this.#version, packetId));
  }

  unsubscribe(topicFilters: readonly string[], packetId: number): void {
    this.#write(encodeUnsubscribe(topicFilters, this.#version, packetId));
  }

  disconnect(sessionExpirySeconds: number | undefined, withWill: boolean): void {
    if (this.#phase === 'opening') return this.drop();
    if (!this.isReading) return;
    this.#flush();
    this.#write(encodeDisconnect(this.#version, sessionExpirySeconds, withWill));
    this.#phase = 'closing';
    this.#arm(closeTimeoutMs);
    this.#link?.end();
  }

  /** Closes without DISCONNECT. */
  drop(): void {
    this.#fail({ cause: 'destroyed', text: 'dropped by the device' });
  }

  freeze(forMs: number): void {
    if (this.#phase === 'over') return;
    this.#leave();
    this.#link?.freeze(forMs);
  }

  onOpen(): void {
    if (this.#phase !== 'opening') return;
    this.#phase = 'handshake';
    // The broker forgets its half of the session now, so that ids it used mean nothing any more.
    if (this.#options.cleanStart) this.#client.memory.clear();
    this.#write(encodeConnect(this.#options));
  }

  onBytes(chunk: Buffer): void {
    if (!this.isReading) return;
    this.#hasHeard = true;
    this.#reader.read(chunk);
    this.#flush();
    this.#giveBack();
  }

  onEnd(end: LinkEnd): void {
    if (this.#phase === 'over') return;
    this.#leave();
    const { cause, text, reasonCode } = this.#failure ?? { ...end, reasonCode: undefined };
    this.#onOver({
      cause,
      text,
      ...(reasonCode !== undefined && { reasonCode }),
      ...(end.silent === true && { silent: true }),
    });
  }

  onPublish(message: IncomingMessage, packetId: number): void {
    if (this.#phase !== 'up') throw new Malformed('PUBLISH before CONNACK');
    const { handler, memory } = this.#client;
    const { qos } = message;
    if (qos !== 2 || memory.add(packetId)) handler.onMessage(message);
    // A device that went down over the message acknowledges nothing any more.
    if (qos > 0 && this.#phase === 'up') this.#acknowledge(qos === 1 ? puback : pubrec, packetId, 0);
  }

  onAcknowledgement(firstByte: number, packetId: number, reasonCode: number): void {
    if (this.#phase !== 'up') throw new Malformed(`${acknowledgementName(firstByte)} before CONNACK`);
    if (firstByte !== pubrel) return this.#client.session.onAcknowledgement(firstByte, packetId, reasonCode);
    const isKnown = this.#client.memory.delete(packetId);
    // Not found is no error after a PUBCOMP that was lost; MQTT 5 can say so (0x92).
    this.#acknowledge(pubcomp, packetId, isKnown || this.#version < 5 ? 0 : 0x92);
  }

  onPingresp(): void {
    if (this.#unanswered === 0) throw new Malformed('PINGRESP without a PINGREQ');
    this.#unanswered--;
  }

  onPacket(packet: Packet, length: number): void {
    if (packet.cmd === 'connack' && this.#phase === 'handshake') return this.#onConnack(packet, length);
    if (packet.cmd === 'disconnect' && this.#version === 5) return this.#fail(disconnectedEnd(packet));
    const isAnswer = packet.cmd === 'suback' || packet.cmd === 'unsuback';
    if (!isAnswer || this.#phase !== 'up') throw new Malformed(`${packet.cmd.toUpperCase()} where it must not come`);
    const packetId = packet.messageId ?? 0;
    if (packet.cmd === 'suback') this.#client.session.onAnswer('subscribe', packetId, packet.granted as number[]);
    // mqtt-packet tells no codes of an UNSUBACK of 3.x, which has none.
    else this.#client.session.onAnswer('unsubscribe', packetId, this.#version === 5 ? packet.granted : undefined);
  }

  onMalformed(text: string): void {
    this.#fail({ cause: 'malformed', text: `the broker sent ${text}` });
  }

  #onConnack(packet: IConnackPacket, length: number): void {
    const { cleanStart } = this.#options;
    const refusal = refusedEnd(packet, this.#version, length);
    if (refusal !== undefined) return this.#fail(refusal);
    const connected = connectedOf(packet, this.#version, this.#options);
    this.#phase = 'up';
    this.#keepAliveMs = connected.keepAliveSeconds * 1000;
    this.#disarm();
    if (this.#keepAliveMs > 0) this.#arm(this.#keepAliveMs * tickPart);
    const isResumed = !cleanStart && connected.sessionPresent;
    if (!isResumed) this.#client.memory.clear();
    this.#client.session.connected(this, connected, isResumed);
    this.#client.session.resume();
  }

  #timedOut(): void {
    this.#timer = undefined;
    if (this.#phase === 'closing') return this.#fail({ cause: 'ended', text: 'ended, and the broker did not close' });
    if (this.#phase !== 'up') {
      const what = this.#phase === 'opening' ? 'no connection' : 'no CONNACK';
      return this.#fail({ cause: 'timeout', text: `${what} within ${connackTimeoutMs / 1000} s` });
    }
    this.#keepAlive();
  }

  /**
   * Fires a little oftener than twice per keep alive, so that no message needs to look at the clock: less than a keep
   * alive passes from whatever was written last to the PINGREQ of the second time after it. Nothing heard asks for
   * one as well: a connection that is half open takes what is written without a word.
   */
  #keepAlive(): void {
    const now = this.#context.timers.now();
    if (this.#hasHeard) this.#quietSince = now;
    const waitMs = Math.min(longestWaitMs, Math.max(shortestWaitMs, this.#keepAliveMs));
    if (this.#unanswered > 0 && now - Math.max(this.#pingedAt, this.#quietSince) >= waitMs) {
      return this.#fail({ cause: 'timeout', text: `nothing heard for ${waitMs / 1000} s after PINGREQ` });
    }
    const isQuiet = !this.#hasWritten || !this.#hasHeard;
    this.#hasWritten = false;
    this.#hasHeard = false;
    if (isQuiet) {
      if (this.#unanswered++ === 0) this.#pingedAt = now;
      this.#write(encodePingreq());
    }
    this.#arm(this.#keepAliveMs * tickPart);
  }

  /** Ends the connection for a reason of this side, or one that the broker gave. */
  #fail(end: ClientEnd): void {
    if (this.#phase === 'over') return;
    this.#failure = end;
    this.#link?.destroy();
    // Nobody told: there was no link yet.
    this.onEnd({ cause: 'destroyed', text: end.text });
  }

  /** No more of this connection: the session is without one from now on. */
  #leave(): void {
    this.#phase = 'over';
    this.#disarm();
    this.#acknowledged = 0;
    this.#client.session.disconnected();
  }

  #write(bytes: Buffer): void {
    this.#hasWritten = true;
    this.#link?.write(bytes);
  }

  /** Gathers acknowledgements until what came in with them is read. */
  #acknowledge(firstByte: number, packetId: number, reasonCode: number): void {
    let bytes = this.#acknowledgements;
    if (bytes === undefined) {
      const { acknowledgements } = this.#context;
      bytes = acknowledgements.spare ?? Buffer.allocUnsafeSlow(acknowledgementsBytes);
      acknowledgements.spare = undefined;
      this.#acknowledgements = bytes;
    } else if (this.#acknowledged + 5 > bytes.length) {
      this.#flush();
    }
    let at = this.#acknowledged;
    bytes[at++] = firstByte;
    bytes[at++] = reasonCode === 0 ? 2 : 3;
    bytes[at++] = packetId >>> 8;
    bytes[at++] = packetId & 255;
    if (reasonCode !== 0) bytes[at++] = reasonCode;
    this.#acknowledged = at;
  }

  #flush(): void {
    if (this.#acknowledged === 0 || this.#acknowledgements === undefined) return;
    this.#write(Buffer.from(this.#acknowledgements.subarray(0, this.#acknowledged)));
    this.#acknowledged = 0;
  }

  #giveBack(): void {
    if (this.#acknowledgements === undefined) return;
    this.#context.acknowledgements.spare = this.#acknowledgements;
    this.#acknowledgements = undefined;
  }

  #arm(delayMs: number): void {
    this.#disarm();
    this.#timer = this.#context.timers.after(delayMs, this.#onTimer);
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#context.timers.cancel(this.#timer);
    this.#timer = undefined;
  }
}
