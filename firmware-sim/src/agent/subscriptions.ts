import type { SubscribeOptions } from '../client/client.ts';

interface Entry {
  options: SubscribeOptions;
  /**
   *     wanted -> asked -> granted | refused        granted, asked -> unwanted -> leaving -> (gone)
   *
   * A lost connection takes asked back to wanted and leaving back to unwanted; a lost session takes all to wanted.
   */
  state: 'wanted' | 'asked' | 'granted' | 'refused' | 'unwanted' | 'leaving';
  /** The broker may have it: it was asked for in this session. */
  wasAsked: boolean;
}

/** What a client subscribes to, over all its connections, and how far the broker has followed. */
export class Subscriptions {
  readonly #entries: Map<string, Entry> = new Map();

  want(options: SubscribeOptions): void {
    const entry = this.#entries.get(options.topicFilter);
    if (entry === undefined) {
      this.#entries.set(options.topicFilter, { options, state: 'wanted', wasAsked: false });
      return;
    }
    entry.options = options;
    entry.state = 'wanted';
  }

  /** No more; forgotten at once where the broker never heard of it. */
  unwant(topicFilter: string): void {
    const entry = this.#entries.get(topicFilter);
    if (entry === undefined) return;
    if (!entry.wasAsked) this.#entries.delete(topicFilter);
    else if (entry.state !== 'leaving') entry.state = 'unwanted';
  }

  /** The broker has none of them. */
  sessionLost(): void {
    for (const [topicFilter, entry] of this.#entries) {
      if (entry.state === 'unwanted' || entry.state === 'leaving') this.#entries.delete(topicFilter);
      else entry.state = 'wanted';
      entry.wasAsked = false;
    }
  }

  /** Nobody says whether the broker still has them, as in MQTT 3.1: they are asked for again. */
  sessionDoubtful(): void {
    for (const entry of this.#entries.values()) {
      if (entry.state === 'granted' || entry.state === 'refused') entry.state = 'wanted';
    }
  }

  /** What was asked was perhaps not heard. */
  connectionLost(): void {
    for (const entry of this.#entries.values()) {
      if (entry.state === 'asked') entry.state = 'wanted';
      else if (entry.state === 'leaving') entry.state = 'unwanted';
    }
  }

  /** All that have to be subscribed now; they count as asked from here. */
  takeWanted(): SubscribeOptions[] {
    const wanted: SubscribeOptions[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.state !== 'wanted') continue;
      entry.state = 'asked';
      entry.wasAsked = true;
      wanted.push(entry.options);
    }
    return wanted;
  }

  /** All that have to be unsubscribed now; they count as leaving from here. */
  takeUnwanted(): string[] {
    const unwanted: string[] = [];
    for (const [topicFilter, entry] of this.#entries) {
      if (entry.state !== 'unwanted') continue;
      entry.state = 'leaving';
      unwanted.push(topicFilter);
    }
    return unwanted;
  }

  answered(topicFilter: string, reasonCode: number): void {
    const entry = this.#entries.get(topicFilter);
    if (entry?.state === 'asked') entry.state = reasonCode < 0x80 ? 'granted' : 'refused';
  }

  left(topicFilter: string): void {
    if (this.#entries.get(topicFilter)?.state === 'leaving') this.#entries.delete(topicFilter);
  }
}
