import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'mqtt-packet';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../support/polling.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { endAll, finished, type Trellis, trellis } from './trellis.ts';

let directory: string;
let redis: RedisServer;

beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'trellis-workers-')));
});

afterEach(endAll);
afterAll(() => rmSync(directory, { recursive: true }));

/** Module that each process of a command loads first. */
function preload(code: string): string {
  return `--import data:text/javascript,${encodeURIComponent(code)}`;
}

/** Workers say who they are. */
const SAYS_PID = `
  const number = process.env.TRELLIS_WORKER;
  if (number !== undefined) process.stderr.write('worker ' + number + ' is process ' + process.pid + '\\n');`;
/** Each worker has keys of its own: what is tested here is the processes, not what the nodes have to do with each other. */
const APART = "if (number !== undefined) process.env.TRELLIS_REDIS__PREFIX = 'worker' + number;";

interface StartOptions {
  args?: readonly string[];
  port?: number;
  code?: string;
}

function workers(count: number | string, { args = [], port = 0, code = '' }: StartOptions = {}): Trellis {
  const store = ['--store', redis.url, '--workers', String(count)];
  return trellis(['start', '--port', String(port), '--ws-port', 'off', ...store, ...args], {
    directory,
    environment: { NODE_OPTIONS: preload(`${SAYS_PID}${APART}${code}`) },
  });
}

/** The port of a command that is ready. */
async function readyPort(command: Trellis): Promise<string> {
  const [, port = ''] = await command.until('stdout', /^ready mqtt:\/\/127\.0\.0\.1:(\d+)/m);
  return port;
}

/** The process ids that a worker has had, the current one last. */
function pidsOf(command: Trellis, number: number): number[] {
  return [...command.stderr.matchAll(new RegExp(`^worker ${number} is process (\\d+)$`, 'gm'))].map(([, pid]) =>
    Number(pid),
  );
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Workers whose parent is gone end by themselves. */
async function untilEnded(pids: readonly number[]): Promise<void> {
  await until('the end of the workers', () => (pids.some(isRunning) ? undefined : true));
}

async function publish(...args: string[]): Promise<void> {
  expect(await finished(['pub', '-t', 'a', '-m', 'x', '-q', '1', ...args])).toMatchObject({ code: 0, stderr: '' });
}

/** The nodes that have logged that a client of theirs connected. */
function nodesOf(command: Trellis): Set<string> {
  return new Set([...command.stderr.matchAll(/"node":"[^"]*\/(\d+)","client":"/g)].map(([, number]) => number!));
}

describe('the flag', () => {
  test.each(['2', '64', 'auto'])('needs a Redis: --workers %s', async (count) => {
    for (const command of ['start', 'check']) {
      const { code, stdout, stderr } = await finished([command, '--workers', count], { directory });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toBe(
        `trellis: --workers ${count} needs a store that the processes share: say where a Redis is with --store redis://HOST:PORT, or leave --workers out.\n`,
      );
    }
  });

  test.each(['0', '65', '-1', '2.5', 'all', ''])('takes no other number of processes: %j', async (count) => {
    const { code, stderr } = await finished(['check', '--store', 'redis://127.0.0.1', '--workers', count], {
      directory,
    });
    expect(code).toBe(2);
    expect(stderr).toBe(`trellis: --workers must be auto or an integer from 1 to 64, not ${JSON.stringify(count)}.\n`);
  });

  test('leaves each worker memory to run in', async () => {
    const args = ['start', '--store', 'redis://127.0.0.1:1', '--workers', '4'];
    const { code, stderr } = await finished([...args, '--set', 'limits.memoryBytesMax=200000000']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('limits.memoryBytesMax leaves each of 4 workers 47 MiB, in which none runs'),
    });
  });

  test('leaves room for the number of a worker in its node id', async () => {
    const flags = ['check', '--store', 'redis://127.0.0.1', '--workers', '2', '--set'];
    expect((await finished([...flags, `cluster.nodeId=${'n'.repeat(125)}`], { directory })).code).toBe(0);
    const { code, stderr } = await finished([...flags, `cluster.nodeId=${'n'.repeat(126)}`], { directory });
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('at most 125 bytes') });
  });

  test('of one is a broker as without it, with any store', async () => {
    const broker = trellis(['start', '--port', '0', '--ws-port', 'off', '--store', 'memory', '--workers', '1'], {
      directory,
      environment: { NODE_OPTIONS: preload(SAYS_PID) },
    });
    await publish('-p', await readyPort(broker));
    broker.process.kill('SIGTERM');
    expect(await broker.exited).toBe(0);
    expect(broker.stderr).not.toContain('is process');
  });
});

describe.skipIf(redisMissing)('workers', () => {
  beforeEach(async () => {
    redis = await RedisServer.start();
  });
  afterEach(async () => {
    await endAll();
    await redis.stop();
  });

  test('say once, when all are ready, where they listen, share the port, and end in order', async () => {
    const command = workers(3, { args: ['--ws-port', '0', '--log-level', 'info'] });
    const port = await readyPort(command);
    const [, webSocket = ''] = /^ready .* ws:\/\/127\.0\.0\.1:(\d+)\/mqtt$/m.exec(command.stdout)!;
    expect(webSocket).not.toBe(port);
    for (let client = 0; client < 3; client++) await publish('-p', port);
    for (let client = 0; client < 3; client++) await publish('--ws', '-p', webSocket);
    await until('lines of all workers', () => (nodesOf(command).size === 3 ? true : undefined));
    command.process.kill('SIGTERM');
    expect(await command.exited).toBe(0);
    expect(command.stdout.match(/^ready /gm)).toHaveLength(1);
    expect(command.stdout).not.toContain('undefined');
    for (const number of [1, 2, 3]) expect(pidsOf(command, number).some(isRunning)).toBe(false);
    // They gave their places up.
    expect(await redis.client().keys('*lease*')).toEqual([]);
  });

  test('keep their node ids across starts', async () => {
    for (let start = 0; start < 2; start++) {
      const command = workers(2, { args: ['--set', 'cluster.nodeId=here'] });
      await readyPort(command);
      expect((await redis.client().keys('*lease*')).sort()).toEqual([
        '{worker1}:lease:here/1',
        '{worker2}:lease:here/2',
      ]);
      command.process.kill('SIGINT');
      expect(await command.exited).toBe(0);
    }
  });

  test.each([
    ['crashes', 'SIGKILL'],
    ['is told to end', 'SIGTERM'],
  ] as const)('are started again when one %s, on the same port, while the others go on', async (_, signal) => {
    const command = workers(2);
    const port = await readyPort(command);
    const [first] = pidsOf(command, 2);
    process.kill(first!, signal);
    await command.until('stderr', /a worker has ended and is started again/);
    await publish('-p', port);
    // Each start draws a number from Redis.
    const starts = async (): Promise<string | null> => redis.client().get('{worker2}:incarnations');
    await until('another start of the worker', async () => ((await starts()) === '2' ? true : undefined));
    expect(pidsOf(command, 2)).toHaveLength(2);
    expect(pidsOf(command, 1)).toHaveLength(1);
    command.process.kill('SIGTERM');
    expect(await command.exited).toBe(0);
    expect(command.stdout.match(/^ready /gm)).toHaveLength(1);
  });

  test('end when their parent is killed', async () => {
    const command = workers(2);
    await readyPort(command);
    const pids = [...pidsOf(command, 1), ...pidsOf(command, 2)];
    expect(pids).toHaveLength(2);
    command.process.kill('SIGKILL');
    await untilEnded(pids);
    // In order: what they held in Redis they gave up.
    expect(await redis.client().keys('*lease*')).toEqual([]);
    await command.exited;
    expect(command.stderr).toContain('the parent has ended');
  });

  test('end with an error when their parent has one of its own', async () => {
    const code = "if (number === undefined) process.on('SIGUSR2', () => { throw new Error('boom') });";
    const command = workers(2, { code });
    await readyPort(command);
    command.process.kill('SIGUSR2');
    expect(await command.exited).toBe(1);
    expect(command.stderr).toContain('"message":"uncaught exception","error":"boom"');
    expect([...pidsOf(command, 1), ...pidsOf(command, 2)].some(isRunning)).toBe(false);
  });

  test('end at once on a second signal while they wait for clients', async () => {
    const patience = ['--set', 'admin.drainTimeoutMs=600000', '--set', 'limits.lingerMs=60000'];
    const command = workers(2, { args: patience });
    const port = await readyPort(command);
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    const packet = {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: 'stubborn',
      clean: true,
    } as const;
    socket.write(generate({ ...packet, keepalive: 0 }, { protocolVersion: 4 }));
    await once(socket, 'data');
    command.process.kill('SIGTERM');
    await command.until('stderr', /"message":"stopping","node":/);
    command.process.kill('SIGTERM');
    expect(await command.exited).toBe(1);
    expect(command.stderr).toContain('second signal, ends at once');
    await untilEnded([...pidsOf(command, 1), ...pidsOf(command, 2)]);
    socket.destroy();
  });

  test('say once that a port is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const command = workers(3, { port });
    expect(await command.exited).toBe(2);
    expect(command.stderr.match(/^trellis: .*$/gm)).toEqual([
      `trellis: Port ${port} on 127.0.0.1 is in use by another process: stop that one, or choose another port with --port (0 takes any free one).`,
    ]);
    server.close();
  });

  test('are given up when one of them never becomes ready', async () => {
    const command = workers(2, { code: "if (number === '2') process.exit(1);" });
    expect(await command.exited).toBe(1);
    expect(command.stderr).toMatch(/^trellis: Worker 2 ends again and again without having been ready, .*\.$/m);
    expect(pidsOf(command, 2)).toHaveLength(6);
    expect(command.stdout).toBe('');
    expect(await redis.client().keys('*lease*')).toEqual([]);
  });

  test('share a Unix socket, also where a dead process left its file', async () => {
    const path = join(directory, 'mqtt.sock');
    const args = ['--port', 'off', '--set', `listeners.unix.path=${path}`];
    const first = workers(2, { args });
    await first.until('stdout', /^ready unix:/m);
    first.process.kill('SIGKILL');
    await untilEnded([...pidsOf(first, 1), ...pidsOf(first, 2)]);
    const second = workers(2, { args: [...args, '--log-level', 'info'] });
    await second.until('stdout', /^ready unix:/m);
    for (let client = 0; client < 2; client++) await publish('--unix', path);
    await until('lines of both workers', () => (nodesOf(second).size === 2 ? true : undefined));
    second.process.kill('SIGTERM');
    expect(await second.exited).toBe(0);
  });

  test('are nodes of one cluster: a message to one reaches the subscribers of the other', async () => {
    const store = ['--store', redis.url, '--workers', '2'];
    const command = trellis(['start', '--port', '0', '--ws-port', 'off', ...store], { directory });
    const port = await readyPort(command);
    // Connections go to the workers in turn: of two publishers one is a neighbour.
    const subscriber = trellis(['sub', '-p', port, '-t', 'a', '-q', '1', '-C', '2', '-d'], { directory });
    await subscriber.until('stderr', /suback/i);
    await publish('-p', port);
    await publish('-p', port);
    expect(await subscriber.exited).toBe(0);
    command.process.kill('SIGTERM');
    expect(await command.exited).toBe(0);
  });
});
