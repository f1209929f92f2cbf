import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { RedisKeys } from '../../../src/store/redis/redis-keys.ts';
import type { Scripts } from '../../../src/store/redis/script-runner.ts';
import { TrashSweeper } from '../../../src/store/redis/trash-sweeper.ts';
import { SILENT } from '../../../src/broker-parts.ts';

/** Queues that were dropped, in a Redis that answers when it is told to. */
class Trash {
  readonly dropped: string[] = [];
  readonly #asked: (() => void)[] = [];
  readonly sweeper: TrashSweeper;

  constructor() {
    const redis = { srandmember: () => this.#answer(() => this.dropped[0] ?? null) };
    const scripts = { run: () => this.#answer(() => this.dropped.shift()) };
    this.sweeper = new TrashSweeper({
      redis: redis as unknown as Redis,
      scripts: scripts as unknown as Scripts,
      keys: new RedisKeys('t'),
      logger: SILENT,
    });
  }

  /** What is asked is answered as of now, and by then heard of. */
  answer(): void {
    for (const tell of this.#asked.splice(0)) tell();
  }

  /** Answers until nothing is asked any more. */
  async rest(): Promise<void> {
    do {
      this.answer();
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.#asked.length > 0);
  }

  #answer<T>(of: () => T): Promise<T> {
    return new Promise((resolve) => this.#asked.push(() => resolve(of())));
  }
}

test('dropped queues are emptied, also one dropped while the answer that there are none is on its way', async () => {
  const trash = new Trash();
  trash.dropped.push('a', 'b');
  trash.sweeper.sweep();
  await trash.rest();
  expect(trash.dropped).toEqual([]);
  trash.sweeper.sweep();
  trash.answer();
  trash.dropped.push('c');
  trash.sweeper.sweep();
  await trash.rest();
  expect(trash.dropped).toEqual([]);
});

test('nothing more is emptied once it is closed', async () => {
  const trash = new Trash();
  trash.dropped.push('a', 'b');
  trash.sweeper.sweep();
  trash.sweeper.close();
  await trash.rest();
  expect(trash.dropped).toEqual(['a', 'b']);
});
