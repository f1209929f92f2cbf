import { Device } from './device.ts';

/** QoS 1 and 2 messages it has unacknowledged at most. */
const WINDOW = 16;
/** One payload in so many is long. */
const LONG_EVERY = 40;
const LONG_BYTES = 20_000;
const SHORT_BYTES = 120;

/** Topics below it are subscribed to for the whole run; `load/NAME/0` is retained. */
export const LOAD = 'load';
/** Topics that are retained and that nobody subscribes to. */
const KEPT = 'kept';
/** Topics that are subscribed to for a while. */
export const CHURN: readonly string[] = ['churn/0', 'churn/1'];

/** Keeps a window of messages on their way as long as it has messages left for this life of the broker. */
export class Publisher extends Device {
  /** Messages it may still begin to send. */
  budget = 0;
  #sequence = 0;

  /** Sends as many messages as the window takes. */
  fill(): void {
    while (this.state === 'connected' && this.budget > 0 && this.outstanding < WINDOW) {
      this.budget -= 1;
      this.#publishOne(this.#nextTopic());
    }
  }

  /** Sends one message of its load, QoS 2, behind everything before. */
  publishLast(): void {
    this.#publishOne(`${LOAD}/${this.clientId}/1`, 2);
  }

  /** Topics of this publisher that are retained. */
  get retainedTopics(): string[] {
    return [`${LOAD}/${this.clientId}/0`, `${KEPT}/${this.clientId}/0`, `${KEPT}/${this.clientId}/1`];
  }

  protected override onConnected(): void {
    this.fill();
  }

  #nextTopic(): string {
    const { random } = this.world;
    const kind = random.below(10);
    if (kind === 0) return CHURN[random.below(CHURN.length)] as string;
    if (kind === 1) return `${KEPT}/${this.clientId}/${random.below(2)}`;
    return `${LOAD}/${this.clientId}/${random.below(3)}`;
  }

  #publishOne(topicName: string, wanted: 1 | 2 = this.world.random.chance(0.5) ? 1 : 2): void {
    const { random } = this.world;
    this.#sequence += 1;
    const sequence = this.#sequence;
    const retain = this.retainedTopics.includes(topicName);
    // A retained topic keeps to one QoS: sent again, a QoS 1 message may come behind a later one with QoS 2.
    const qos = retain ? (topicName.endsWith('0') ? 2 : 1) : wanted;
    const length = random.below(LONG_EVERY) === 0 ? LONG_BYTES : random.below(SHORT_BYTES);
    const filler = random.bytes(Math.ceil(length / 2)).toString('hex');
    // An empty payload removes the retained message; only where no subscriber would have to tell it from another.
    const isRemoval = topicName.startsWith(`${KEPT}/`) && random.chance(0.2);
    const payload = isRemoval ? '' : `${this.clientId} ${sequence} ${filler}`;
    this.publish({ publisher: this.clientId, sequence, topicName, qos, retain, payload });
  }
}
