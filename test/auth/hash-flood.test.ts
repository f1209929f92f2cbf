import { scryptSync } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashTurns, PasswordAuthenticator } from '../../src/auth/password-authenticator.ts';
import { PasswordFile } from '../../src/auth/password-file.ts';
import { hashPassword } from '../../src/auth/password-hash.ts';
import { systemClock } from '../../src/lib/system-clock.ts';

const LOGINS_PER_SECOND = 200;
const SECONDS = 5;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-flood-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

/** How late the event loop is while something runs, ms. */
async function latenessMs(run: () => Promise<void>): Promise<{ p50: number; p99: number; max: number }> {
  const histogram = monitorEventLoopDelay({ resolution: 5 });
  histogram.enable();
  await run();
  histogram.disable();
  return { p50: histogram.percentile(50) / 1e6, p99: histogram.percentile(99) / 1e6, max: histogram.max / 1e6 };
}

/** CPU time that this thread has used since then, ms: other than its lateness it is the same on a busy machine. */
function threadMs(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(since);
  return (user + system) / 1_000;
}

/** What one hash would take on the event loop, ms of CPU time. */
function hashMs(): number {
  const start = process.threadCpuUsage();
  scryptSync('wrong', 'salt and salt', 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 });
  return threadMs(start);
}

test('200 logins a second with wrong passwords neither hold the event loop up nor fill the memory', async () => {
  const path = join(directory, 'users');
  writeFileSync(path, `alice:${await hashPassword(Buffer.from('wonderland'))}\n`, { mode: 0o600 });
  const queue = hashTurns(systemClock);
  const passwords = new PasswordAuthenticator(await PasswordFile.open(path), queue);
  const idle = await latenessMs(() => delay(2_000));
  const kinds = new Map<string, number>();
  const pending = new Set<Promise<void>>();
  let isOver = false;
  const login = async (index: number): Promise<void> => {
    const username = index % 2 === 0 ? 'alice' : `user-${index}`;
    const client = { clientId: 'c', username, protocolVersion: 5 as const, remoteAddress: '', transport: 'tcp' };
    const password = Buffer.from(`guess ${index}`);
    const { kind } = await passwords.authenticate({ client, username, password, isWanted: () => !isOver });
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  };
  const before = process.memoryUsage().rss;
  let rssMax = before;
  const usage = process.threadCpuUsage();
  const flood = await latenessMs(async () => {
    const start = performance.now();
    let sent = 0;
    while (sent < LOGINS_PER_SECOND * SECONDS) {
      const due = Math.min(LOGINS_PER_SECOND * SECONDS, ((performance.now() - start) / 1_000) * LOGINS_PER_SECOND);
      for (; sent < due; sent++) {
        const one = login(sent);
        pending.add(one);
        void one.finally(() => pending.delete(one));
      }
      rssMax = Math.max(rssMax, process.memoryUsage.rss());
      await delay(5);
    }
  });
  const { waiting } = queue.counters;
  isOver = true;
  await Promise.all(pending);
  const loopMs = threadMs(usage);
  const oneHash = hashMs();
  const shown = ({ p50, p99, max }: typeof idle): string => [p50, p99, max].map((ms) => ms.toFixed(1)).join(' / ');
  console.log(
    `event loop late by p50 / p99 / max: idle ${shown(idle)} ms, flood ${shown(flood)} ms; its CPU ${loopMs.toFixed(0)} ms; one hash ${oneHash.toFixed(0)} ms; ` +
      `${JSON.stringify(queue.counters)}; memory +${((rssMax - before) / 2 ** 20).toFixed(0)} MiB`,
  );
  expect(waiting).toBeLessThanOrEqual(256);
  expect(kinds.get('accepted')).toBeUndefined();
  expect([...kinds.values()].reduce((sum, count) => sum + count, 0)).toBe(LOGINS_PER_SECOND * SECONDS);
  expect(queue.counters.busy).toBeGreaterThan(0);
  // Hashing on the event loop would take all of it there.
  expect(loopMs).toBeLessThan((queue.counters.done * oneHash) / 2);
  expect(rssMax - before).toBeLessThan(200 * 1024 * 1024);
});
