import { addressKey, type AddressRanges } from '../lib/ip-address.ts';
import type { LimitCounters, LimitReason } from './limit-counters.ts';
import { TokenBucket } from './token-bucket.ts';

/** How many connections there may be, and how fast they may come; 0 turns a limit off. */
export interface ConnectionLimitSettings {
  readonly connectionsPerAddressMax: number;
  readonly connectionsPerUserMax: number;
  /** Connections without CONNECT, of all addresses. */
  readonly pendingConnectionsMax: number;
  readonly pendingConnectionsPerAddressMax: number;
  /** New connections a second, of all addresses; a second's worth may come at once. */
  readonly connectRateMax: number;
  readonly connectRatePerAddress: number;
}

/** Addresses remembered although they have no connection, for their rate. */
const IDLE_ADDRESSES_MAX = 65_536;
/** Remembered addresses looked at for each new one when there are too many. */
const LOOKED_AT = 8;

/** What is known of one address. */
interface AddressCount {
  open: number;
  pending: number;
  rate: TokenBucket | undefined;
}

/**
 * Counts connections by address (IPv6 by /64) and by user, before anything is spent on them.
 *
 * Exempt are addresses behind which many stand: balancers that do not say for whom they speak, and by default loopback,
 * where tunnels, side cars and reverse proxies come from. Limits of all addresses together hold for them too. Where
 * there is no address (Unix sockets) access is the file system's business, and nothing is counted by it.
 *
 * The table of addresses is bounded by the connections that are open and by `IDLE_ADDRESSES_MAX`: who can come from more
 * addresses than that gains a fresh rate for one that was forgotten, and meets the rate of all addresses.
 */
export class ConnectionLimits {
  readonly #settings: ConnectionLimitSettings;
  readonly #exempt: AddressRanges;
  readonly #counters: LimitCounters;
  readonly #makeRoom: () => boolean;
  readonly #addresses: Map<string, AddressCount> = new Map();
  readonly #users: Map<string, number> = new Map();
  #rate: TokenBucket | undefined = undefined;
  #pending = 0;

  /**
   * @param makeRoom Closes a connection without CONNECT that waits for its client, and says whether there was one: who
   *   stalls gives way to who is new, as otherwise those who stall could keep everybody out.
   */
  constructor(
    settings: ConnectionLimitSettings,
    exempt: AddressRanges,
    counters: LimitCounters,
    makeRoom: () => boolean,
  ) {
    this.#settings = settings;
    this.#exempt = exempt;
    this.#counters = counters;
    this.#makeRoom = makeRoom;
  }

  /** Addresses known now. */
  get addressCount(): number {
    return this.#addresses.size;
  }

  /** What the other methods know the connection by: to be kept with it. Empty where it is not counted by address. */
  keyOf(address: string): string {
    return this.#exempt.has(address) ? '' : addressKey(address);
  }

  /** Counts a new connection. @returns why it is refused; then nothing was counted, and no `settled` or `closed` follows. */
  accept(key: string, now: number): LimitReason | undefined {
    const entry = key === '' ? undefined : this.#entryOf(key, now);
    // The narrow limits first: what one address has too much of must not be taken from the others.
    const reason = (entry === undefined ? undefined : this.#refusalOf(entry, now)) ?? this.#refusalOfAll(now);
    if (reason !== undefined) {
      this.#forgetIdle(key);
      return this.#counters.count(reason);
    }
    this.#pending += 1;
    if (entry === undefined) return undefined;
    // Whoever made room may have been the last one of this address.
    this.#addresses.set(key, entry);
    entry.open += 1;
    entry.pending += 1;
    return undefined;
  }

  /** A connection is past CONNECT, or has ended without; once for each that was accepted. */
  settled(key: string): void {
    this.#pending -= 1;
    const entry = this.#addresses.get(key);
    if (entry !== undefined) entry.pending -= 1;
  }

  /** A connection is gone; once for each that was accepted, after `settled`. */
  closed(key: string): void {
    const entry = this.#addresses.get(key);
    if (entry === undefined) return;
    entry.open -= 1;
    this.#forgetIdle(key);
  }

  /**
   * Counts a connection of a user whose name is proven; anonymous clients (no name) have no such limit. One that takes
   * over a connection of the same user is let in at the limit: the old one goes.
   * @returns why it is refused; then nothing was counted, and no `userGone` follows.
   */
  admitUser(username: string, takesOver: boolean): LimitReason | undefined {
    const { connectionsPerUserMax } = this.#settings;
    if (username === '') return undefined;
    const count = this.#users.get(username) ?? 0;
    if (connectionsPerUserMax > 0 && count >= connectionsPerUserMax && !takesOver)
      return this.#counters.count('connections-per-user');
    this.#users.set(username, count + 1);
    return undefined;
  }

  /** A connection that `admitUser` counted is gone. */
  userGone(username: string): void {
    const left = (this.#users.get(username) ?? 0) - 1;
    if (left > 0) this.#users.set(username, left);
    else this.#users.delete(username);
  }

  #refusalOf(entry: AddressCount, now: number): LimitReason | undefined {
    const { connectionsPerAddressMax, pendingConnectionsPerAddressMax } = this.#settings;
    if (connectionsPerAddressMax > 0 && entry.open >= connectionsPerAddressMax) return 'connections-per-address';
    if (pendingConnectionsPerAddressMax > 0 && entry.pending >= pendingConnectionsPerAddressMax)
      return 'pending-connections-per-address';
    return entry.rate === undefined || entry.rate.takeIfThere(1, now) ? undefined : 'connect-rate-per-address';
  }

  /** Refusals that hold for all addresses together. */
  #refusalOfAll(now: number): LimitReason | undefined {
    const { pendingConnectionsMax, connectRateMax } = this.#settings;
    if (connectRateMax > 0) {
      this.#rate ??= new TokenBucket(connectRateMax, connectRateMax, now);
      if (!this.#rate.takeIfThere(1, now)) return 'connect-rate';
    }
    if (pendingConnectionsMax === 0 || this.#pending < pendingConnectionsMax) return undefined;
    if (!this.#makeRoom()) return 'pending-connections';
    this.#counters.count('pending-connections');
    return undefined;
  }

  /** Forgets an address of which nothing is to be remembered. */
  #forgetIdle(key: string): void {
    const entry = this.#addresses.get(key);
    if (entry !== undefined && entry.open === 0 && entry.rate === undefined) this.#addresses.delete(key);
  }

  #entryOf(key: string, now: number): AddressCount {
    const known = this.#addresses.get(key);
    if (known !== undefined) return known;
    if (this.#addresses.size >= IDLE_ADDRESSES_MAX) this.#forgetSome();
    const { connectRatePerAddress } = this.#settings;
    const rate =
      connectRatePerAddress > 0 ? new TokenBucket(connectRatePerAddress, connectRatePerAddress, now) : undefined;
    const entry = { open: 0, pending: 0, rate };
    this.#addresses.set(key, entry);
    return entry;
  }

  /** Forgets the oldest addresses without a connection; those with one go to the end of the row. */
  #forgetSome(): void {
    let left = LOOKED_AT;
    for (const [key, entry] of this.#addresses) {
      if (left === 0) return;
      left -= 1;
      this.#addresses.delete(key);
      if (entry.open > 0) this.#addresses.set(key, entry);
    }
  }
}
