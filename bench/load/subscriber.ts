import { Client, type Target } from './client.ts';
import type { DeliveryCheck } from './delivery-check.ts';
import { type Ledger, stampNow } from './ledger.ts';
import { encodeSubscribe, PacketType, type PublishShape } from './packets.ts';

/** Who published what is delivered. */
interface Origin {
  /** How many messages it published so far. */
  readonly sent: number;
  /** A message of it was delivered for the first time. */
  noteDelivery(): void;
}

/** How many filters one SUBSCRIBE holds at most. */
const FILTERS_PER_PACKET = 20;

/** Of so many deliveries, the latency of one is taken; reading the clock for each would cost too much. */
const LATENCY_SAMPLE = 16;

/** What a subscriber subscribes to and expects. */
export interface SubscriberOptions {
  readonly topicFilters: readonly string[];
  /** What is published; it subscribes with the same QoS. */
  readonly shape: PublishShape;
  /** Whether it may hear of this publisher; of all unless given. */
  readonly isOwn?: (publisher: number) => boolean;
  /** Whether its session outlives its connection. */
  readonly isPersistent?: boolean;
  readonly check: DeliveryCheck;
  /** By index; told of deliveries of theirs. */
  readonly publishers: readonly Origin[];
}

/** Receives, acknowledges and checks off what one topic filter matches. */
export class Subscriber extends Client {
  readonly check: DeliveryCheck;
  readonly #options: SubscriberOptions;
  readonly #ledger: Ledger;
  #onSubscribed: () => void = () => {};
  #filtersAsked = 0;

  constructor(target: Target, ledger: Ledger, options: SubscriberOptions, clientId: string) {
    super(target, clientId, !options.isPersistent);
    this.check = options.check;
    this.#options = options;
    this.#ledger = ledger;
  }

  /** Resolves once the broker has granted all subscriptions. */
  async subscribe(): Promise<void> {
    const { topicFilters, shape } = this.#options;
    for (let first = 0; first < topicFilters.length; first += FILTERS_PER_PACKET) {
      const asked = topicFilters.slice(first, first + FILTERS_PER_PACKET);
      this.#filtersAsked = asked.length;
      this.send(encodeSubscribe(this.target.version, asked, shape.qos));
      await new Promise<void>((resolve) => {
        this.#onSubscribed = resolve;
      });
    }
  }

  override onPacket(firstByte: number, bytes: Buffer, from: number, to: number): void {
    if ((firstByte & 0xf0) === 0x30) this.#onPublish((firstByte >> 1) & 3, bytes, from, to);
    else if (firstByte === PacketType.pubrel) this.sendAck(PacketType.pubcomp, bytes, from);
    else if (firstByte === PacketType.suback) this.#onSuback(bytes, to);
    else this.target.fail(`The broker sent a subscriber a packet that begins with 0x${firstByte.toString(16)}.`);
  }

  #onSuback(bytes: Buffer, to: number): void {
    const reasonCodes = bytes.subarray(to - this.#filtersAsked, to);
    const refused = reasonCodes.find((reasonCode) => reasonCode !== this.#options.shape.qos);
    if (refused === undefined) this.#onSubscribed();
    else this.target.fail(`The broker answered a subscription with reason code ${refused}.`);
  }

  #onPublish(qos: number, bytes: Buffer, from: number, to: number): void {
    if (qos > 0) {
      const idAt = from + 2 + bytes.readUInt16BE(from);
      this.sendAck(qos === 1 ? PacketType.puback : PacketType.pubrec, bytes, idAt);
    }
    // The payload is found from the end: whatever stands before it may vary.
    const payloadAt = to - this.#options.shape.payloadBytes;
    if (payloadAt <= from) {
      this.#ledger.invalid++;
      return;
    }
    const index = bytes.readUInt32LE(payloadAt);
    const sequence = bytes.readUInt32LE(payloadAt + 4);
    const publisher = this.#options.publishers[index];
    const { isOwn } = this.#options;
    if (publisher === undefined || sequence >= publisher.sent || (isOwn !== undefined && !isOwn(index))) {
      this.#ledger.invalid++;
      return;
    }
    if (!this.check.note(index, sequence)) return;
    this.#ledger.delivered++;
    publisher.noteDelivery();
    if (this.#ledger.delivered % LATENCY_SAMPLE === 0 && this.#ledger.isTimed) {
      this.#ledger.latency.add((stampNow() - bytes.readUInt32LE(payloadAt + 8)) >>> 0);
    }
  }
}
