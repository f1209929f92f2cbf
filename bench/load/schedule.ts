import { Worker } from 'node:worker_threads';
import { type Ledger, stampNow } from './ledger.ts';
import type { Publisher } from './publisher.ts';

/** What the thread behind a schedule is told. */
export interface TickOptions {
  readonly intervalMs: number;
  /** Holds 1 when the last tick was answered. */
  readonly answered: Int32Array;
}

/**
 * Has publishers publish one message each in turn at a fixed rate, whatever becomes of the messages. The stamp is the time
 * that a message was due, so that a delay in the generator counts as latency too.
 */
export class Schedule {
  readonly #publishers: readonly Publisher[];
  readonly #ledger: Ledger;
  readonly #intervalMs: number;
  readonly #worker: Worker;
  readonly #answered: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  readonly #startMs: number = performance.now();
  #issued = 0;

  /** @param perSecond publishes per second, all publishers together. */
  constructor(publishers: readonly Publisher[], ledger: Ledger, perSecond: number) {
    this.#publishers = publishers;
    this.#ledger = ledger;
    this.#intervalMs = 1000 / perSecond;
    this.#answered[0] = 1;
    const workerData: TickOptions = { intervalMs: this.#intervalMs, answered: this.#answered };
    this.#worker = new Worker(new URL('./tick-worker.ts', import.meta.url), { workerData });
    this.#worker.on('message', () => this.#publishDue());
  }

  /** Publishes no more. */
  async stop(): Promise<void> {
    this.#worker.removeAllListeners('message');
    await this.#worker.terminate();
  }

  #publishDue(): void {
    Atomics.store(this.#answered, 0, 1);
    const elapsedMs = performance.now() - this.#startMs;
    const lateUs = (elapsedMs - this.#issued * this.#intervalMs) * 1000;
    const stamp = stampNow();
    const due = Math.floor(elapsedMs / this.#intervalMs) + 1 - this.#issued;
    for (let index = 0; index < due; index++, this.#issued++) {
      const publisher = this.#publishers[this.#issued % this.#publishers.length]!;
      const dueStamp = (stamp - Math.round(lateUs - index * this.#intervalMs * 1000)) >>> 0;
      if (!publisher.publishOne(dueStamp)) this.#ledger.skipped++;
    }
  }
}
