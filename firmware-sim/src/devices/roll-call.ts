import type { IncomingMessage, SubscribeOptions } from '../client/client.ts';
import type { Peers } from './device.ts';
import { readJsonObject } from './json-object.ts';
import { TopicTemplate } from './topics.ts';

/**
 * Which devices of a class can be reached, as far as their births and wills tell, in turns: those that are online, and
 * those that sleep or reboot while a session waits for them. Where the class has neither birth nor will, all of them.
 */
export class RollCall {
  /** Where the class tells that it comes and goes. */
  readonly subscriptions: readonly SubscribeOptions[];
  readonly #peers: Peers;
  readonly #indices: ReadonlyMap<string, number>;
  /** What a device says of itself when it can be reached. */
  readonly #reachable: ReadonlySet<unknown>;
  /** Numbers of those that can be reached, who has waited longest first. */
  readonly #present: Set<number>;

  constructor(peers: Peers, prefix: string) {
    const { deviceClass, count } = peers;
    const life = 'life' in deviceClass ? deviceClass.life : undefined;
    const topics = [life?.birthTopic, life?.willTopic].filter((topic) => topic !== undefined);
    const filters = topics.map((topic) => new TopicTemplate(topic).filter({ prefix, class: deviceClass.name }));
    this.subscriptions = [...new Set(filters)].map((topicFilter) => ({ topicFilter, qos: 1 }));
    const all = Array.from({ length: count }, (_, index) => index);
    const isTold = filters.length > 0;
    const isPersistent = deviceClass.connection.session === 'persistent';
    this.#reachable = new Set(isPersistent ? ['online', 'asleep', 'rebooting'] : ['online']);
    this.#peers = peers;
    this.#indices = new Map(isTold ? all.map((index) => [peers.nameOf(index), index]) : []);
    this.#present = new Set(isTold ? [] : all);
  }

  /** Whose turn it is; undefined when nobody can be reached. */
  next(): { readonly index: number; readonly name: string } | undefined {
    const [index] = this.#present;
    if (index === undefined) return undefined;
    this.#present.delete(index);
    this.#present.add(index);
    return { index, name: this.#peers.nameOf(index) };
  }

  /** Listens for births and wills. */
  onMessage({ payload }: IncomingMessage): void {
    if (this.subscriptions.length === 0) return;
    const value = readJsonObject(payload);
    const device = value?.['device'];
    const index = typeof device === 'string' ? this.#indices.get(device) : undefined;
    const state = value?.['state'];
    if (index === undefined || typeof state !== 'string') return;
    if (this.#reachable.has(state)) this.#present.add(index);
    else this.#present.delete(index);
  }
}
