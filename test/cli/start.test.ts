import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'mqtt-packet';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { redisMissing, RedisServer } from '../support/redis-server.ts';
import { endAll, finished, type Trellis, trellis } from './trellis.ts';

let directory: string;

beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'trellis-start-')));
});

afterEach(endAll);
afterAll(() => rmSync(directory, { recursive: true }));

/** Starts a broker on free ports and waits until it is ready; resolves to its port as well. */
async function started(args: readonly string[], environment: Record<string, string> = {}): Promise<[Trellis, string]> {
  const broker = trellis(['start', '--port', '0', '--ws-port', 'off', ...args], { directory, environment });
  const [, port = ''] = await broker.until('stdout', /^ready mqtt:\/\/127\.0\.0\.1:(\d+)\n/m);
  return [broker, port];
}

test('it says where it listens, where the data is, what an acknowledgement means and what to try, and stops on SIGTERM', async () => {
  const broker = trellis(['start', '--port', '0', '--ws-port', '0'], { directory });
  await broker.until('stdout', /^ready .*\n/m);
  const lines = broker.stdout.trimEnd().split('\n');
  const [, port] = /mqtt:\/\/127\.0\.0\.1:(\d+)$/.exec(lines[1]!)!;
  const [webSocket] = /ws:\/\/127\.0\.0\.1:\d+\/mqtt$/.exec(lines[2]!)!;
  expect(lines[0]).toMatch(/^Trellis \d+\.\d+\.\d+/);
  expect(lines.slice(3)).toEqual([
    `  data          ${join(directory, 'data')}`,
    '  acknowledged  means flushed to disk: it survives a crash and a power loss',
    `  try next      npx trellis sub -p ${port} -t 'demo/#' -v`,
    `                npx trellis pub -p ${port} -t demo/hello -m 'Hello'`,
    `ready mqtt://127.0.0.1:${port} ${webSocket}`,
  ]);
  broker.process.kill('SIGTERM');
  expect(await broker.exited).toBe(0);
  expect(JSON.parse(broker.stderr.split('\n')[0]!)).toMatchObject({ level: 'info' });
});

test('the command it says to try works as printed', async () => {
  const broker = trellis(['start', '--port', 'off', '--ws-port', '0', '--store', 'memory'], { directory });
  await broker.until('stdout', /^ready .*\n/m);
  expect(broker.stdout).toContain('  data          in memory only, gone when it stops\n');
  expect(broker.stdout).toContain('  acknowledged  means taken into memory: it is lost when the broker stops\n');
  const [, flags = ''] = /npx trellis pub (.*) -t demo\/hello -m 'Hello'\n/.exec(broker.stdout)!;
  expect((await finished(['pub', ...flags.split(' '), '-t', 'demo/hello', '-m', 'Hello', '-q', '1'])).code).toBe(0);
  broker.process.kill('SIGINT');
  expect(await broker.exited).toBe(0);
});

test('with --log-format json one object and nothing else is on stdout, and each log line is one too', async () => {
  const broker = trellis(
    ['start', '--port', '0', '--ws-port', '0', '--store', 'memory', '--log-format', 'json', '--log-level', 'debug'],
    { directory },
  );
  await broker.until('stdout', /\n/);
  broker.process.kill('SIGTERM');
  expect(await broker.exited).toBe(0);
  expect(broker.stdout.endsWith('\n')).toBe(true);
  expect(JSON.parse(broker.stdout)).toEqual({
    ready: true,
    listeners: [
      expect.stringMatching(/^mqtt:\/\/127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^ws:\/\/127\.0\.0\.1:\d+\/mqtt$/),
    ],
  });
  for (const line of broker.stderr.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('message');
});

test('a port in use is one sentence and exit code 2', async () => {
  const [, port] = await started(['--store', 'memory']);
  const second = await finished(['start', '--port', port, '--ws-port', 'off', '--store', 'memory'], { directory });
  expect(second).toMatchObject({ code: 2, stdout: '' });
  expect(second.stderr).toBe(
    `trellis: Port ${port} on 127.0.0.1 is in use by another process: stop that one, or choose another port with --port (0 takes any free one).\n`,
  );
});

test('a data directory in use by another process is one sentence and exit code 1', async () => {
  await started(['--data', 'shared']);
  const second = await finished(['start', '--port', '0', '--ws-port', 'off', '--data', 'shared'], { directory });
  expect(second).toMatchObject({ code: 1, stdout: '' });
  expect(second.stderr).toMatch(/^trellis: .*in use.*\.\n$/);
});

test('a data directory that cannot be one is one sentence and exit code 2', async () => {
  writeFileSync(join(directory, 'file'), 'x');
  for (const data of ['file', 'file/below', '/proc/trellis']) {
    const { code, stdout, stderr } = await finished(['start', '--port', '0', '--ws-port', 'off', '--data', data], {
      directory,
    });
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr });
    expect(stderr).toMatch(/^trellis: [^\n]+\.\n$/);
    expect(stderr).not.toMatch(/ at .*\.[jt]s/);
  }
});

test('a host this machine does not have is one sentence and exit code 2', async () => {
  const { code, stderr } = await finished([
    'start',
    '--port',
    '0',
    '--ws-port',
    'off',
    '--store',
    'memory',
    '--host',
    '127.0.0.1.invalid',
    '--set',
    'auth.allowAnonymous=everywhere',
  ]);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: 'trellis: The host 127.0.0.1.invalid to listen on has no address here; name another with --host.\n',
  });
});

test('a second signal ends it at once while it waits for a client', async () => {
  const [broker, port] = await started([
    '--store',
    'memory',
    '--set',
    'admin.drainTimeoutMs=600000',
    '--set',
    'limits.lingerMs=60000',
  ]);
  const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  socket.write(
    generate(
      { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'stubborn', clean: true, keepalive: 0 },
      { protocolVersion: 4 },
    ),
  );
  await once(socket, 'data');
  broker.process.kill('SIGTERM');
  await broker.until('stderr', /stopping/);
  broker.process.kill('SIGTERM');
  expect(await broker.exited).toBe(1);
  expect(broker.stderr).toContain('second signal, ends at once');
  socket.destroy();
});

test.skipIf(redisMissing !== '')(
  'one that waits for replicas before it starts says so, and ends when it is told to',
  async () => {
    await using redis = await RedisServer.start();
    const store = ['--store', redis.url, '--set', 'redis.waitReplicas=1'];
    const broker = trellis(['start', '--port', '0', '--ws-port', 'off', ...store], { directory });
    await broker.until('stderr', /too few replicas of Redis .*"replicas":0,"redis\.waitReplicas":1/);
    broker.process.kill('SIGTERM');
    expect(await broker.exited).toBe(0);
    expect(broker.stdout).toBe('');
  },
);

test.each([
  ['uncaught exception', 'throw new Error("boom")'],
  ['unhandled rejection', 'Promise.reject(new Error("boom"))'],
])('an %s is logged, and ends it with exit code 1 instead of leaving it half dead', async (what, code) => {
  const module = encodeURIComponent(`process.on('SIGUSR2', () => { ${code} })`);
  const [broker] = await started(['--data', what.replace(' ', '-'), '--log-format', 'auto'], {
    NODE_OPTIONS: `--import data:text/javascript,${module}`,
  });
  broker.process.kill('SIGUSR2');
  expect(await broker.exited).toBe(1);
  const last = broker.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(last).toContainEqual(
    expect.objectContaining({
      level: 'error',
      message: what,
      error: 'boom',
      stack: expect.stringContaining('Error: boom'),
    }),
  );
  const [again] = await started(['--data', what.replace(' ', '-')]);
  again.process.kill('SIGTERM');
  expect(await again.exited).toBe(0);
});

test('a reader of stdout that goes away does no harm', async () => {
  const [broker, port] = await started(['--store', 'memory']);
  broker.process.stdout!.destroy();
  expect((await finished(['pub', '-p', port, '-t', 'a', '-m', 'x', '-q', '1'])).code).toBe(0);
  broker.process.kill('SIGTERM');
  expect(await broker.exited).toBe(0);
});
