import { errorText } from '../lib/error-text.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { backendUrl, exchange, HttpProblem, urlForLog } from './http-exchange.ts';
import { checkAlgorithms, type KeySearch, searchKeys, type TokenHeader, type TokenKeys } from './token-keys.ts';
import { parseKeySet, publicAlgorithms, restrictKeys, type VerificationKey } from './verification-key.ts';

/** Where a key set is fetched from, and how. */
export interface RemoteKeySetOptions {
  /** Https, or http to this machine. */
  readonly url: string;
  /** Algorithms tokens may be signed by; empty for all that the keys can do. */
  readonly algorithms: readonly string[];
  /** For one request, ms; 100 to 60,000. */
  readonly timeoutMs: number;
  /** How long after a request no token with an unknown key makes another, ms; 1,000 to 3,600,000. */
  readonly cooldownMs: number;
  /** How long keys are used after they were last fetched, ms; 3,600,000 and above. */
  readonly keptMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const bytesMax = 1_048_576;
const freshMsMin = 300_000;
/** Where the answer does not say how long it is good for. */
const freshMsDefault = 3_600_000;
const retryMsMin = 30_000;
const retryMsMax = 300_000;

/**
 * A JSON Web Key Set behind a URL, fetched anew in the background before it is stale and, at most once in a cool-down,
 * when a token names a key that it does not hold. While the URL is away the keys known stay in force, for a time.
 *
 *     fetched ── max-age (5 min to half of `keptMs`) ──► fetched ──► ...
 *        └─ failed ── 30 s, 60 s, ... 5 min ──► fetched, or after `keptMs` ──► no keys
 */
export class RemoteKeySet implements TokenKeys {
  readonly #options: RemoteKeySetOptions;
  readonly #url: URL;
  readonly #closing = new AbortController();
  #keys: readonly VerificationKey[] = [];
  /** Why there are no keys. */
  #problem = 'they were not asked for yet';
  #failures = 0;
  #askedAt = -Infinity;
  #takenAt = -Infinity;
  #asking: Promise<void> | undefined;
  #timer: Timer | undefined;

  private constructor(options: RemoteKeySetOptions, url: URL) {
    this.#options = options;
    this.#url = url;
  }

  /**
   * Fetches the keys for the first time. Where that fails it is logged, every token is refused, and it is tried again.
   * @throws Error of one sentence where URL or algorithms cannot be used.
   */
  static async open(options: RemoteKeySetOptions): Promise<RemoteKeySet> {
    checkAlgorithms(options.algorithms, publicAlgorithms);
    const keySet = new RemoteKeySet(options, backendUrl(options.url, 'The URL of the key set'));
    await keySet.#ask();
    return keySet;
  }

  async find(header: TokenHeader): Promise<KeySearch> {
    const { algorithms } = this.#options;
    if (!(algorithms.length > 0 ? algorithms : publicAlgorithms).includes(header.alg)) {
      return { kind: 'none', reason: 'the algorithm that the token names is not allowed' };
    }
    this.#giveUpOld();
    const found = searchKeys(this.#keys, header);
    if (found.kind === 'found') return found;
    const isCool = this.#options.clock.now() - this.#askedAt >= this.#options.cooldownMs;
    if (this.#asking !== undefined || isCool) await this.#ask();
    if (this.#keys.length > 0) return searchKeys(this.#keys, header);
    return { kind: 'none', reason: `the keys of tokens are not known: ${this.#problem}` };
  }

  /** Asks anew, and waits for no answer: what else is read anew need not either. */
  async reload(): Promise<void> {
    void this.#ask();
  }

  close(): void {
    this.#closing.abort();
    this.#timer?.cancel();
  }

  /** Whoever keeps the URL away must not keep a key in force for ever that its owner has withdrawn. */
  #giveUpOld(): void {
    const { clock, keptMs, logger } = this.#options;
    if (this.#keys.length === 0 || clock.now() - this.#takenAt < keptMs) return;
    this.#keys = [];
    logger.error('the keys of tokens were not fetched for too long: no token is accepted', {
      url: urlForLog(this.#url),
    });
  }

  /** One request at a time; never rejects. */
  #ask(): Promise<void> {
    this.#asking ??= this.#fetch().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #fetch(): Promise<void> {
    const { clock, logger, timeoutMs } = this.#options;
    this.#timer?.cancel();
    let nextMs: number;
    try {
      nextMs = this.#take(await exchange({ url: this.#url, timeoutMs, bytesMax, closing: this.#closing.signal }));
    } catch (error) {
      this.#problem = error instanceof HttpProblem ? error.message : `its answer ${errorText(error)}`;
      nextMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(this.#failures, 10));
      this.#failures += 1;
      if (!this.#closing.signal.aborted) {
        const fields = { url: urlForLog(this.#url), reason: this.#problem, keys: this.#keys.length };
        logger.warn('the keys of tokens cannot be fetched; those known stay in force', fields);
      }
    }
    this.#askedAt = clock.now();
    if (!this.#closing.signal.aborted) this.#timer = clock.setTimeout(() => void this.#ask(), nextMs);
  }

  /**
   * Takes the keys of an answer over, all at once.
   * @returns how long they are good for, ms.
   * @throws Error, a clause.
   */
  #take({ text, headers }: { text: string; headers: Headers }): number {
    const { keys, leftOut } = parseKeySet(text);
    const usable = restrictKeys(keys, this.#options.algorithms);
    if (usable.length === 0) throw new Error('holds no key that can do an algorithm which is allowed');
    this.#keys = usable;
    this.#failures = 0;
    this.#takenAt = this.#options.clock.now();
    const fields = {
      url: urlForLog(this.#url),
      keys: usable.length,
      leftOut: leftOut.length,
      firstLeftOut: leftOut[0],
    };
    this.#options.logger.info('the keys of tokens were fetched', fields);
    // With half of the time left to try again.
    return Math.min(this.#options.keptMs / 2, freshMs(headers.get('cache-control') ?? ''));
  }
}

/** How long an answer is good for, ms, RFC 9111 section 5.2.2.1, at least five minutes. */
function freshMs(cacheControl: string): number {
  if (/\bno-(store|cache)\b/i.test(cacheControl)) return freshMsMin;
  const seconds = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(cacheControl)?.[1];
  return seconds === undefined ? freshMsDefault : Math.max(freshMsMin, Number(seconds) * 1_000);
}
