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

/** Of so many deliveries, the latency of one is taken; reading the clock for each would cost too much. */
const LATENCY_SAMPLE = 16;

/** What a subscriber subscribes to and expects. */
export interface SubscriberOptions {
  readonly topicFilter: string;
  /** What is published; it subscribes with the same QoS. */
  readonly shape: PublishShape;
  /** The only publisher it may hear of, if there is but one. */
  readonly onlyPublisher?: number;
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

  constructor(target: Target, ledger: Ledger, options: SubscriberOptions, clientId: string) {
    super(target, clientId, !options.isPersistent);
    this.check = options.check;
    this.#options = options;
    this.#ledger = ledger;
  }

  /** Resolves once the broker has granted the subscription. */
  subscribe(): Promise<void> {
    const { topicFilter, shape } = this.#options;
    this.send(encodeSubscribe(this.target.version, topicFilter, shape.qos));
    return new Promise((resolve) => {
      this.#onSubscribed = resolve;
    });
  }

  override onPacket(firstByte: number, bytes: Buffer, from: number, to: number): void {
    if ((firstByte & 0xf0) === 0x30) this.#onPublish((firstByte >> 1) & 3, bytes, from, to);
    else if (firstByte === PacketType.pubrel) this.sendAck(PacketType.pubcomp, bytes, from);
    else if (firstByte === PacketType.suback) this.#onSuback(bytes[to - 1]!);
    else this.target.fail(`The broker sent a subscriber a packet that begins with 0x${firstByte.toString(16)}.`);
  }

  #onSuback(reasonCode: number): void {
    if (reasonCode === this.#options.shape.qos) this.#onSubscribed();
    else this.target.fail(`The broker answered a subscription with reason code ${reasonCode}.`);
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
    const { onlyPublisher = index } = this.#options;
    if (publisher === undefined || sequence >= publisher.sent || index !== onlyPublisher) {
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
