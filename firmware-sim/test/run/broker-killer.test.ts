import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { brokerKiller, isListening } from '../../src/run/broker-killer.ts';
import type { OwnBroker } from '../../src/run/own-broker.ts';
import { RunError } from '../../src/run/run.ts';

/** What a victim says of itself to whoever connects. */
interface Identity {
  readonly pid: number;
  readonly args: readonly string[];
  readonly directory: string;
  readonly mark: string | undefined;
}

const victimSource = `
  const { createServer } = require('node:net');
  const [port] = process.argv.slice(1);
  const mark = process.env.VICTIM_MARK;
  const identity = JSON.stringify({ pid: process.pid, args: process.argv.slice(1), directory: process.cwd(), mark }) + '\\n';
  createServer((socket) => socket.on('error', () => {}).write(identity)).listen(Number(port), '127.0.0.1');
`;

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'broker-killer-')));
const script = join(folder, 'victim.cjs');
writeFileSync(script, victimSource.replace('slice(1)', 'slice(2)').replace('slice(1)', 'slice(2)'));
const started = new Set<number>();
const children = new Set<ChildProcess>();

afterEach(() => {
  for (const pid of started) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  }
  started.clear();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Who listens there. */
async function identity(port: number): Promise<Identity> {
  const socket = connect(port, '127.0.0.1');
  const [line] = (await once(createInterface({ input: socket }), 'line')) as [string];
  socket.destroy();
  const found = JSON.parse(line) as Identity;
  started.add(found.pid);
  return found;
}

/** Starts a victim; resolves when it listens. */
async function victim(port: number, more: readonly string[] = []): Promise<Identity> {
  const child = spawn(process.execPath, ['-e', victimSource, '--', `${port}`, ...more], {
    cwd: folder,
    env: { ...process.env, VICTIM_MARK: 'a=b\nc' },
    stdio: 'ignore',
  });
  children.add(child);
  started.add(child.pid as number);
  while (!(await isListening({ host: '127.0.0.1', port }))) {
    if (child.exitCode !== null) throw new Error('the victim ended');
  }
  return identity(port);
}

const address = (port: number): { host: string; port: number } => ({ host: '127.0.0.1', port });

/** A process number that no process has. */
async function freePid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid as number;
}

describe('a process by its number', () => {
  test('is killed and started again as it was, as often as it is asked for', async () => {
    const port = await freePort();
    const words = ['', 'with space', '"quotes"', '$HOME', 'two\nlines'];
    const first = await victim(port, words);
    const killer = await brokerKiller(undefined, first.pid, address(port));
    await killer?.killAndRestart();
    const second = await identity(port);
    await killer?.killAndRestart();
    const third = await identity(port);
    expect(new Set([first.pid, second.pid, third.pid]).size).toBe(3);
    const asItWas = { args: [`${port}`, ...words], directory: folder, mark: 'a=b\nc' };
    for (const found of [first, second, third]) expect(found).toMatchObject(asItWas);
  });

  test('is refused before the run where there is none', async () => {
    const pid = await freePid();
    await expect(brokerKiller(undefined, pid, address(1))).rejects.toThrow(
      new RunError(`--kill-broker ${pid}: there is no such process.`),
    );
  });

  test('is told of in a sentence where it ended by itself meanwhile', async () => {
    const port = await freePort();
    const { pid } = await victim(port);
    const killer = await brokerKiller(undefined, pid, address(port));
    const gone = once([...children].at(-1) as ChildProcess, 'exit');
    process.kill(pid, 'SIGKILL');
    await gone;
    await expect(killer?.killAndRestart()).rejects.toThrow(
      new RunError(`--kill-broker ${pid}: there is no such process.`),
    );
  });
});

describe('a command', () => {
  const restart = (pid: number, port: number): string =>
    `kill -9 ${pid}; '${process.execPath}' '${script}' ${port} & echo started >&2`;

  test('kills and restarts, and what it leaves running lives on', async () => {
    const port = await freePort();
    const { pid } = await victim(port);
    const killer = await brokerKiller(undefined, restart(pid, port), address(port));
    await killer?.killAndRestart();
    const second = await identity(port);
    expect(second.pid).not.toBe(pid);
    expect((await identity(port)).pid).toBe(second.pid);
  });

  test('takes precedence over a broker of the run itself', async () => {
    const own = { kill: () => Promise.reject(new Error('it was killed')) } as unknown as OwnBroker;
    const port = await freePort();
    const { pid } = await victim(port);
    const killer = await brokerKiller(own, restart(pid, port), address(port));
    await killer?.killAndRestart();
    expect((await identity(port)).pid).not.toBe(pid);
  });

  test.each([
    ['says why', "echo 'no such service' >&2; exit 3", 'failed (3): no such service'],
    ['says nothing', 'exit 7', 'failed (7): exit 7'],
    ['is not found', 'no-such-program-anywhere', /failed \(127\): .*no-such-program-anywhere/],
    ['is killed itself', 'kill -9 $$', 'failed (SIGKILL): kill -9 $$'],
  ])('that %s when it fails is told of in a sentence', async (_what, command, text) => {
    const killer = await brokerKiller(undefined, command, address(1));
    const failed = killer?.killAndRestart();
    await expect(failed).rejects.toThrow(RunError);
    await expect(failed).rejects.toThrow(text);
    await expect(failed).rejects.toThrow(/^The command of --kill-broker failed/);
  });
});

describe('a broker of the run itself', () => {
  test('is killed and then started', async () => {
    const done: string[] = [];
    const own = {
      kill: () => Promise.resolve(void done.push('kill')),
      start: () => Promise.resolve(void done.push('start')),
    } as unknown as OwnBroker;
    const killer = await brokerKiller(own, undefined, address(1));
    await killer?.killAndRestart();
    expect(done).toEqual(['kill', 'start']);
  });

  test('is the only one that can be killed where nobody is named', async () => {
    expect(await brokerKiller(undefined, undefined, address(1))).toBeUndefined();
  });
});

describe('isListening', () => {
  test('says whether a connection can be opened, and stays open, by host and port alone', async () => {
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const endpoint = { transport: 'ws', host: '127.0.0.1', port, path: '/mqtt' };
    expect([await isListening(endpoint), await isListening(endpoint, 300)]).toEqual([true, false]);
    await new Promise((resolve) => server.close(resolve));
    expect(await isListening(endpoint)).toBe(false);
  });
});
