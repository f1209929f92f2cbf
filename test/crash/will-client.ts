import type { SentMessage } from '../checker/records.ts';
import { Device, type DeviceOptions, type DeviceWorld } from './device.ts';

/** A client that does nothing but be there with a will, and be cut off. Its wills are the messages it publishes. */
export class WillClient extends Device {
  readonly #qos: 1 | 2;
  #connections = 0;
  /** Set between DISCONNECT and the next CONNACK: what must not be published if both were in one life of the broker. */
  #left: { sequence: number; life: number } | undefined = undefined;
  /** The life of the broker in which it said DISCONNECT, until the connection is closed. */
  #leavingLife: number | undefined = undefined;

  constructor(world: DeviceWorld, options: DeviceOptions, qos: 1 | 2) {
    super(world, options);
    this.#qos = qos;
  }

  /** Whether it said DISCONNECT and waits for the close. */
  get isLeaving(): boolean {
    return this.#leavingLife !== undefined;
  }

  override leave(): void {
    this.#leavingLife = this.world.life;
    super.leave();
  }

  protected override nextWill(): SentMessage {
    this.#connections += 1;
    const { clientId } = this;
    const will: SentMessage = {
      publisher: clientId,
      sequence: this.#connections,
      topicName: `will/${clientId}`,
      qos: this.#qos,
      retain: false,
      payload: `${clientId} ${this.#connections}`,
      isWill: true,
    };
    this.world.checker.sent(will);
    return will;
  }

  protected override onConnected(): void {
    const left = this.#left;
    this.#left = undefined;
    // Whatever the broker did with the DISCONNECT is durable since this CONNACK, if it was this process that got it.
    if (left?.life === this.world.life) this.world.checker.forbidden(this.clientId, left.sequence);
  }

  protected override onGone(): void {
    const life = this.#leavingLife;
    if (life !== undefined) this.#left = { sequence: this.#connections, life };
    else this.world.checker.acknowledged(this.clientId, this.#connections);
    this.#leavingLife = undefined;
  }
}
