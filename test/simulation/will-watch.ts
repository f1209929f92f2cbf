import type { History } from './history.ts';

/** Time the broker gets beyond a deadline before something counts as not done, ms. */
const SLACK_MS = 5000;
/** After this long a clean end is on a disk that has room, ms. */
const SETTLED_MS = 3000;

/** A will whose connection has ended. */
interface PendingWill {
  publisher: string;
  sequence: number;
  /** Whether it is due with the end of its connection. */
  isImmediate: boolean;
  delayMs: number;
  /** It is not published before this time, and has been after `latest`; ms since the epoch. */
  earliest: number;
  latest: number;
}

/** Says of every will whether it has to come, must not, or may: once on an unclean end, never on a clean one. */
export class WillWatch {
  readonly #history: History;
  #pending: PendingWill[] = [];
  #cleanEnds: { publisher: string; sequence: number; settledAt: number }[] = [];
  #hasRoom = true;
  /** Whether a broker is gone, and what it left not taken care of. */
  isTroubled = false;

  constructor(history: History) {
    this.#history = history;
  }

  /**
   * A connection ended without a clean DISCONNECT; `delayMs` is what the will waits at most. The broker may have noticed
   * at any time since it was heard of last.
   */
  lost(publisher: string, sequence: number, delayMs: number, times: { heardAt: number; now: number }): void {
    const isImmediate = delayMs === 0;
    const earliest = times.heardAt + delayMs;
    const latest = this.isTroubled ? Number.POSITIVE_INFINITY : times.now + delayMs + SLACK_MS;
    this.#pending.push({ publisher, sequence, isImmediate, delayMs, earliest, latest });
  }

  /** A connection ended with a DISCONNECT that the broker is known to have read. */
  endedCleanly(publisher: string, sequence: number, now: number): void {
    if (this.isTroubled) return;
    const settledAt = this.#hasRoom ? now + SETTLED_MS : Number.POSITIVE_INFINITY;
    this.#cleanEnds.push({ publisher, sequence, settledAt });
  }

  /** The disk has room from now on, or has none: what waits to be stored waits on. */
  stores(hasRoom: boolean, now: number): void {
    this.#hasRoom = hasRoom;
    for (const end of this.#cleanEnds) end.settledAt = hasRoom ? now + SETTLED_MS : Number.POSITIVE_INFINITY;
  }

  /** The client is about to connect again: what becomes of a delayed will, CONNACK says, or nothing. */
  reconnecting(publisher: string): PendingWill[] {
    const open = this.#pending.filter((will) => will.publisher === publisher && !will.isImmediate);
    this.#pending = this.#pending.filter((will) => !open.includes(will));
    return open;
  }

  /** The client is connected again. */
  reconnected(open: readonly PendingWill[], sessionPresent: boolean, now: number): void {
    for (const { publisher, sequence, earliest } of open) {
      // A session that is gone took its will with it: it was due then [MQTT-3.1.3-9].
      if (!sessionPresent) this.#history.acknowledged(publisher, sequence);
      else if (now < earliest) this.#history.tell((checker) => checker.forbidden(publisher, sequence));
    }
  }

  /** The broker is gone: a clean end it had not stored may count as unclean, and delays begin anew. */
  crashed(): void {
    this.isTroubled = true;
    this.#cleanEnds = [];
    for (const will of this.#pending) will.latest = Number.POSITIVE_INFINITY;
  }

  /** The broker is there again, with a disk that has room. */
  restarted(now: number): void {
    this.#hasRoom = true;
    this.isTroubled = false;
    for (const will of this.#pending) {
      if (will.latest === Number.POSITIVE_INFINITY) will.latest = now + will.delayMs + SLACK_MS;
    }
  }

  /** Tells the checker what has become certain. */
  pass(now: number): void {
    for (const { publisher, sequence } of this.#pending.filter(({ latest }) => latest < now))
      this.#history.acknowledged(publisher, sequence);
    this.#pending = this.#pending.filter(({ latest }) => latest >= now);
    for (const { publisher, sequence } of this.#cleanEnds.filter(({ settledAt }) => settledAt < now))
      this.#history.tell((checker) => checker.forbidden(publisher, sequence));
    this.#cleanEnds = this.#cleanEnds.filter(({ settledAt }) => settledAt >= now);
  }
}
