import type { Socket } from 'node:net';
import type { Logger } from '../../lib/logger.ts';
import type { RedisConnection } from './redis-connection.ts';

/** How long WAIT waits for replicas before it is looked at again, at most, ms; and how often it does so per time-out. */
const WAIT_MS = 1_000;
const WAITS_PER_TIMEOUT = 4;

/** What it is made with. */
export interface ReplicationOptions {
  readonly connection: RedisConnection;
  /** `redis.waitReplicas`. */
  readonly waitReplicas: number;
  /** `redis.timeoutMs`. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** Writes something by that connection: WAIT waits for the last write of its own. @throws Error where that is not possible now. */
  readonly mark: () => Promise<void>;
}

/**
 * Keeps a node from acting on what a failover can take back. Redis answers with writes that no replica has yet: its own, and
 * those of other nodes. So an answer counts once `redis.waitReplicas` replicas have all that it can be about; where the
 * connection was another meanwhile, or ends, the call is to be made again. With 0 replicas every answer counts at once.
 */
export class Replication {
  readonly #options: ReplicationOptions;
  #isClosed = false;
  /** Whether it was told that there are too few. */
  #isShort = false;

  constructor(options: ReplicationOptions) {
    this.#options = options;
  }

  /** By which connection is written now; to be taken before a call that `written` or `seen` is about. */
  get line(): Socket | undefined {
    return this.#options.connection.line;
  }

  /** Runs a call, and waits until what it was answered counts. @throws Error, of the call too: it is to be made again. */
  async confirmed<T>(call: () => Promise<T>): Promise<T> {
    const { line } = this;
    const answer = await call();
    await this.seen(line);
    return answer;
  }

  /** Waits until all counts that was read by this line. @throws Error where that cannot be told. */
  async seen(line: Socket | undefined): Promise<void> {
    if (this.#options.waitReplicas === 0) return;
    await this.#options.mark();
    await this.written(line);
  }

  /** Waits until the last write by this line counts. @throws Error where that cannot be told. */
  async written(line: Socket | undefined): Promise<void> {
    const { connection, waitReplicas, timeoutMs } = this.#options;
    if (waitReplicas === 0) return;
    const waitMs = Math.min(WAIT_MS, Math.ceil(timeoutMs / WAITS_PER_TIMEOUT));
    for (;;) {
      const { writer } = connection;
      const replicas = await writer?.wait(waitReplicas, waitMs);
      if (line === undefined || line !== connection.line) throw new Error('the keys are with another Redis now');
      if (replicas !== undefined && replicas >= waitReplicas) {
        this.#isShort = false;
        return;
      }
      this.#warn(replicas ?? 0);
      if (this.#isClosed) throw new Error('closed before enough replicas had what was written');
    }
  }

  #warn(replicas: number): void {
    if (this.#isShort || this.#isClosed) return;
    this.#isShort = true;
    const { logger, waitReplicas } = this.#options;
    logger.warn('too few replicas of Redis have what was written: nothing is acknowledged until they do', {
      replicas,
      'redis.waitReplicas': waitReplicas,
    });
  }

  /** Has what waits for replicas give up. */
  close(): void {
    this.#isClosed = true;
  }
}
