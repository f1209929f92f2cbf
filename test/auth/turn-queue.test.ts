import { expect, test } from 'vitest';
import { type Asker, TurnQueue } from '../../src/auth/turn-queue.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

/** Jobs that end when they are told to. */
class Jobs {
  readonly started: string[] = [];
  readonly #ends = new Map<string, { resolve: (name: string) => void; reject: (error: Error) => void }>();

  make(name: string): () => Promise<string> {
    return () => {
      this.started.push(name);
      return new Promise((resolve, reject) => this.#ends.set(name, { resolve, reject }));
    };
  }

  end(name: string): void {
    this.#ends.get(name)!.resolve(name);
  }

  fail(name: string): void {
    this.#ends.get(name)!.reject(new Error(name));
  }
}

const always: Asker = { isWanted: () => true, goesFirst: false };
const first: Asker = { isWanted: () => true, goesFirst: true };

function queueOf(concurrency: number, waitingMax: number, clock = new FakeClock()): TurnQueue {
  return new TurnQueue({ concurrency, waitingMax, waitMsMax: 1_000 }, clock);
}

/** Lets promises that are settled be heard of. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('so many jobs run at once, the others in their order', async () => {
  const queue = queueOf(2, 10);
  const jobs = new Jobs();
  const results = ['a', 'b', 'c', 'd'].map((name) => queue.run(jobs.make(name), always));
  expect(jobs.started).toEqual(['a', 'b']);
  expect(queue.counters).toEqual({ running: 2, waiting: 2, done: 0, busy: 0, dropped: 0 });
  jobs.end('b');
  await settle();
  expect(jobs.started).toEqual(['a', 'b', 'c']);
  jobs.end('a');
  await settle();
  jobs.end('c');
  jobs.end('d');
  await expect(Promise.all(results)).resolves.toEqual(['a', 'b', 'c', 'd'].map((value) => ({ kind: 'done', value })));
  expect(queue.counters).toEqual({ running: 0, waiting: 0, done: 4, busy: 0, dropped: 0 });
});

test('whoever comes when too many wait is turned away at once', async () => {
  const queue = queueOf(1, 2);
  const jobs = new Jobs();
  const results = ['a', 'b', 'c', 'd'].map((name) => queue.run(jobs.make(name), always));
  await expect(results[3]).resolves.toEqual({ kind: 'busy' });
  expect(queue.counters).toMatchObject({ running: 1, waiting: 2, busy: 1 });
  for (const name of ['a', 'b', 'c']) {
    jobs.end(name);
    await settle();
  }
  await expect(results[2]).resolves.toEqual({ kind: 'done', value: 'c' });
});

test('a job that nobody wants any more is dropped at its turn, and the next one gets it', async () => {
  const queue = queueOf(1, 10);
  const jobs = new Jobs();
  let isWanted = true;
  void queue.run(jobs.make('a'), always);
  const dropped = queue.run(jobs.make('b'), { ...always, isWanted: () => isWanted });
  void queue.run(jobs.make('c'), always);
  isWanted = false;
  jobs.end('a');
  await expect(dropped).resolves.toEqual({ kind: 'dropped' });
  expect(jobs.started).toEqual(['a', 'c']);
  jobs.end('c');
  await settle();
  expect(queue.counters).toEqual({ running: 0, waiting: 0, done: 2, busy: 0, dropped: 1 });
});

test('jobs that nobody wants make room where the queue is full', async () => {
  const queue = queueOf(1, 2);
  const jobs = new Jobs();
  void queue.run(jobs.make('a'), always);
  const gone = queue.run(jobs.make('b'), { ...always, isWanted: () => false });
  void queue.run(jobs.make('c'), always);
  const late = queue.run(jobs.make('d'), always);
  await expect(gone).resolves.toEqual({ kind: 'dropped' });
  for (const name of ['a', 'c', 'd']) {
    jobs.end(name);
    await settle();
  }
  await expect(late).resolves.toEqual({ kind: 'done', value: 'd' });
});

test('a job that fails fails for who asked, and the next one goes on', async () => {
  const queue = queueOf(1, 2);
  const jobs = new Jobs();
  const failed = queue.run(jobs.make('a'), always);
  const next = queue.run(jobs.make('b'), always);
  jobs.fail('a');
  await expect(failed).rejects.toThrow('a');
  jobs.end('b');
  await expect(next).resolves.toEqual({ kind: 'done', value: 'b' });
  expect(queue.counters.running).toBe(0);
});

test('those who go first do so, in their order, and find room of their own', async () => {
  const queue = queueOf(1, 2);
  const jobs = new Jobs();
  void queue.run(jobs.make('a'), always);
  const others = ['b', 'c', 'd'].map((name) => queue.run(jobs.make(name), always));
  const known = ['e', 'f', 'g'].map((name) => queue.run(jobs.make(name), first));
  await expect(Promise.all([others[2], known[2]])).resolves.toEqual([{ kind: 'busy' }, { kind: 'busy' }]);
  expect(queue.counters).toMatchObject({ waiting: 4, busy: 2 });
  for (const name of ['a', 'e', 'f', 'b', 'c']) {
    jobs.end(name);
    await settle();
  }
  expect(jobs.started).toEqual(['a', 'e', 'f', 'b', 'c']);
});

test('whoever waited for too long gets no turn, and keeps nobody out', async () => {
  const clock = new FakeClock();
  const queue = queueOf(1, 2, clock);
  const jobs = new Jobs();
  void queue.run(jobs.make('a'), always);
  const waited = [queue.run(jobs.make('b'), always), queue.run(jobs.make('c'), first)];
  await clock.pass(600);
  void queue.run(jobs.make('d'), always);
  await clock.pass(600);
  void queue.run(jobs.make('e'), always);
  jobs.end('a');
  await expect(Promise.all(waited)).resolves.toEqual([{ kind: 'dropped' }, { kind: 'dropped' }]);
  jobs.end('d');
  await settle();
  expect(jobs.started).toEqual(['a', 'd', 'e']);
});
