import type { Random } from '../../src/lib/random.ts';
import { Lane } from './lane.ts';
import { Planter, type PlantOptions } from './planter.ts';
import { type RoutedMessage, Session, type Subscription } from './session.ts';
import { topicMatches } from './topic-match.ts';

/** Sessions, retained messages and shared groups: who gets what. Knows no connections. */
export class Router {
  readonly planter: Planter;
  readonly #random: Random;
  readonly #lanes: Map<string, Lane> = new Map();
  /** By topic name; with the value before, if there was one. */
  readonly #retained: Map<string, { readonly last: RoutedMessage; readonly before: RoutedMessage | undefined }> =
    new Map();
  /** Deliveries so far, by group. */
  readonly #turns: Map<string, number> = new Map();

  constructor(plants: PlantOptions) {
    this.planter = new Planter(plants);
    this.#random = plants.random;
  }

  /** Whether nothing is under way to anybody. */
  get isIdle(): boolean {
    return [...this.#lanes.values()].every(({ session }) => session.isIdle);
  }

  /** Whether something planted is not complete yet: see {@link Lane.isHolding}. */
  get isHolding(): boolean {
    return [...this.#lanes.values()].some((lane) => lane.isHolding);
  }

  session(clientId: string): Session | undefined {
    return this.#lanes.get(clientId)?.session;
  }

  create(clientId: string, expirySeconds: number): Session {
    const session = new Session(clientId, expirySeconds);
    this.#lanes.set(clientId, new Lane(session, this.planter));
    return session;
  }

  end(session: Session): void {
    if (this.session(session.clientId) === session) this.#lanes.delete(session.clientId);
  }

  /** Ends all swaps and repetitions that wait for a next message. */
  release(): void {
    for (const lane of this.#lanes.values()) lane.release();
  }

  releaseLate(): void {
    for (const lane of this.#lanes.values()) lane.releaseLate();
  }

  route(message: RoutedMessage): void {
    if (message.retain) this.#retain(message);
    const others: Session[] = [];
    const groups: Map<string, [Session, Subscription][]> = new Map();
    for (const lane of this.#lanes.values()) {
      const { session } = lane;
      let qos = -1;
      let retainFlag = false;
      for (const subscription of session.subscriptions.values()) {
        if (!topicMatches(subscription.topicFilter, message.topicName)) continue;
        if (subscription.group !== undefined) {
          const key = `${subscription.group}/${subscription.topicFilter}`;
          groups.set(key, [...(groups.get(key) ?? []), [session, subscription]]);
          continue;
        }
        if (subscription.noLocal && session.clientId === message.publisherId) continue;
        qos = Math.max(qos, subscription.qos);
        retainFlag ||= message.retain && subscription.retainAsPublished;
      }
      if (qos === -1) others.push(session);
      else lane.pass({ ...message, deliveryQos: lower(message.qos, qos), retainFlag });
    }
    for (const [group, members] of groups) this.#passToMember(group, members, message);
    this.#leak(message, others, groups);
  }

  /** The retained messages of a new subscription. */
  replay(session: Session, subscription: Subscription): void {
    for (const [topicName, { last, before }] of this.#retained) {
      if (!topicMatches(subscription.topicFilter, topicName)) continue;
      if (subscription.noLocal && last.publisherId === session.clientId) continue;
      const plants = before === undefined ? (['no-retained'] as const) : (['no-retained', 'stale-retained'] as const);
      const spot = { clientId: session.clientId, topicName, publisherId: last.publisherId, qos: last.qos };
      const plant = this.planter.draw(plants, spot);
      if (plant === 'no-retained') continue;
      const message = plant === 'stale-retained' && before !== undefined ? before : last;
      session.deliver({ ...message, deliveryQos: lower(message.qos, subscription.qos), retainFlag: true });
    }
  }

  #retain(message: RoutedMessage): void {
    const { topicName } = message;
    if (message.payload.length === 0) this.#retained.delete(topicName);
    else this.#retained.set(topicName, { last: message, before: this.#retained.get(topicName)?.last });
  }

  /** Takes turns among the members that are there, or among all when none is. */
  #passToMember(group: string, members: [Session, Subscription][], message: RoutedMessage): void {
    const present = members.filter(([session]) => session.isConnected);
    const able = present.length > 0 ? present : members;
    const turn = this.#turns.get(group) ?? 0;
    this.#turns.set(group, turn + 1);
    const member = able[turn % able.length];
    if (member === undefined) return;
    const [session, { qos }] = member;
    this.#lanes.get(session.clientId)?.pass({ ...message, deliveryQos: lower(message.qos, qos), retainFlag: false });
  }

  #leak(message: RoutedMessage, others: readonly Session[], groups: ReadonlyMap<string, [Session, unknown][]>): void {
    const members = new Set([...groups.values()].flat().map(([session]) => session));
    const victims = others.filter((session) => session.isConnected && !members.has(session));
    if (victims.length === 0) return;
    const session = this.#random.pick(victims);
    const { topicName, publisherId, qos } = message;
    const spot = { clientId: session.clientId, topicName, publisherId, qos };
    if (this.planter.draw(['leak'], spot) === undefined) return;
    session.deliver({ ...message, deliveryQos: message.qos, retainFlag: false });
  }
}

function lower(left: number, right: number): 0 | 1 | 2 {
  return Math.min(left, right) as 0 | 1 | 2;
}
