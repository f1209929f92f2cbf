import type { Qos } from './packets.ts';

/** Bytes of memory a kept message may pin beyond twice its own. */
const DETACH_SLACK = 512;
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

  /**
   * Gives the message bytes of its own, so that keeping it does not keep a whole read chunk alive. Without effect where
   * that would save little.
   */
  detach(): void {
    this.isShared = false;
    if (pins(this.frameBytes, this.frameEnd - this.frameStart)) {
      this.frameBytes = NO_BYTES;
      this.frameKey = -1;
    }
    const length = this.payloadEnd - this.payloadStart;
    if (!pins(this.bytes, length)) return;
    const own = Buffer.allocUnsafeSlow(length + this.properties.length);
    own.set(this.bytes.subarray(this.payloadStart, this.payloadEnd));
    if (this.properties.length > 0) {
      own.set(this.properties, length);
      this.properties = own.subarray(length);
    }
    this.bytes = own;
    this.payloadStart = 0;
    this.payloadEnd = length;
  }
}

/** Whether keeping that many of the bytes keeps far more memory alive. */
function pins(bytes: Uint8Array, length: number): boolean {
  return bytes.buffer.byteLength > 2 * length + DETACH_SLACK;
}
