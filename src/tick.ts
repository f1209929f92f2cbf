import type { Traffic } from './connection/context.ts';
import type { Outbox, OutboxScheduler } from './connection/outbox.ts';
import type { Clock } from './lib/clock.ts';
import type { Message } from './protocol/message.ts';
import type { WritePath } from './session/write-path.ts';

/** The end of each turn of the loop: one write per socket that got something, one batch for the store. */
export class Tick implements OutboxScheduler {
  readonly #clock: Clock;
  #outboxes: Outbox[] = [];
  #kept: Message[] = [];
  #scheduled = false;
  /** Both are set by who makes them, before the first turn. */
  writePath: WritePath | undefined = undefined;
  traffic: Traffic | undefined = undefined;
  readonly #run = (): void => {
    this.#scheduled = false;
    const outboxes = this.#outboxes;
    this.#outboxes = [];
    for (const outbox of outboxes) outbox.flush();
    this.writePath?.failpoint?.reach('outboxes-written');
    this.writePath?.submit();
    const kept = this.#kept;
    this.#kept = [];
    for (const message of kept) message.detach();
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  schedule(outbox: Outbox): void {
    this.#outboxes.push(outbox);
    this.wake();
  }

  /** Has a message that outlives this turn given bytes of its own at its end. */
  keep(message: Message): void {
    this.#kept.push(message);
    this.wake();
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
