import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FileWatch, type FileWatchOptions, lookAt, watchFiles } from '../../src/lib/file-watch.ts';
import { systemClock } from '../../src/lib/system-clock.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { until } from '../support/polling.ts';

let directory: string;
let file: string;
let watch: FileWatch | undefined;
let changes: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-watch-'));
  file = join(directory, 'file');
  changes = 0;
});

afterEach(() => {
  watch?.close();
  watch = undefined;
  rmSync(directory, { recursive: true });
});

/** Watches by events alone, unless told otherwise: the timer would come too late for any test. */
async function start(more: Partial<FileWatchOptions> = {}): Promise<void> {
  const onChange = (): void => void changes++;
  const files = await lookAt([file]);
  watch = watchFiles({ files, clock: systemClock, onChange, settleMs: 5, pollMs: 3_600_000, ...more });
  await watch.ready;
}

async function changed(): Promise<void> {
  await until('a change', () => (changes > 0 ? true : undefined));
  changes = 0;
}

describe('a watched file', () => {
  test('is told of when it is written to, replaced, removed and made again', async () => {
    writeFileSync(file, 'one');
    await start();
    writeFileSync(file, 'two');
    await changed();
    writeFileSync(`${file}.new`, 'two');
    renameSync(`${file}.new`, file);
    await changed();
    unlinkSync(file);
    await changed();
    writeFileSync(file, 'three');
    await changed();
    chmodSync(file, 0o600);
    await changed();
  });

  test('is told of when it has changed since it was looked at, before it was watched', async () => {
    writeFileSync(file, 'one');
    const files = await lookAt([file]);
    await start({ files });
    expect(changes).toBe(0);
    watch?.close();
    writeFileSync(file, 'and two');
    await start({ files });
    await changed();
  });

  test('is told of when the link that it is leads elsewhere, or is written to where it leads', async () => {
    const archive = join(directory, 'archive');
    mkdirSync(archive);
    for (const name of ['one', 'two']) writeFileSync(join(archive, name), name);
    symlinkSync('archive/one', file);
    await start();
    symlinkSync('archive/two', `${file}.new`);
    renameSync(`${file}.new`, file);
    await changed();
    writeFileSync(join(archive, 'two'), 'other');
    await changed();
  });

  test('is told of when a link on the way to it is swapped, as Kubernetes does', async () => {
    for (const version of ['..1', '..2']) {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, 'tls.crt'), version);
    }
    const data = join(directory, '..data');
    symlinkSync('..1', data);
    symlinkSync('..data/tls.crt', file);
    await start();
    symlinkSync('..2', `${data}.tmp`);
    renameSync(`${data}.tmp`, data);
    await changed();
    rmSync(join(directory, '..1'), { recursive: true });
    writeFileSync(join(directory, '..2', 'tls.crt'), 'in place');
    await changed();
  });

  test('is told of once for many events, and not for those of its neighbours', async () => {
    const clock = new FakeClock();
    writeFileSync(file, 'one');
    await start({ clock, settleMs: 100 });
    for (let count = 0; count < 50; count++) writeFileSync(file, `one ${count}`);
    await until('the change', () => {
      clock.advance(100);
      return changes > 0 ? true : undefined;
    });
    writeFileSync(join(directory, 'neighbour'), '1');
    for (let count = 0; count < 20; count++) await clock.pass(100);
    expect(changes).toBe(1);
  });

  test('is looked at without an event, where its directory comes later', async () => {
    file = join(directory, 'later', 'file');
    await start({ pollMs: 20 });
    mkdirSync(join(directory, 'later'));
    writeFileSync(file, 'one');
    await changed();
  });

  test('that stays away is told of never', async () => {
    const clock = new FakeClock();
    await start({ clock, pollMs: 1_000 });
    for (let count = 0; count < 5; count++) await clock.pass(1_000);
    expect(changes).toBe(0);
  });

  test('is not told of after the end', async () => {
    const clock = new FakeClock();
    writeFileSync(file, 'one');
    await start({ clock });
    watch?.close();
    writeFileSync(file, 'two');
    await clock.pass(10_000_000);
    expect([changes, clock.pendingTimers]).toEqual([0, 0]);
  });
});
