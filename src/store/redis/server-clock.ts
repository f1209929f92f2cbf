import type { TimeOffset } from '../time-offset.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Scripts } from './script-runner.ts';

/** Questions asked for one measurement. */
const ROUND_TRIPS = 5;
/** Clocks that are no further apart count as equal, ms: times that are stored and read again stay as they are. */
const TOLERANCE_MS = 100;
/** Part of a change that one measurement brings, so that no expiry jumps because one of them was wrong. */
const STEP = 1 / 4;

/**
 * The clock of Redis, by which all nodes of a cluster store their times: their own clocks may differ by hours.
 *
 * A question is answered at some instant between being asked and being answered, so that the middle of the quickest of
 * some round trips is wrong by half of it at most. What is not more than that counts as no change.
 */
export class ServerClock implements TimeOffset {
  readonly #askTime: () => Promise<number>;
  readonly #now: () => number;
  #offsetMs = 0;
  #isMeasured = false;

  /**
   * @param askTime resolves to the time of Redis, see `redisTime`.
   * @param now the local clock; both in ms since the epoch.
   */
  constructor(askTime: () => Promise<number>, now: () => number) {
    this.#askTime = askTime;
    this.#now = now;
  }

  /** How far the clock of Redis is ahead of the local one, whole ms; 0 before it was measured. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** Compares the clocks: the first time sets the offset, later ones bring it nearer. @throws the error of the connection. */
  async measure(): Promise<void> {
    let quickest = Number.POSITIVE_INFINITY;
    let measured = 0;
    for (let trip = 0; trip < ROUND_TRIPS; trip++) {
      const asked = this.#now();
      const time = await this.#askTime();
      const roundTrip = this.#now() - asked;
      if (roundTrip >= quickest) continue;
      quickest = roundTrip;
      measured = time - asked - roundTrip / 2;
    }
    const change = measured - this.#offsetMs;
    const step = this.#isMeasured ? STEP : 1;
    this.#isMeasured = true;
    if (Math.abs(change) > Math.max(TOLERANCE_MS, quickest / 2)) this.#offsetMs += Math.round(change * step);
  }
}

/** The time of the Redis that has the keys, ms since the epoch. @throws the error of the connection. */
export async function redisTime(scripts: Scripts, keys: RedisKeys): Promise<number> {
  const [seconds, microseconds] = (await scripts.run('time', [keys.schema], [])) as [string, string];
  return Number(seconds) * 1000 + Number(microseconds) / 1000;
}
