import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Will } from '../../src/protocol/packets.ts';
import type { Session } from '../../src/session/session.ts';
import { Wills } from '../../src/session/wills.ts';
import { DURABLE, SessionBench } from './session-bench.ts';

function willOf(payload: string, willDelayInterval = 0): Will {
  const properties = willDelayInterval === 0 ? {} : { willDelayInterval };
  return { topicName: 'w', payload: Buffer.from(payload), qos: 1, retain: false, properties };
}

/** Wills over a bench; the broker tells them of the ends of sessions, and so does this. */
class Trial {
  readonly bench: SessionBench;
  readonly wills: Wills;
  readonly published: string[] = [];

  constructor(bench: SessionBench, published: string[] = []) {
    this.bench = bench;
    this.published = published;
    this.wills = new Wills(bench.context, ({ clientId, username }, will) => {
      this.published.push(`${clientId}/${username}: ${Buffer.from(will.payload).toString()}`);
      this.wills.forget(clientId);
    });
  }

  static async start(): Promise<Trial> {
    return new Trial(await new SessionBench().start());
  }

  /** The same disk and clock after a crash and that many milliseconds. */
  async restarted(downMs = 0): Promise<Trial> {
    await this.bench.clock.settle();
    const trial = new Trial(await this.bench.restarted(downMs), this.published);
    trial.wills.restore(this.bench.store.disk.read().wills, (clientId) => trial.bench.registry.get(clientId));
    await trial.bench.clock.settle();
    return trial;
  }

  /** The connection of a session ends without DISCONNECT. */
  lose(session: Session): void {
    const lives = this.bench.registry.disconnect(session);
    this.wills.connectionLost(session.clientId, lives ? session : undefined);
  }

  get stored(): number {
    return this.bench.store.disk.read().wills.length;
  }
}

describe('wills', () => {
  test('go on with what was proven last of who left them', async () => {
    const { bench, wills } = await Trial.start();
    wills.arm({ clientId: 'c', username: 'user', identity: 'once' }, willOf('last'));
    wills.changeOwner({ clientId: 'c', username: 'user', identity: 'now' });
    wills.changeOwner({ clientId: 'other', username: 'user' });
    await bench.clock.settle();
    const stored = bench.store.disk.read().wills;
    expect(stored.map(({ clientId, identity, will }) => [clientId, identity, String(will.payload)])).toEqual([
      ['c', 'now', 'last'],
    ]);
  });

  test('are published at once when the connection is lost, and are gone then', async () => {
    const trial = await Trial.start();
    trial.wills.arm({ clientId: 'c', username: 'user' }, willOf('last'));
    await trial.bench.clock.settle();
    expect(trial.stored).toBe(1);
    trial.lose(trial.bench.open('c', DURABLE));
    await trial.bench.clock.settle();
    expect(trial.published).toEqual(['c/user: last']);
    expect({ stored: trial.stored, size: trial.wills.size }).toEqual({ stored: 0, size: 0 });
  });

  test('are dropped by a clean end, and replaced by the next connection', async () => {
    const trial = await Trial.start();
    trial.wills.arm({ clientId: 'c', username: '' }, willOf('first'));
    trial.wills.arm({ clientId: 'c', username: '' }, willOf('second'));
    expect(trial.wills.forget('c')).toBe(true);
    expect(trial.wills.forget('c')).toBe(false);
    trial.wills.connectionLost('c', undefined);
    trial.wills.arm({ clientId: 'c', username: '' }, willOf('third'));
    expect(trial.wills.forget('c')).toBe(true);
    await trial.bench.clock.settle();
    expect({ published: trial.published, stored: trial.stored }).toEqual({ published: [], stored: 0 });
  });

  test('wait for their delay, unless the session does not outlive its connection', async () => {
    const trial = await Trial.start();
    const [stays, ends] = [trial.bench.open('stays', DURABLE), trial.bench.open('ends', 0)];
    trial.wills.arm({ clientId: 'stays', username: '' }, willOf('late', 10));
    trial.wills.arm({ clientId: 'ends', username: '' }, willOf('now', 10));
    trial.lose(stays);
    trial.lose(ends);
    expect(trial.published).toEqual(['ends/: now']);
    await trial.bench.clock.pass(9999);
    expect(trial.published).toHaveLength(1);
    await trial.bench.clock.pass(1);
    expect(trial.published).toEqual(['ends/: now', 'stays/: late']);
  });

  test('are due when their session ends before the delay is over', async () => {
    const trial = await Trial.start();
    const session = trial.bench.open('c', DURABLE);
    trial.wills.arm({ clientId: 'c', username: '' }, willOf('early', 10));
    // An armed will is its connection's, whatever becomes of another session.
    trial.wills.sessionEnded('c');
    expect(trial.published).toEqual([]);
    trial.lose(session);
    trial.wills.sessionEnded('c');
    expect(trial.published).toEqual(['c/: early']);
    await trial.bench.clock.pass(20_000);
    expect(trial.published).toHaveLength(1);
  });

  test('are cancelled when the session is resumed in time', async () => {
    const trial = await Trial.start();
    trial.wills.arm({ clientId: 'c', username: '' }, willOf('never', 10));
    trial.lose(trial.bench.open('c', DURABLE));
    await trial.bench.clock.pass(9000);
    trial.wills.arm({ clientId: 'c', username: '' }, willOf('armed'));
    await trial.bench.clock.pass(9000);
    expect(trial.published).toEqual([]);
    expect(trial.stored).toBe(1);
  });

  test('of connections that a crash cut are published once after it, with the rights of who left them', async () => {
    const trial = await Trial.start();
    trial.bench.open('c', DURABLE);
    trial.wills.arm({ clientId: 'c', username: 'user' }, willOf('crash'));
    const second = await trial.restarted();
    expect(trial.published).toEqual(['c/user: crash']);
    await second.restarted();
    expect(trial.published).toHaveLength(1);
  });

  test('that waited at a crash go on waiting, and are due at once when their session has expired meanwhile', async () => {
    for (const [expiry, downMs, expected] of [
      [DURABLE, 4000, []],
      [DURABLE, 10_000, ['c/: late']],
      [5, 6000, ['c/: late']],
    ] as const) {
      const trial = await Trial.start();
      const session = trial.bench.open('c', expiry);
      trial.wills.arm({ clientId: 'c', username: '' }, willOf('late', 10));
      trial.lose(session);
      const later = await trial.restarted(downMs);
      await later.bench.clock.pass(1);
      expect(trial.published).toEqual(expected);
      await later.bench.clock.pass(10_000);
      expect(trial.published).toEqual(['c/: late']);
    }
  });

  test('are tried again where there was no room', async () => {
    const bench = await new SessionBench().start();
    let tries = 0;
    const wills: Wills = new Wills(bench.context, ({ clientId }) => {
      tries += 1;
      if (tries < 3) wills.postpone(clientId);
      else wills.forget(clientId);
    });
    wills.arm({ clientId: 'c', username: '' }, willOf('patient'));
    wills.connectionLost('c', undefined);
    await bench.clock.pass(60_000);
    expect(tries).toBe(3);
    expect(wills.size).toBe(0);
  });

  test('are published once or not at all, whatever comes between', async () => {
    const step = fc.constantFrom('arm', 'arm late', 'clean end', 'lost', 'resume', 'session ends', 'pass', 'crash');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        let trial = await Trial.start();
        const { published } = trial;
        let armed = 0;
        /** The will in force, and when it is due: Infinity while its connection is open. */
        let current: { name: string; delayMs: number; dueAt: number } | undefined;
        const expected: string[] = [];
        const publish = (): void => {
          if (current !== undefined) expected.push(`c/: ${current.name}`);
          current = undefined;
        };
        const isOpen = (): boolean => current?.dueAt === Number.POSITIVE_INFINITY;
        for (const action of steps) {
          const now = trial.bench.clock.now();
          const session = trial.bench.open('c', DURABLE);
          if (action === 'arm' || action === 'arm late') {
            armed += 1;
            const delaySeconds = action === 'arm' ? 0 : 10;
            trial.wills.arm({ clientId: 'c', username: '' }, willOf(`${armed}`, delaySeconds));
            current = { name: `${armed}`, delayMs: delaySeconds * 1000, dueAt: Number.POSITIVE_INFINITY };
          } else if (action === 'clean end' && isOpen()) {
            trial.wills.forget('c');
            current = undefined;
          } else if (action === 'lost' && current !== undefined && isOpen()) {
            trial.lose(session);
            if (current.delayMs === 0) publish();
            else current.dueAt = now + current.delayMs;
          } else if (action === 'resume' && !isOpen()) {
            trial.wills.forget('c');
            current = undefined;
          } else if (action === 'session ends' && !isOpen()) {
            trial.wills.sessionEnded('c');
            publish();
          } else if (action === 'pass') {
            await trial.bench.clock.pass(4000);
            if (current !== undefined && current.dueAt <= now + 4000) publish();
          } else if (action === 'crash') {
            trial = await trial.restarted();
            if (current !== undefined && isOpen()) {
              if (current.delayMs === 0) publish();
              else current.dueAt = now + current.delayMs;
            }
          }
          await trial.bench.clock.settle();
          expect(published).toEqual(expected);
          expect(trial.stored).toBe(current === undefined ? 0 : 1);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('of a client id that another node has now are forgotten, and stay in the store', async () => {
    const trial = await Trial.start();
    trial.wills.arm({ clientId: 'c', username: '' }, willOf('pending', 10));
    trial.lose(trial.bench.open('c', DURABLE));
    await trial.bench.clock.settle();
    trial.wills.release('c');
    trial.wills.release('without a will');
    await trial.bench.clock.pass(20_000);
    expect([trial.published, trial.wills.size, trial.stored]).toEqual([[], 0, 1]);
  });

  test('of another node are due as after a restart', async () => {
    const trial = await Trial.start();
    const now = trial.bench.clock.now();
    const record = { username: 'user', publishAt: Number.POSITIVE_INFINITY };
    trial.bench.open('delayed', DURABLE);
    trial.bench.open('pending', DURABLE);
    trial.wills.adopt(
      [
        { ...record, clientId: 'cut', will: willOf('cut') },
        { ...record, clientId: 'delayed', will: willOf('delayed', 10) },
        { ...record, clientId: 'pending', will: willOf('pending', 10), publishAt: now + 5000 },
        { ...record, clientId: 'session ended', will: willOf('session ended', 10), publishAt: now + 5000 },
      ],
      (clientId) => trial.bench.registry.get(clientId),
    );
    const now1 = ['cut/user: cut', 'session ended/user: session ended'];
    expect(trial.published).toEqual(now1);
    await trial.bench.clock.pass(5000);
    expect(trial.published).toEqual([...now1, 'pending/user: pending']);
    await trial.bench.clock.pass(5000);
    expect(trial.published).toEqual([...now1, 'pending/user: pending', 'delayed/user: delayed']);
  });
});
