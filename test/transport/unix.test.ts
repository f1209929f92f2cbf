import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { listenUnix } from '../../src/transport/unix.ts';
import { describeByteStream } from '../contract/byte-stream-contract.ts';
import { nodePair, unexpected } from './stream-pairs.ts';

const directory = mkdtempSync(join(tmpdir(), 'trellis-unix-'));
let sockets = 0;

function freshPath(): string {
  sockets++;
  return join(directory, `${sockets}.sock`);
}

afterAll(() => {
  rmSync(directory, { recursive: true });
});

describeByteStream(
  'a Unix connection',
  () => nodePair((onStream) => listenUnix({ path: freshPath() }, onStream, unexpected)),
  { halfOpen: true },
);

/** Leaves a socket file behind as a killed process does. */
async function leaveStale(path: string): Promise<void> {
  const program = `require('net').createServer().listen(process.argv[1], () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(existsSync(path)).toBe(true);
}

describe('a Unix listener', () => {
  test('makes a socket for its owner and group, and removes it when it closes', async () => {
    const path = freshPath();
    const listener = await listenUnix({ path }, () => {}, unexpected);
    expect(listener.url).toBe(`unix:${path}`);
    expect(listener.port).toBe(0);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    await listener.close();
    expect(existsSync(path)).toBe(false);
  });

  test('replaces the socket that a dead process left', async () => {
    const path = freshPath();
    await leaveStale(path);
    const pair = await nodePair((onStream) => listenUnix({ path }, onStream, unexpected));
    expect(pair.accepted.remoteAddress).toBe(path);
    expect(pair.accepted.transport).toBe('unix');
    await pair.close();
  });

  test('refuses the socket of a live process and leaves it working', async () => {
    const path = freshPath();
    const listener = await listenUnix({ path }, (stream) => stream.destroy(), unexpected);
    const again = listenUnix({ path }, () => {}, unexpected);
    await expect(again).rejects.toThrow(`Cannot listen on ${path}: another process is listening on it.`);
    expect(existsSync(path)).toBe(true);
    await listener.close();
  });

  test('refuses a path that holds a file, and leaves the file alone', async () => {
    const path = freshPath();
    writeFileSync(path, 'precious');
    await expect(listenUnix({ path }, () => {}, unexpected)).rejects.toThrow('a file that is not a socket');
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });

  test('passes on why a socket cannot be made', async () => {
    const path = join(directory, 'absent', 'broker.sock');
    await expect(listenUnix({ path }, () => {}, unexpected)).rejects.toMatchObject({ code: 'EACCES' });
  });
});
