import type { Clock } from '../../src/lib/clock.ts';
import type { Random } from '../fakes/random.ts';
import type { MortalClock } from './mortal-clock.ts';

/** The connection broke before the answer came: whether the call was applied is not known. */
export class CutError extends Error {}

interface Call {
  readonly apply: () => void;
  readonly reject: (error: Error) => void;
  isApplied: boolean;
  isAnswered: boolean;
}

/** What a link is made of. */
export interface LinkParts {
  /** The clock of the world: what was sent arrives whatever becomes of the process. */
  readonly clock: Clock;
  readonly process: MortalClock;
  readonly random: Random;
  /** Longest time one way, ms. */
  readonly maxDelayMs: number;
  /** How likely the connection breaks with a call, 0 to 1. */
  cutChance: number;
}

/** A connection of a process to Redis: calls arrive in order, and so do their answers. */
export class SimulatedLink {
  readonly #parts: LinkParts;
  /** Calls without an answer, in order. */
  #calls: Call[] = [];
  readonly #answers: { call: Call; answer: () => void }[] = [];
  #isDead = false;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  /** Has a script run, or a command. Rejects with what it throws, or with CutError. */
  call<T>(work: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (this.#isDead) return promise;
    const call: Call = {
      isApplied: false,
      isAnswered: false,
      reject,
      apply: () => {
        call.isApplied = true;
        try {
          const value = work();
          this.#answerLater(call, () => resolve(value));
        } catch (error) {
          this.#answerLater(call, () => reject(error));
        }
      },
    };
    this.#calls.push(call);
    this.#later(() => this.#calls.find(({ isApplied }) => !isApplied)?.apply());
    if (this.#parts.random.chance(this.#parts.cutChance)) this.#later(() => this.#cut());
    return promise;
  }

  /** The process ends: of what was sent an initial part arrives, and nothing is answered. */
  crash(): void {
    this.#isDead = true;
    const sent = this.#calls.filter(({ isApplied }) => !isApplied);
    const arriving = sent.slice(0, this.#parts.random.below(sent.length + 1));
    // They are applied by the timers that were set for them.
    this.#calls = arriving;
  }

  #cut(): void {
    const calls = this.#calls;
    this.#calls = [];
    const sent = calls.filter(({ isApplied }) => !isApplied);
    const arriving = sent.slice(0, this.#parts.random.below(sent.length + 1));
    for (const call of calls) call.isAnswered = true;
    for (const call of arriving) call.apply();
    this.#parts.process.run(() => {
      for (const { reject } of calls) reject(new CutError('the connection broke'));
    });
  }

  #answerLater(call: Call, answer: () => void): void {
    if (call.isAnswered) return;
    this.#answers.push({ call, answer });
    this.#later(() => {
      const next = this.#answers.shift();
      if (next === undefined || next.call.isAnswered) return;
      next.call.isAnswered = true;
      this.#calls = this.#calls.filter((other) => other !== next.call);
      this.#parts.process.run(next.answer);
    });
  }

  #later(work: () => void): void {
    const { clock, random, maxDelayMs } = this.#parts;
    const delayMs = random.below(maxDelayMs + 1);
    if (delayMs === 0) clock.setImmediate(work);
    else clock.setTimeout(work, delayMs);
  }
}
