import type { Traffic } from './connection/context.ts';
import type { Outbox, OutboxScheduler } from './connection/outbox.ts';
import { BufferPool } from './lib/buffer-pool.ts';
import type { Clock } from './lib/clock.ts';
import type { MemoryBudget } from './limits/memory-budget.ts';
import { detachTogether, type Message } from './protocol/message.ts';
import type { Keeper } from './session/context.ts';
import type { WritePath } from './session/write-path.ts';

/** The end of each turn of the loop: one write per socket that got something, one batch for the store. */
export class Tick implements OutboxScheduler {
  readonly buffers: BufferPool = new BufferPool();
  readonly #clock: Clock;
  readonly #writeDelayMs: number;
  #outboxes: Outbox[] = [];
  #waiting: Outbox[] = [];
  #isWaiting = false;
  #kept: Keeper[] = [];
  #scheduled = false;
  /** These are set by who makes them, before the first turn. */
  writePath: WritePath | undefined = undefined;
  traffic: Traffic | undefined = undefined;
  memory: MemoryBudget | undefined = undefined;
  readonly #run = (): void => {
    this.#scheduled = false;
    const outboxes = this.#outboxes;
    this.#outboxes = [];
    const now = this.#clock.now();
    for (const outbox of outboxes) {
      if (outbox.mayWait(now, this.#writeDelayMs)) this.#waiting.push(outbox);
      else outbox.flushAt(now);
    }
    if (this.#waiting.length > 0) this.#flushLater();
    this.writePath?.failpoint?.reach('outboxes-written');
    this.writePath?.endTurn();
    this.memory?.look(now);
    const kept = this.#kept;
    this.#kept = [];
    if (kept.length > 0) this.#detach(kept);
  };

  /** @param writeDelayMs see `limits.writeDelayMs`. */
  constructor(clock: Clock, writeDelayMs: number) {
    this.#clock = clock;
    this.#writeDelayMs = writeDelayMs;
  }

  /** Bytes for those who only listen go out together with what comes within the delay: fewer, larger writes. */
  #flushLater(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#clock.setTimeout(() => {
      this.#isWaiting = false;
      const waiting = this.#waiting;
      this.#waiting = [];
      const now = this.#clock.now();
      for (const outbox of waiting) outbox.flushAt(now);
    }, this.#writeDelayMs);
  }

  schedule(outbox: Outbox): void {
    this.#outboxes.push(outbox);
    this.wake();
  }

  /** Has the message that somebody may keep beyond this turn given bytes of its own at its end. */
  keep(keeper: Keeper): void {
    this.#kept.push(keeper);
    this.wake();
  }

  #detach(keepers: readonly Keeper[]): void {
    const messages: Message[] = [];
    for (const keeper of keepers) {
      const message = keeper.kept();
      if (message !== undefined) messages.push(message);
    }
    detachTogether(messages);
  }

  bytesSent(count: number): void {
    if (this.traffic !== undefined) this.traffic.bytesSent += count;
  }

  /** Has the end of this turn looked after. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.setImmediate(this.#run);
  }
}
