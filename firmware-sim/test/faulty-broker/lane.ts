import type { Plant, Planter, Spot } from './planter.ts';
import type { Delivery, Session } from './session.ts';
import { topicMatches } from './topic-match.ts';

interface Again {
  readonly delivery: Delivery;
  /** Deliveries that come before it. */
  after: number;
}

/** What lies between the broker's routing and one session: here deliveries go wrong. */
export class Lane {
  readonly session: Session;
  readonly #planter: Planter;
  /** Deliveries that change places with the next of their stream. */
  readonly #held: Map<string, { readonly delivery: Delivery; readonly spot: Spot }> = new Map();
  #again: Again[] = [];
  #late: Delivery[] = [];

  constructor(session: Session, planter: Planter) {
    this.session = session;
    this.#planter = planter;
  }

  /** Whether a delivery waits for the next one, to change places with it. */
  get isHolding(): boolean {
    return this.#held.size > 0;
  }

  /** Hands a live message on to the session, or does what the planter says. */
  pass(delivery: Delivery): void {
    const stream = `${delivery.publisherId} ${delivery.qos} ${delivery.topicName}`;
    const held = this.#held.get(stream);
    if (held !== undefined) {
      this.#held.delete(stream);
      this.#deliver(delivery);
      this.#deliver(held.delivery);
      return;
    }
    const { topicName, publisherId, qos } = delivery;
    const spot: Spot = { clientId: this.session.clientId, topicName, publisherId, qos };
    const plant = this.#planter.draw(this.#possible(delivery), spot);
    if (plant === undefined) this.#deliver(delivery);
    else if (plant === 'reorder') this.#held.set(stream, { delivery, spot });
    else this.#misdeliver(plant, delivery);
  }

  /** Lets go of what waits for a next one that will not come; swaps that did not happen are taken back. */
  release(): void {
    for (const { delivery, spot } of this.#held.values()) {
      this.#planter.takeBack('reorder', spot);
      this.#deliver(delivery);
    }
    this.#held.clear();
    const again = this.#again;
    this.#again = [];
    for (const { delivery } of again) this.session.deliver(delivery);
  }

  releaseLate(): void {
    const late = this.#late;
    this.#late = [];
    for (const delivery of late) this.session.deliver(delivery);
  }

  #possible(delivery: Delivery): Plant[] {
    const plants: Plant[] = ['reorder', 'late'];
    // What was published with QoS 1 may come again in any case, its publisher may have repeated it.
    if (delivery.deliveryQos === 1) plants.push('repeat');
    else if (delivery.qos !== 1) plants.push('duplicate');
    if (delivery.deliveryQos > 0) plants.push('lose');
    if (delivery.payload.length > 0) plants.push('corrupt', 'phantom');
    if (this.#takes(elsewhere(delivery))) plants.push('wrong-topic');
    return plants;
  }

  #takes({ topicName }: Delivery): boolean {
    const { subscriptions } = this.session;
    return [...subscriptions.values()].some(
      ({ group, topicFilter }) => group === undefined && topicMatches(topicFilter, topicName),
    );
  }

  #misdeliver(plant: Plant, delivery: Delivery): void {
    const { payload } = delivery;
    if (plant === 'lose') return;
    if (plant === 'late') {
      this.#late.push(delivery);
      return;
    }
    if (plant === 'corrupt') {
      this.#deliver({ ...delivery, payload: this.#planter.corrupted(payload) });
      return;
    }
    this.#deliver(delivery);
    if (plant === 'duplicate' || plant === 'repeat') {
      const after = this.#planter.within(0, 20);
      if (after === 0) this.session.deliver(delivery);
      else this.#again.push({ delivery, after });
    } else if (plant === 'phantom') {
      this.#deliver({ ...delivery, payload: this.#planter.forged(payload) });
    } else if (plant === 'wrong-topic') {
      this.#deliver(elsewhere(delivery));
    }
  }

  #deliver(delivery: Delivery): void {
    this.session.deliver(delivery);
    if (this.#again.length === 0) return;
    const due = this.#again.filter((again) => --again.after <= 0);
    this.#again = this.#again.filter((again) => !due.includes(again));
    for (const again of due) this.session.deliver(again.delivery);
  }
}

function elsewhere(delivery: Delivery): Delivery {
  return { ...delivery, topicName: `${delivery.topicName}/elsewhere` };
}
