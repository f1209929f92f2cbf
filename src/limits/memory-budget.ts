import type { Clock, Timer } from '../lib/clock.ts';
import type { LimitCounters } from './limit-counters.ts';

/** What is given up at each level, in this order; each level includes those before it. Level 0 gives up nothing. */
export const SHEDDING = [
  { sheds: 'nothing', from: 0 },
  { sheds: 'slow-readers', from: 0.8 },
  { sheds: 'connections', from: 0.85 },
  { sheds: 'subscriptions', from: 0.9 },
  { sheds: 'publishes', from: 0.95 },
] as const;

/** One of the things that are given up. */
export type Shed = (typeof SHEDDING)[number]['sheds'];

/** A level is left when so much less of the budget is used than what it was entered with. */
const HYSTERESIS = 0.05;
/** At least so long between two readings, ms. */
const READ_EVERY_MS = 250;
/** What is left of a slow reader's outbox when those are given up: a sixteenth. */
const OUTBOX_SHARE = 16;

/** From one level to another. */
export interface ShedTransition {
  readonly from: Shed;
  readonly to: Shed;
  /** Part of the budget in use, 0 to 1 and above. */
  readonly used: number;
}

/** What a memory budget is made of. */
export interface MemoryBudgetParts {
  /** Part of the memory that is in use: 1 is all of it. */
  readonly used: () => number;
  readonly clock: Clock;
  readonly counters: LimitCounters;
  /** Told when the level has changed; for the log, and to let publishers go on. */
  readonly onChange: (transition: ShedTransition) => void;
}

/**
 * Gives up what matters least while memory runs short, so that the broker never dies of it: QoS 0 for slow readers, then new
 * connections, new subscriptions, and at last publishers, who are held back.
 *
 *     used 0.80 ────► slow-readers 0.85 ────► connections 0.90 ────► subscriptions 0.95 ────► publishes
 *     left below 0.75              0.80                   0.85                     0.90
 *
 * It reads when there is work (`look`), and by a timer only while something is given up: an idle broker has none.
 */
export class MemoryBudget {
  readonly #parts: MemoryBudgetParts;
  /** Times each level was entered from below, by index. */
  readonly #entered: number[] = SHEDDING.map(() => 0);
  #level = 0;
  #nextAt = 0;
  #timer: Timer | undefined = undefined;

  constructor(parts: MemoryBudgetParts) {
    this.#parts = parts;
  }

  /** 0 for nothing given up, to 4 for everything. */
  get level(): number {
    return this.#level;
  }

  /** What is given up last of all that is. */
  get shed(): Shed {
    return stepOf(this.#level).sheds;
  }

  /** How often that was begun to be given up. */
  entered(shed: Shed): number {
    return this.#entered[levelOf(shed)] as number;
  }

  /** Whether that is given up now. */
  sheds(shed: Shed): boolean {
    return this.#level >= levelOf(shed);
  }

  /** Bytes that may wait for one slow reader now, given the usual limit. */
  outboxBytesMax(usual: number): number {
    return this.#level === 0 ? usual : Math.ceil(usual / OUTBOX_SHARE);
  }

  /** Whether a new connection must be refused (0x97), counted. */
  refusesConnection(): boolean {
    if (!this.sheds('connections')) return false;
    this.#parts.counters.count('memory-connections');
    return true;
  }

  /** Whether a new subscription must be refused (0x97), counted. */
  refusesSubscription(): boolean {
    if (!this.sheds('subscriptions')) return false;
    this.#parts.counters.count('memory-subscriptions');
    return true;
  }

  /** Whether a publisher must be held back until `onChange` says otherwise, or a publish refused, counted. */
  holdsPublisher(): boolean {
    if (!this.sheds('publishes')) return false;
    this.#parts.counters.count('memory-publishes');
    return true;
  }

  /** Has a look at the memory, if the last one is long enough ago; costs a comparison otherwise. */
  look(now: number): void {
    if (now >= this.#nextAt) this.#read(now);
  }

  /** Ends its timer. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #read(now: number): void {
    this.#nextAt = now + READ_EVERY_MS;
    const used = this.#parts.used();
    const before = this.#level;
    let level = before;
    while (level + 1 < SHEDDING.length && used >= stepOf(level + 1).from) level += 1;
    while (level > 0 && used < stepOf(level).from - HYSTERESIS) level -= 1;
    for (let entered = before + 1; entered <= level; entered++) this.#entered[entered] = this.#countOf(entered) + 1;
    this.#level = level;
    if (level > 0) this.#readLater();
    if (level !== before) this.#parts.onChange({ from: stepOf(before).sheds, to: stepOf(level).sheds, used });
  }

  #countOf(level: number): number {
    return this.#entered[level] as number;
  }

  /** With publishers held back nothing else might come that has it look. */
  #readLater(): void {
    const { clock } = this.#parts;
    this.#timer ??= clock.setTimeout(() => {
      this.#timer = undefined;
      this.#read(clock.now());
    }, READ_EVERY_MS);
  }
}

function stepOf(level: number): (typeof SHEDDING)[number] {
  return SHEDDING[level] as (typeof SHEDDING)[number];
}

function levelOf(shed: Shed): number {
  return SHEDDING.findIndex((step) => step.sheds === shed);
}
