import type { Cluster, Redis } from 'ioredis';
import { errorText } from '../../lib/error-text.ts';
import type { Logger } from '../../lib/logger.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Scripts } from './script-runner.ts';

/** Entries of a dropped queue that are removed at a time. */
const SWEEP_ENTRIES = 1_000;

/** Empties queues that were dropped, a piece at a time. */
export class TrashSweeper {
  readonly #redis: Redis | Cluster;
  readonly #scripts: Scripts;
  readonly #keys: RedisKeys;
  readonly #logger: Logger;
  #isSweeping = false;
  /** Whether something may have been dropped since it looked last. */
  #isAsked = false;
  #isClosed = false;

  constructor(parts: { redis: Redis | Cluster; scripts: Scripts; keys: RedisKeys; logger: Logger }) {
    this.#redis = parts.redis;
    this.#scripts = parts.scripts;
    this.#keys = parts.keys;
    this.#logger = parts.logger;
  }

  /** Goes on until there is nothing left. What it cannot do now is done the next time. */
  sweep(): void {
    this.#isAsked = true;
    if (!this.#isSweeping) void this.#sweepAll();
  }

  /** Stops with the piece that is under way. */
  close(): void {
    this.#isClosed = true;
  }

  /** Never rejects. */
  async #sweepAll(): Promise<void> {
    this.#isSweeping = true;
    try {
      // What is dropped while the answer "nothing left" is on its way is asked for again.
      while (this.#isAsked && !this.#isClosed) {
        this.#isAsked = false;
        await this.#sweepOnce();
      }
    } catch (error) {
      this.#logger.debug('dropped queues are emptied later', { error: errorText(error) });
    } finally {
      this.#isSweeping = false;
    }
  }

  async #sweepOnce(): Promise<void> {
    const { messages, counts, trash } = this.#keys;
    for (;;) {
      const dropped = await this.#redis.srandmember(trash);
      if (dropped === null || this.#isClosed) return;
      await this.#scripts.run('sweep', [dropped, messages, counts, trash], [SWEEP_ENTRIES]);
    }
  }
}
