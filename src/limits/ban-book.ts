import type { Clock } from '../lib/clock.ts';
import type { Ban, BanKind } from './ban-lines.ts';
import { BanFileError, BanList } from './ban-list.ts';
import { LimitCounters } from './limit-counters.ts';

/** The list of bans together with its file, of which one thing at a time is done, so that none undoes another. */
export class BanBook {
  readonly list: BanList;
  /** Empty for none: bans last as long as the process then. */
  readonly #file: string;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(list: BanList, file: string) {
    this.list = list;
    this.#file = file;
  }

  /** Without a file, and with nobody on it. */
  static empty(clock: Clock): BanBook {
    return new BanBook(new BanList(clock, new LimitCounters()), '');
  }

  /** Reads a file of bans; empty for none. @throws BanFileError */
  static async open(file: string, clock: Clock): Promise<BanBook> {
    const book = new BanBook(new BanList(clock, new LimitCounters()), file);
    await book.reload();
    return book;
  }

  /** Takes over what is in the file now. @throws BanFileError, and what there was stays in force. */
  reload(): Promise<void> {
    return this.#next(async () => {
      if (this.#file !== '') await this.list.load(this.#file);
    });
  }

  /**
   * Adds a ban, and writes it into the file. @throws RangeError for what is none, and Error where the file cannot be written
   * or is broken: the ban is in force then until the file is read again.
   */
  add(ban: Ban): Promise<void> {
    return this.#change(() => this.list.add(ban)).then(() => undefined);
  }

  /** Removes a ban, from the file as well. @returns whether there was one. @throws Error as `add`. */
  remove(kind: BanKind, value: string): Promise<boolean> {
    return this.#change(() => this.list.remove(kind, value));
  }

  #change<T>(change: () => T): Promise<T> {
    return this.#next(async () => {
      const result = change();
      if (this.#file === '') return result;
      try {
        await this.list.save(this.#file);
        return result;
      } catch (error) {
        if (!(error instanceof BanFileError)) throw error;
      }
      // Somebody has changed the file, and what is in it holds as well.
      await this.list.load(this.#file);
      const again = change();
      await this.list.save(this.#file);
      return again;
    });
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    // One that fails is its caller's business, not that of the next.
    this.#last = done.catch(() => undefined);
    return done;
  }
}
