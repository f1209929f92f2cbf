import type { LimitCounters } from './limit-counters.ts';
import { TokenBucket } from './token-bucket.ts';

/** What one client may send. */
export interface RateSettings {
  /** PUBLISH packets a second; 0 for any number. */
  readonly messageRateMax: number;
  /** Bytes a second; 0 for any number. */
  readonly byteRateMax: number;
}

/**
 * How fast one connection may send, with a second's worth at once. Back-pressure only: whoever sends more is not read
 * from for a while, which TCP tells its sender; nothing is dropped and nobody is closed.
 */
export class ClientRates {
  readonly #counters: LimitCounters;
  readonly #messages: TokenBucket | undefined;
  readonly #bytes: TokenBucket | undefined;

  private constructor(settings: RateSettings, counters: LimitCounters, now: number) {
    const { messageRateMax, byteRateMax } = settings;
    this.#counters = counters;
    this.#messages = messageRateMax > 0 ? new TokenBucket(messageRateMax, messageRateMax, now) : undefined;
    this.#bytes = byteRateMax > 0 ? new TokenBucket(byteRateMax, byteRateMax, now) : undefined;
  }

  /** For a new connection; undefined where there is no limit, so that those who have none pay for none. */
  static of(settings: RateSettings, counters: LimitCounters, now: number): ClientRates | undefined {
    if (settings.messageRateMax === 0 && settings.byteRateMax === 0) return undefined;
    return new ClientRates(settings, counters, now);
  }

  /** Counts what was read at `now`, ms. @returns how long not to read on, ms; 0 for not at all. */
  take(bytes: number, messages: number, now: number): number {
    const forBytes = this.#bytes?.take(bytes, now) ?? 0;
    const forMessages = this.#messages?.take(messages, now) ?? 0;
    if (forBytes === 0 && forMessages === 0) return 0;
    this.#counters.count(forBytes > forMessages ? 'byte-rate' : 'message-rate');
    return Math.max(forBytes, forMessages);
  }
}
