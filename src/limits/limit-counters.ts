/**
 * What limits refuse or hold back: the closed list.
 *
 * - `message-rate`, `byte-rate`: reading from a client paused
 * - `connections`, `sessions`, `will-bytes`: CONNECT refused; `alias-bytes`: a client disconnected
 * - `topic-levels`: a subscription refused or a publisher disconnected; `subscriptions-per-session`: a subscription refused
 * - `connections-per-address`, `connections-per-user`, `pending-connections`, `pending-connections-per-address`,
 *   `connect-rate`, `connect-rate-per-address`: connections refused
 * - `banned-client`, `banned-user`, `banned-address`: connections refused by the ban list
 * - `flapping-client`, `flapping-address`: connections refused by a temporary ban
 * - `in-flight-bytes`: a QoS 1 or 2 message waits, as all clients together have too much in flight
 * - `memory-connections`, `memory-subscriptions`, `memory-publishes`: refused or held back above the memory budget
 */
export const LIMIT_REASONS = [
  'message-rate',
  'byte-rate',
  'connections',
  'sessions',
  'will-bytes',
  'alias-bytes',
  'topic-levels',
  'subscriptions-per-session',
  'connections-per-address',
  'connections-per-user',
  'pending-connections',
  'pending-connections-per-address',
  'connect-rate',
  'connect-rate-per-address',
  'banned-client',
  'banned-user',
  'banned-address',
  'flapping-client',
  'flapping-address',
  'in-flight-bytes',
  'memory-connections',
  'memory-subscriptions',
  'memory-publishes',
] as const;

/** One of the closed list of what limits refuse or hold back. */
export type LimitReason = (typeof LIMIT_REASONS)[number];

/** How often each limit was in somebody's way since the start. */
export class LimitCounters {
  readonly #counts: Map<LimitReason, number> = new Map(LIMIT_REASONS.map((reason) => [reason, 0]));

  /** Counts one refusal. @returns the reason, so that it can be handed on. */
  count(reason: LimitReason): LimitReason {
    this.#counts.set(reason, this.get(reason) + 1);
    return reason;
  }

  /** How often it was counted. */
  get(reason: LimitReason): number {
    return this.#counts.get(reason) as number;
  }

  /** All of them, in the order of the list. */
  entries(): IterableIterator<[LimitReason, number]> {
    return this.#counts.entries();
  }
}
