import { type Packet, type Parser, parser } from 'mqtt-packet';
import type { IncomingMessage, MessageProperties, ProtocolVersion, QoS } from './client.ts';
import { Malformed } from './malformed.ts';
import { acknowledgementName, puback, pubcomp, pubrec, pubrel } from './packet-types.ts';
import { readPublishProperties } from './publish-properties.ts';
import { TopicNames } from './topic-names.ts';

/** Takes the packets that a {@link PacketReader} reads, in their order. */
export interface PacketSink {
  /** False: what is left of the bytes is not read any more. */
  readonly isReading: boolean;
  /** The message is only valid during the call. @param packetId 0 for QoS 0. */
  onPublish(message: IncomingMessage, packetId: number): void;
  /** PUBACK, PUBREC, PUBREL or PUBCOMP, by its first byte; 3.x has no reason code and tells 0. */
  onAcknowledgement(firstByte: number, packetId: number, reasonCode: number): void;
  onPingresp(): void;
  /** Everything else, as mqtt-packet has read it. @param length bytes behind the fixed header. */
  onPacket(packet: Packet, length: number): void;
  onMalformed(text: string): void;
}

/** A received message that is filled again and again. */
class ReusedMessage implements IncomingMessage {
  topicName = '';
  payload: Buffer = Buffer.alloc(0);
  qos: QoS = 0;
  retain = false;
  dup = false;
  properties: MessageProperties | undefined;
}

/**
 * Makes packets of whole frames. PUBLISH, its four acknowledgements and PINGRESP, which are all but a few of what comes
 * in, are read in place; mqtt-packet, which takes five times as long, reads the rest. One per thread.
 */
export class PacketDecoder {
  readonly #topics = new TopicNames();
  readonly #message = new ReusedMessage();
  readonly #parsers = new Map<ProtocolVersion, Parser>();
  #parsed: Packet | undefined;
  #error: Error | undefined;

  /**
   * Reads the frame in `bytes` from `start` to before `end`; what follows its fixed header begins at `bodyAt`. More
   * than four parameters, because an object per packet would cost more than reading most packets.
   * @throws Malformed
   */
  decode(bytes: Buffer, start: number, bodyAt: number, end: number, version: ProtocolVersion, sink: PacketSink): void {
    const firstByte = bytes[start] as number;
    if (firstByte >>> 4 === 3) {
      this.#publish(bytes, firstByte, bodyAt, end, version, sink);
    } else if (firstByte === puback || firstByte === pubrec || firstByte === pubrel || firstByte === pubcomp) {
      this.#acknowledgement(bytes, start, bodyAt, end, version, sink);
    } else if (firstByte === 0xd0) {
      if (end !== bodyAt) throw new Malformed('PINGRESP with bytes behind its header');
      sink.onPingresp();
    } else {
      sink.onPacket(this.#rare(bytes.subarray(start, end), version), end - bodyAt);
    }
  }

  #publish(
    bytes: Buffer,
    firstByte: number,
    bodyAt: number,
    end: number,
    version: ProtocolVersion,
    sink: PacketSink,
  ): void {
    const qos = (firstByte >>> 1) & 3;
    const dup = (firstByte & 8) !== 0;
    if (qos === 3) throw new Malformed('PUBLISH with QoS 3');
    if (qos === 0 && dup) throw new Malformed('PUBLISH with QoS 0 and DUP');
    let at = bodyAt + 2;
    if (at > end) throw cutShort('PUBLISH');
    const topicEnd = at + (((bytes[bodyAt] as number) << 8) | (bytes[bodyAt + 1] as number));
    if (topicEnd > end) throw cutShort('PUBLISH');
    const message = this.#message;
    message.topicName = this.#topics.read(bytes, at, topicEnd);
    at = topicEnd;
    let packetId = 0;
    if (qos > 0) {
      if (at + 2 > end) throw cutShort('PUBLISH');
      packetId = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      if (packetId === 0) throw new Malformed('PUBLISH with packet id 0');
      at += 2;
    }
    message.properties = undefined;
    if (version === 5) {
      if (at >= end) throw cutShort('PUBLISH');
      if (bytes[at] === 0) at++;
      else at = this.#properties(bytes, at, end);
    }
    message.payload = bytes.subarray(at, end);
    message.qos = qos as QoS;
    message.retain = (firstByte & 1) !== 0;
    message.dup = dup;
    sink.onPublish(message, packetId);
  }

  /** Reads properties, their length first, into the message; where they end. */
  #properties(bytes: Buffer, start: number, end: number): number {
    let at = start;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= end) throw cutShort('PUBLISH');
      if (shift === 28) throw new Malformed('PUBLISH with a property length of more than four bytes');
      const byte = bytes[at++] as number;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (at + length > end) throw new Malformed('PUBLISH with properties that are longer than it is');
    this.#message.properties = readPublishProperties(bytes, at, at + length);
    return at + length;
  }

  #acknowledgement(
    bytes: Buffer,
    start: number,
    bodyAt: number,
    end: number,
    version: ProtocolVersion,
    sink: PacketSink,
  ): void {
    const firstByte = bytes[start] as number;
    const length = end - bodyAt;
    if (length < 2 || (length > 2 && version < 5)) {
      throw new Malformed(`${acknowledgementName(firstByte)} of ${length} bytes`);
    }
    const packetId = ((bytes[bodyAt] as number) << 8) | (bytes[bodyAt + 1] as number);
    if (packetId === 0) throw new Malformed(`${acknowledgementName(firstByte)} with packet id 0`);
    let reasonCode = 0;
    if (length > 2) {
      reasonCode = bytes[bodyAt + 2] as number;
      // A code that is none of its, or properties: mqtt-packet says whether they are in order.
      if (length > 3 || reasonCode !== 0) this.#rare(bytes.subarray(start, end), version);
    }
    sink.onAcknowledgement(firstByte, packetId, reasonCode);
  }

  /** One whole frame by mqtt-packet, whose parser so never keeps anything between two frames. */
  #rare(frame: Buffer, version: ProtocolVersion): Packet {
    let foreign = this.#parsers.get(version);
    if (foreign === undefined) {
      foreign = parser({ protocolVersion: version });
      foreign.on('packet', (packet) => {
        this.#parsed = packet;
      });
      foreign.on('error', (error: Error) => {
        this.#error = error;
      });
      this.#parsers.set(version, foreign);
    }
    this.#parsed = undefined;
    this.#error = undefined;
    let left = 0;
    try {
      left = foreign.parse(frame);
    } catch (error) {
      this.#error = error as Error;
    }
    const packet = this.#parsed as Packet | undefined;
    const error = this.#error;
    this.#parsed = undefined;
    if (error === undefined && packet !== undefined && left === 0) return packet;
    // What it keeps after a failure must not meet the next frame.
    this.#parsers.delete(version);
    throw new Malformed(
      error === undefined ? 'a packet that is cut short' : `a packet that is not MQTT: ${error.message}`,
    );
  }
}

function cutShort(name: string): Malformed {
  return new Malformed(`${name} that is cut short`);
}

/** Cuts what one connection receives into frames. Keeps bytes only where a frame is not there as a whole. */
export class PacketReader {
  readonly #decoder: PacketDecoder;
  readonly #version: ProtocolVersion;
  readonly #sink: PacketSink;
  #partial: Buffer | undefined;
  /** Bytes of `#partial` that are there. */
  #filled = 0;

  constructor(decoder: PacketDecoder, version: ProtocolVersion, sink: PacketSink) {
    this.#decoder = decoder;
    this.#version = version;
    this.#sink = sink;
  }

  /** Reads on; `chunk` is the caller's again afterwards. */
  read(chunk: Buffer): void {
    try {
      const at = this.#partial === undefined ? 0 : this.#complete(chunk);
      if (this.#partial === undefined) this.#frames(chunk, at);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#partial = undefined;
      this.#sink.onMalformed(error.message);
    }
  }

  #frames(chunk: Buffer, start: number): void {
    const sink = this.#sink;
    let at = start;
    while (at < chunk.length && sink.isReading) {
      const bodyAt = bodyStart(chunk, at, chunk.length);
      const end = bodyAt === 0 ? 0 : bodyAt + remainingLength(chunk, at, bodyAt);
      if (bodyAt === 0 || end > chunk.length) {
        this.#keep(chunk, at, end - at);
        return;
      }
      this.#decoder.decode(chunk, at, bodyAt, end, this.#version, sink);
      at = end;
    }
  }

  /** Keeps what is there of a frame. @param length of the whole frame; 0 and below: not known yet. */
  #keep(chunk: Buffer, start: number, length: number): void {
    const there = chunk.length - start;
    this.#partial = Buffer.allocUnsafe(room(there, length));
    chunk.copy(this.#partial, 0, start);
    this.#filled = there;
  }

  /** Adds of `chunk` what belongs to the frame that is not there as a whole; where the next one begins. */
  #complete(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      // As long as its length is not known, the frame is a byte longer than what is there of it.
      const length = frameLength(this.#partial as Buffer, this.#filled) || this.#filled + 1;
      const taken = Math.min(length - this.#filled, chunk.length - at);
      const frame = this.#grow(this.#filled + taken, length);
      chunk.copy(frame, this.#filled, at, at + taken);
      at += taken;
      this.#filled += taken;
      if (frameLength(frame, this.#filled) === this.#filled) {
        this.#partial = undefined;
        const bodyAt = bodyStart(frame, 0, this.#filled);
        this.#decoder.decode(frame, 0, bodyAt, this.#filled, this.#version, this.#sink);
        break;
      }
    }
    return at;
  }

  #grow(needed: number, length: number): Buffer {
    const partial = this.#partial as Buffer;
    if (needed <= partial.length) return partial;
    const grown = Buffer.allocUnsafe(room(needed, length));
    partial.copy(grown, 0, 0, this.#filled);
    this.#partial = grown;
    return grown;
  }
}

/** Room for a frame of which `there` bytes are there: twice that, but no more than all of it. */
function room(there: number, length: number): number {
  return Math.max(there, 5, Math.min(length, Math.max(2 * there, 1024)));
}

/** Length of the frame that `bytes` begin with, of which `there` bytes are there; 0 where that does not tell yet. */
function frameLength(bytes: Buffer, there: number): number {
  const bodyAt = bodyStart(bytes, 0, there);
  return bodyAt === 0 ? 0 : bodyAt + remainingLength(bytes, 0, bodyAt);
}

/** Where what follows the fixed header at `start` begins; 0 where the header is not there as a whole. */
function bodyStart(bytes: Buffer, start: number, end: number): number {
  for (let at = start + 1; at < end; at++) {
    if ((bytes[at] as number) < 128) return at + 1;
    if (at === start + 4) throw new Malformed('a packet with a length of more than four bytes');
  }
  return 0;
}

function remainingLength(bytes: Buffer, start: number, bodyAt: number): number {
  let length = 0;
  for (let at = bodyAt - 1; at > start; at--) length = (length << 7) | ((bytes[at] as number) & 127);
  return length;
}
