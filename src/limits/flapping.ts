import { createHash } from 'node:crypto';
import type { LimitCounters } from './limit-counters.ts';

/** When somebody comes too often, and for how long it is sent away; 0 for a number of times turns that off. */
export interface FlappingSettings {
  /** Successful connections of one client id in a window. */
  readonly connectsMax: number;
  /** Failed connections of one address in a window. */
  readonly failuresMax: number;
  readonly windowMs: number;
  readonly banMs: number;
}

/** Characters of a name that is kept as it is. */
const KEY_LENGTH_MAX = 128;
/** Names and bans that have run out and are forgotten for each new one. */
const FORGOTTEN_EACH = 2;

/** Names that are counted at once, and bans at once, each for clients and for addresses. */
const ENTRIES_MAX = 65_536;

/**
 * Sends away for a while who connects over and over. What counts is chosen so that nobody can get somebody else banned:
 *
 * - A client id is counted together with the user it belongs to, when that has proven who it is. Whoever cannot log in as
 *   that user adds nothing to it. Without authentication everybody could take a client id over again and again, and its
 *   owner, who comes back each time, would be counted with the attacker: so those are not counted (empty user name).
 * - An address is counted for connections that failed only: wrong credentials, no CONNECT, malformed packets. An address is
 *   that of who completed the handshake of TCP (or what a trusted balancer says), so it cannot be made up; and many
 *   devices behind one address that come back after an outage have done nothing wrong.
 * - Being refused while banned counts for nothing, so a ban ends although its client goes on trying.
 *
 * Who shares a user name and client id, or an address, with an attacker suffers with it, for `banMs`: users of their own
 * and `limits.addressesExempt` are against that. Bans are kept in memory only: whoever attacks must not make the broker write.
 */
export class FlappingGuard {
  readonly #counters: LimitCounters;
  readonly #clients: ChurnTable;
  readonly #addresses: ChurnTable;

  constructor(settings: FlappingSettings, counters: LimitCounters) {
    const { connectsMax, failuresMax, windowMs, banMs } = settings;
    this.#counters = counters;
    this.#clients = new ChurnTable(connectsMax, windowMs, banMs);
    this.#addresses = new ChurnTable(failuresMax, windowMs, banMs);
  }

  /** Names that are known now. */
  get size(): number {
    return this.#clients.size + this.#addresses.size;
  }

  /** Whether an address is sent away now, counted as a refusal. `key` as of `ConnectionLimits.keyOf`. */
  refusesAddress(key: string, now: number): boolean {
    if (!this.#addresses.isBanned(key, now)) return false;
    this.#counters.count('flapping-address');
    return true;
  }

  /** Whether a user, who has proven to be that, is sent away with this client id now, counted as a refusal. */
  refusesClient(username: string, clientId: string, now: number): boolean {
    if (!this.#clients.isBanned(clientKey(username, clientId), now)) return false;
    this.#counters.count('flapping-client');
    return true;
  }

  /** A connection of this address ended before it was let in. @returns whether the address is banned from now on. */
  noteFailure(key: string, now: number): boolean {
    return key !== '' && this.#addresses.note(key, now);
  }

  /** A user, who has proven to be that, was let in. @returns whether it is banned with this client id from now on. */
  noteConnected(username: string, clientId: string, now: number): boolean {
    return username !== '' && this.#clients.note(clientKey(username, clientId), now);
  }
}

/** No two pairs have the same; as short where a client has names of 64 KiB. */
function clientKey(username: string, clientId: string): string {
  const key = `${username.length} ${username}${clientId}`;
  return key.length <= KEY_LENGTH_MAX ? key : createHash('sha256').update(key).digest('base64');
}

interface Churn {
  /** Times counted, less what has drained since. */
  level: number;
  at: number;
}

/**
 * Counts names in leaky buckets: each time adds one, and `max` drain in a window, so that who comes no more often than that
 * is never banned. The least recently counted name is forgotten where there are too many. Bans have a table of their own,
 * so that a flood of names forgets none of them.
 */
class ChurnTable {
  readonly #max: number;
  readonly #windowMs: number;
  readonly #banMs: number;
  readonly #churns: Map<string, Churn> = new Map();
  /** Ends of bans by name, in their order, as all are of one length. */
  readonly #bans: Map<string, number> = new Map();

  constructor(max: number, windowMs: number, banMs: number) {
    this.#max = max;
    this.#windowMs = windowMs;
    this.#banMs = banMs;
  }

  /** Names that are counted, or banned. */
  get size(): number {
    return this.#churns.size + this.#bans.size;
  }

  isBanned(name: string, now: number): boolean {
    const until = this.#bans.get(name);
    if (until === undefined) return false;
    if (until > now) return true;
    this.#bans.delete(name);
    return false;
  }

  note(name: string, now: number): boolean {
    if (this.#max === 0) return false;
    this.#forgetOld(now);
    const churn = this.#churns.get(name);
    const drained = churn === undefined ? 0 : ((now - churn.at) * this.#max) / this.#windowMs;
    const level = Math.max(0, (churn?.level ?? 0) - drained) + 1;
    this.#churns.delete(name);
    if (level > this.#max) {
      this.#bans.delete(name);
      keepBounded(this.#bans);
      this.#bans.set(name, now + this.#banMs);
      return true;
    }
    keepBounded(this.#churns);
    this.#churns.set(name, { level, at: now });
    return false;
  }

  /** What was counted last before a window ago has drained to nothing. The oldest of both tables are the first. */
  #forgetOld(now: number): void {
    let left = FORGOTTEN_EACH;
    for (const [name, { at }] of this.#churns) {
      if (left-- === 0 || now - at < this.#windowMs) break;
      this.#churns.delete(name);
    }
    left = FORGOTTEN_EACH;
    for (const [name, until] of this.#bans) {
      if (left-- === 0 || until > now) break;
      this.#bans.delete(name);
    }
  }
}

/** Makes room for one more: the oldest goes. */
function keepBounded(table: Map<string, unknown>): void {
  if (table.size < ENTRIES_MAX) return;
  const oldest = table.keys().next();
  if (oldest.done !== true) table.delete(oldest.value);
}
