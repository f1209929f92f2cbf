import type { Qos } from './packets.ts';
import { writeBytes } from './raw-bytes.ts';

/** Bytes of memory a kept message may pin beyond twice its own. */
const DETACH_SLACK = 512;
/** Largest buffer that messages detached together share, bytes: what one of them that stays longest may pin. */
const SHARED_BYTES_MAX = 2048;
const NO_BYTES: Buffer = Buffer.alloc(0);

/** What a message is made of; see the fields of `Message`. */
export interface MessageFields {
  topicName: string;
  payload: Uint8Array;
  /** Where in `payload` the payload begins and ends; all of it unless given. */
  payloadStart?: number;
  payloadEnd?: number;
  qos: Qos;
  retain?: boolean;
  /** Property bytes as PUBLISH carries them, see `Message.properties`. */
  properties?: Uint8Array;
  expiresAt?: number;
  publisherId?: string;
}

/**
 * An application message on its way through the broker, immutable once routed and shared by all its takers.
 *
 * The payload is a range of `bytes`, which may be the chunk read from the publisher's socket: nothing is copied until
 * the message has to outlive the tick (`detach`).
 */
export class Message {
  readonly topicName: string;
  /** QoS it was published with. */
  readonly qos: Qos;
  /** RETAIN as published. */
  readonly retain: boolean;
  /** Client id of the publisher, for No Local; empty for messages of the broker itself. */
  readonly publisherId: string;
  /**
   * MQTT 5.0 property bytes to forward unaltered and in order [MQTT-3.3.2-17, -18]: without the length in front, without
   * topic alias, message expiry interval and subscription identifiers. Empty for none.
   */
  properties: Uint8Array;
  /** When it expires, in milliseconds since the epoch; Infinity for never. */
  readonly expiresAt: number;
  bytes: Uint8Array;
  payloadStart: number;
  payloadEnd: number;
  /**
   * An encoded PUBLISH of this message in `frameBytes`, from frameStart to frameEnd, valid for the protocol versions,
   * QoS and flags told by `frameKey` (see publish.ts); frameKey -1 for none. The packet id, where there is one, stands
   * at framePacketIdAt.
   */
  frameBytes: Buffer = NO_BYTES;
  frameStart = 0;
  frameEnd = 0;
  framePacketIdAt = 0;
  frameKey = -1;
  /** Whether several takers get it now, so that one encoded frame serves them all. */
  isShared = false;
  /** Bytes it counts with towards limits: topic name (in characters), properties and payload. */
  readonly size: number;
  /** Key of the stored copy shared by several queues; 0 while there is none. Owned by the store. */
  storeId = 0;

  constructor(fields: MessageFields) {
    this.topicName = fields.topicName;
    this.qos = fields.qos;
    this.retain = fields.retain ?? false;
    this.publisherId = fields.publisherId ?? '';
    this.properties = fields.properties ?? NO_BYTES;
    this.expiresAt = fields.expiresAt ?? Number.POSITIVE_INFINITY;
    this.bytes = fields.payload;
    this.payloadStart = fields.payloadStart ?? 0;
    this.payloadEnd = fields.payloadEnd ?? fields.payload.length;
    this.size = this.topicName.length + this.properties.length + this.payloadEnd - this.payloadStart;
  }

  /** The payload, as a view. */
  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  /** Who keeps a message itself keeps it in any case. */
  kept(): Message {
    return this;
  }

  /**
   * Gives the message bytes of its own, so that keeping it does not keep a whole read chunk alive. Without effect where
   * that would save little.
   */
  detach(): void {
    const length = this.forgetFrame();
    if (length > 0) this.moveTo(Buffer.allocUnsafeSlow(length), 0);
  }

  /** Forgets an encoded frame that would keep a chunk alive. @returns the bytes that detaching has to copy, 0 for none. */
  forgetFrame(): number {
    this.isShared = false;
    if (pins(this.frameBytes, this.frameEnd - this.frameStart)) {
      this.frameBytes = NO_BYTES;
      this.frameKey = -1;
    }
    const length = this.payloadEnd - this.payloadStart;
    return pins(this.bytes, length) ? length + this.properties.length : 0;
  }

  /** Copies payload and properties to `target` and uses that from now on. */
  moveTo(target: Buffer, at: number): void {
    const end = at + this.payloadEnd - this.payloadStart;
    writeBytes(target, at, this.bytes, this.payloadStart, this.payloadEnd);
    if (this.properties.length > 0) {
      const propertiesEnd = end + this.properties.length;
      writeBytes(target, end, this.properties, 0, this.properties.length);
      this.properties = target.subarray(end, propertiesEnd);
    }
    this.bytes = target;
    this.payloadStart = at;
    this.payloadEnd = end;
  }
}

/** As `Message.detach` for messages that came together and stay about as long: small ones share a buffer. */
export function detachTogether(messages: readonly Message[]): void {
  let left = 0;
  for (const message of messages) left += message.forgetFrame();
  let shared = NO_BYTES;
  let at = 0;
  let last: Message | undefined;
  for (const message of messages) {
    const length = message.forgetFrame();
    // One that several queues keep comes several times in a row.
    if (length === 0 || message === last) continue;
    last = message;
    if (at + length > shared.length) {
      shared = Buffer.allocUnsafeSlow(Math.max(length, Math.min(left, SHARED_BYTES_MAX)));
      at = 0;
    }
    message.moveTo(shared, at);
    at += length;
    left -= length;
  }
}

/** Whether keeping that many of the bytes keeps far more memory alive. */
function pins(bytes: Uint8Array, length: number): boolean {
  return bytes.buffer.byteLength > 2 * length + DETACH_SLACK;
}
