import { createHash, type Hash } from 'node:crypto';
import { DeliveryChecker } from '../checker/delivery-checker.ts';
import type { Verdict } from '../checker/records.ts';

/** One entry of the history: told to the checker in order, once it is known what may be told. */
type Telling = (checker: DeliveryChecker) => void;

/** Why something that came about is no fault. */
interface Excuses {
  /** Publisher and sequence of messages whose loss is allowed: expired, too large for some, refused. */
  messages: Set<string>;
  /** Sessions that ended before the end, so that nothing is owed to them. */
  takers: Set<string>;
}

/**
 * Everything that clients saw, in order: as text whose hash tells runs apart, and as what the delivery checker is told at
 * the end. Only then is it known which sessions lasted and which messages may be missing.
 */
export class History {
  readonly #hash: Hash = createHash('sha256');
  readonly #tellings: Telling[] = [];
  readonly #excuses: Excuses = { messages: new Set(), takers: new Set() };
  readonly #tail: string[] = [];
  readonly #isKept: boolean;
  lines = 0;

  /** @param isKept whether all lines are kept, to be printed. */
  constructor(isKept: boolean) {
    this.#isKept = isKept;
  }

  /** Notes a line of the trace. */
  note(line: string): void {
    this.lines += 1;
    this.#hash.update(line).update('\n');
    this.#tail.push(line);
    if (!this.#isKept && this.#tail.length > 40) this.#tail.shift();
  }

  /** The last lines, or all where they are kept. */
  get tail(): readonly string[] {
    return this.#tail;
  }

  /** Hash of all lines; asked for once, at the end. */
  digest(): string {
    return this.#hash.digest('hex');
  }

  tell(telling: Telling): void {
    this.#tellings.push(telling);
  }

  acknowledged(publisher: string, sequence: number): void {
    this.tell((checker) => {
      if (!this.#excuses.messages.has(`${publisher} ${sequence}`)) checker.acknowledged(publisher, sequence);
    });
  }

  subscribed(taker: string, topicFilter: string): void {
    this.tell((checker) => {
      if (!this.#excuses.takers.has(taker)) checker.subscribed(taker, topicFilter);
    });
  }

  excuseMessage(publisher: string, sequence: number): void {
    this.#excuses.messages.add(`${publisher} ${sequence}`);
  }

  excuseTaker(taker: string): void {
    this.#excuses.takers.add(taker);
  }

  /** Judges it all. */
  verdict(): Verdict {
    const checker = new DeliveryChecker();
    for (const telling of this.#tellings) telling(checker);
    return checker.verdict();
  }
}
