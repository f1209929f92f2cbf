import { createHash } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { addressKey } from '../lib/ip-address.ts';
import { RecentMap } from '../lib/recent-map.ts';

/** How failed logins are slowed down. */
export interface BackoffOptions {
  /** Failures of one user from one address that cost nothing. */
  readonly pairFailuresFree: number;
  /** Failures of one address, whatever the user, that cost nothing: many devices may share it. */
  readonly addressFailuresFree: number;
  /** Of the failures of an address one is forgiven per so many ms. */
  readonly forgivenMs: number;
  /** Wait after the first failure that costs something, ms; it doubles with each further one. */
  readonly firstDelayMs: number;
  /** The longest wait, ms. */
  readonly delayMsMax: number;
  /** After so many ms without a failure all are forgotten. */
  readonly forgottenMs: number;
  /** Entries of each of the three tables; the oldest makes room. Some 200 bytes each. */
  readonly entriesMax: number;
  /** Addresses that many clients share, such as that of a balancer: what fails there counts for user and address only. So it does on a Unix socket. */
  readonly isShared: (address: string) => boolean;
}

/** A guesser gets about four attempts a minute out of one address, and one a minute at one user. */
const defaultBackoff: BackoffOptions = {
  pairFailuresFree: 3,
  addressFailuresFree: 50,
  forgivenMs: 10_000,
  firstDelayMs: 1_000,
  delayMsMax: 60_000,
  forgottenMs: 600_000,
  entriesMax: 50_000,
  isShared: () => false,
};

/** Failures in a row. */
interface Failures {
  readonly count: number;
  /** When the last one was, ms since the epoch. */
  readonly at: number;
}

/** Longer keys are replaced by their hash, so that a table of user names of 64 KiB stays small. */
const KEY_CHARACTERS_MAX = 128;

/**
 * Makes guessing slow. Waits belong to a user at an address, and to an address: whoever fails for a victim elsewhere
 * never hinders the victim. A user who logged in from an address before does not wait for what others fail there.
 */
export class Backoff {
  readonly #clock: Clock;
  readonly #options: BackoffOptions;
  readonly #pairs: RecentMap<string, Failures>;
  readonly #addresses: RecentMap<string, Failures>;
  /** Pairs of user and address that have logged in. */
  readonly #welcome: RecentMap<string, true>;
  #failed = 0;
  #heldOff = 0;

  constructor(clock: Clock, options: Partial<BackoffOptions> = {}) {
    this.#clock = clock;
    this.#options = { ...defaultBackoff, ...options };
    this.#pairs = new RecentMap(this.#options.entriesMax);
    this.#addresses = new RecentMap(this.#options.entriesMax);
    this.#welcome = new RecentMap(this.#options.entriesMax);
  }

  /** Failed logins and attempts that were held off so far; users at addresses, and addresses, that are remembered now. */
  get counters(): { failed: number; heldOff: number; pairs: number; addresses: number } {
    return {
      failed: this.#failed,
      heldOff: this.#heldOff,
      pairs: this.#pairs.size,
      addresses: this.#addresses.size,
    };
  }

  /**
   * How long until an attempt of this user from this address is looked at, ms; 0 for now. Asked once per attempt: one that
   * has to wait is refused without a look at the password, and is no failure.
   * @param address Without a port; IPv6 addresses of one /64 are one.
   */
  waitMs(user: string, address: string): number {
    const network = addressKey(address);
    const key = pairKey(user, network);
    const { pairFailuresFree, addressFailuresFree } = this.#options;
    const pairMs = this.#restMs(this.#pairs.get(key), pairFailuresFree);
    const isAlone = this.#welcome.get(key) === true;
    const addressMs = isAlone ? 0 : this.#restMs(this.#addresses.get(network), addressFailuresFree);
    const waitMs = Math.max(pairMs, addressMs);
    if (waitMs > 0) this.#heldOff += 1;
    return waitMs;
  }

  /** Whether the user has logged in from this address before, as far as that is remembered. */
  hasSucceeded(user: string, address: string): boolean {
    return this.#welcome.get(pairKey(user, addressKey(address))) === true;
  }

  /** A login that was looked at failed, also one of an unknown user. */
  failed(user: string, address: string): void {
    this.#failed += 1;
    const network = addressKey(address);
    const { pairFailuresFree, addressFailuresFree, forgivenMs, isShared } = this.#options;
    const key = pairKey(user, network);
    const pair = this.#kept(this.#pairs.get(key), Number.POSITIVE_INFINITY);
    this.#pairs.set(key, this.#oneMore(pair, pairFailuresFree));
    if (network === '' || isShared(address)) return;
    const ofAddress = this.#kept(this.#addresses.get(network), forgivenMs);
    this.#addresses.set(network, this.#oneMore(ofAddress, addressFailuresFree));
  }

  /** A login succeeded: its user starts afresh at this address. The address does not, or one account would be enough to go on guessing. */
  succeeded(user: string, address: string): void {
    const key = pairKey(user, addressKey(address));
    this.#pairs.delete(key);
    this.#welcome.set(key, true);
  }

  #restMs(failures: Failures | undefined, free: number): number {
    if (failures === undefined || failures.count <= free) return 0;
    const delayMs = Math.min(this.#options.delayMsMax, this.#options.firstDelayMs * 2 ** (failures.count - free - 1));
    return Math.max(0, failures.at + delayMs - this.#clock.now());
  }

  /** How many failures still count, one of them forgiven per so many ms. */
  #kept(failures: Failures | undefined, forgivenMs: number): number {
    if (failures === undefined) return 0;
    const sinceMs = this.#clock.now() - failures.at;
    if (sinceMs >= this.#options.forgottenMs) return 0;
    return Math.max(0, failures.count - Math.floor(sinceMs / forgivenMs));
  }

  /** Once the wait is as long as it gets, more failures must not take longer to be forgiven. */
  #oneMore(count: number, free: number): Failures {
    const { firstDelayMs, delayMsMax } = this.#options;
    const countMax = free + 1 + Math.ceil(Math.log2(Math.max(1, delayMsMax / firstDelayMs)));
    return { count: Math.min(count + 1, countMax), at: this.#clock.now() };
  }
}

/** No address holds a space, no user name U+0000. */
function pairKey(user: string, network: string): string {
  if (user.length <= KEY_CHARACTERS_MAX) return `${network} ${user}`;
  return `${network} \0${createHash('sha256').update(user).digest('base64')}`;
}
