import { Client, type Target } from './client.ts';
import { type Ledger, stampNow } from './ledger.ts';
import { encodePublish, packetIdFromEnd, PacketType, type PublishShape } from './packets.ts';

/** How a publisher publishes. */
export interface PublisherOptions {
  readonly index: number;
  readonly topicName: string;
  readonly shape: PublishShape;
  /** How many messages may be unacknowledged (QoS 1 and 2) and, if `deliveriesEach` is not 0, not delivered everywhere. */
  readonly window: number;
  /** How many subscribers get each message; 0: publish without waiting for deliveries. */
  readonly deliveriesEach: number;
  /** How many messages it publishes in all. */
  readonly limit: number;
}

/** How many messages a publisher sends in a turn at most, so that all get their turn. */
const BATCH = 64;

/** States of a packet id. */
const FREE = 0;
const PUBLISHED = 1;
const RECEIVED = 2;

/**
 * Publishes to one topic. Its messages are encoded once, one for each place in the window, and the sequence number, the
 * time and nothing else is written into them later:
 *
 *     place      0   1   2 ... W-1  0   1 ... W-1      place = sequence mod W, packet id = place + 1
 *     encoded   [ ] [ ] [ ]    [ ] [ ] [ ]    [ ]      twice, so that any run of up to W messages lies together
 */
export class Publisher extends Client {
  /** Deliveries of its messages, first ones only. */
  delivered = 0;
  sent = 0;
  readonly #options: PublisherOptions;
  readonly #ledger: Ledger;
  readonly #encoded: Buffer;
  readonly #packetBytes: number;
  readonly #stampAt: number;
  readonly #states: Uint8Array;
  #writtenOff = 0;
  #isReady = false;
  #isStopped = true;

  constructor(target: Target, ledger: Ledger, options: PublisherOptions, clientId: string) {
    super(target, clientId, true);
    this.#options = options;
    this.#ledger = ledger;
    const { shape, window } = options;
    const packet = encodePublish(shape, options.topicName, options.index);
    this.#packetBytes = packet.length;
    this.#stampAt = packet.length - shape.payloadBytes;
    this.#states = new Uint8Array(window);
    this.#encoded = Buffer.concat(Array.from({ length: 2 * window }, () => packet));
    if (shape.qos > 0) this.#writePacketIds();
  }

  #writePacketIds(): void {
    const { shape, window } = this.#options;
    const idAt = this.#packetBytes - packetIdFromEnd(shape);
    for (let index = 0; index < 2 * window; index++) {
      this.#encoded.writeUInt16BE((index % window) + 1, index * this.#packetBytes + idAt);
    }
  }

  /** Publishes from now on as much as the window allows. */
  start(): void {
    this.#isStopped = false;
    this.markReady();
  }

  /** Publishes no more. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Publishes at the end of this turn if it may. */
  markReady(): void {
    if (this.#isReady || this.#isStopped) return;
    this.#isReady = true;
    this.target.turns.addReady(this);
  }

  /** Gives up what was not delivered so far, so that it can go on. */
  writeOff(): void {
    this.#writtenOff = this.sent * this.#options.deliveriesEach - this.delivered;
    this.markReady();
  }

  /** A message of it was delivered for the first time. */
  noteDelivery(): void {
    this.delivered++;
    this.markReady();
  }

  /** Publishes one message with this time if the window allows and nothing is behind. */
  publishOne(stamp: number): boolean {
    if (this.isBehind || this.#allowed() === 0) return false;
    this.#publish(1, stamp);
    return true;
  }

  fill(): void {
    this.#isReady = false;
    if (this.#isStopped || this.isBehind) return; // `onDrain` makes it ready again
    const allowed = this.#allowed();
    if (allowed === 0) return;
    this.#publish(Math.min(allowed, BATCH), stampNow());
    if (allowed > BATCH) this.markReady();
  }

  override onDrain(): void {
    this.markReady();
  }

  override onPacket(firstByte: number, bytes: Buffer, from: number, to: number): void {
    const place = to - from >= 2 ? bytes.readUInt16BE(from) - 1 : -1;
    const state = this.#states[place];
    const isRefused = to - from > 2 && bytes[from + 2]! >= 0x80;
    const { qos } = this.#options.shape;
    if (firstByte === PacketType.puback && qos === 1 && state === PUBLISHED) this.#release(place);
    else if (firstByte === PacketType.pubcomp && qos === 2 && state === RECEIVED) this.#release(place);
    else if (firstByte === PacketType.pubrec && qos === 2 && state === PUBLISHED && !isRefused) {
      this.#states[place] = RECEIVED;
      this.sendAck(PacketType.pubrel, bytes, from);
    } else this.target.fail(`The broker sent 0x${firstByte.toString(16)} for packet id ${place + 1} out of place.`);
    if (isRefused) this.target.fail(`The broker refused a message with reason code ${bytes[from + 2]}.`);
  }

  #release(place: number): void {
    this.#states[place] = FREE;
    this.#ledger.acknowledged++;
    this.markReady();
  }

  /** How many messages may be sent now. */
  #allowed(): number {
    const { window, deliveriesEach, limit, shape } = this.#options;
    let allowed = Math.min(window, limit - this.sent);
    if (deliveriesEach > 0) {
      const outstanding = this.sent * deliveriesEach - this.delivered - this.#writtenOff;
      allowed = Math.min(allowed, Math.ceil((window * deliveriesEach - outstanding) / deliveriesEach));
    }
    if (shape.qos === 0 || allowed <= 0) return Math.max(0, allowed);
    return this.#freePlaces(Math.min(allowed, this.receiveMaximum));
  }

  /** How many places from the next one on are free, `most` at most. With a smaller Receive Maximum only so many are used. */
  #freePlaces(most: number): number {
    const { window } = this.#options;
    const inFlight =
      window > this.receiveMaximum ? this.#states.reduce((sum, state) => sum + (state === FREE ? 0 : 1), 0) : 0;
    const bound = Math.min(most, Math.max(0, this.receiveMaximum - inFlight));
    let free = 0;
    while (free < bound && this.#states[(this.sent + free) % window] === FREE) free++;
    return free;
  }

  #publish(count: number, stamp: number): void {
    const { window, shape } = this.#options;
    const encoded = this.#encoded;
    const first = this.sent % window;
    let at = first * this.#packetBytes + this.#stampAt;
    for (let index = 0; index < count; index++, at += this.#packetBytes) {
      encoded.writeUInt32LE(this.sent + index, at + 4);
      encoded.writeUInt32LE(stamp, at + 8);
      if (shape.qos > 0) this.#states[(first + index) % window] = PUBLISHED;
    }
    this.sent += count;
    this.#ledger.sent += count;
    this.send(encoded, first * this.#packetBytes, (first + count) * this.#packetBytes);
  }
}
