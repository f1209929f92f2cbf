import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogger } from '../../../src/lib/logger.ts';
import { systemClock } from '../../../src/lib/system-clock.ts';
import { parseRedisUrl } from '../../../src/store/redis/redis-address.ts';
import { RedisConnection } from '../../../src/store/redis/redis-connection.ts';
import { StoreError } from '../../../src/store/store.ts';
import { until } from '../../support/polling.ts';
import { RedisServer, redisMissing } from '../../support/redis-server.ts';

/** Lines logged by the connections of a test. */
let lines: string[] = [];
const opened: RedisConnection[] = [];
/** Everything of a test that printed past the logger. */
const printed = vi.fn();

beforeEach(() => {
  lines = [];
  printed.mockClear();
  for (const method of ['error', 'warn', 'log'] as const) vi.spyOn(console, method).mockImplementation(printed);
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((connection) => connection.close()));
  vi.restoreAllMocks();
  expect(printed.mock.calls).toEqual([]);
});

function connectionTo(url: string, timeoutMs = 5_000): RedisConnection {
  const logger = createLogger({
    level: 'info',
    format: 'pretty',
    write: (line) => lines.push(line.slice('00:00:00.000 '.length)),
    clock: systemClock,
  });
  const connection = new RedisConnection(parseRedisUrl(url), { timeoutMs, logger, name: 'test', prefix: 'trellis' });
  opened.push(connection);
  return connection;
}

async function open(url: string, timeoutMs?: number): Promise<RedisConnection> {
  const connection = connectionTo(url, timeoutMs);
  await connection.open();
  return connection;
}

/** The connection to one Redis, for what a cluster has not. */
function single(connection: RedisConnection): Redis {
  return connection.redis as Redis;
}

/** Why a connection cannot be opened. */
async function refusal(url: string, timeoutMs?: number): Promise<string> {
  const connection = connectionTo(url, timeoutMs);
  const error = await connection.open().then(
    () => new Error('was opened'),
    (reason: Error) => reason,
  );
  expect(error).toBeInstanceOf(StoreError);
  expect(connection.isReady).toBe(false);
  await expect(connection.whenReady()).rejects.toThrow('The connection to Redis is closed.');
  return error.message.replace(/:\d{4,5}/g, ':PORT');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('a Redis that cannot be used is a sentence', () => {
  test('when nothing listens', async () => {
    const port = await freePort();
    const end =
      'nothing listens there (connect ECONNREFUSED 127.0.0.1:PORT): start it, or set another redis.url (--store redis://HOST:PORT).';
    expect(await refusal(`redis://127.0.0.1:${port}/3`)).toBe(`Cannot use Redis at redis://127.0.0.1:PORT/3: ${end}`);
    const cluster = await refusal(`redis+cluster://127.0.0.1:${port}`);
    expect(cluster).toBe(`Cannot use Redis at redis+cluster://127.0.0.1:PORT: ${end}`);
    const sentinel = await refusal(`redis+sentinel://127.0.0.1:${port}/m`);
    expect(sentinel).toContain(end);
  });

  test.each(['redis://redis.invalid', 'redis+cluster://redis.invalid', 'redis+sentinel://redis.invalid/m'])(
    'when the host of %s is not known',
    async (url) => {
      expect(await refusal(url)).toContain('is not known here: set another redis.url');
    },
  );

  test.each(['redis', 'rediss', 'redis+cluster'])('when %s connects to what never answers', async (scheme) => {
    await using server = createServer().listen(0, '127.0.0.1');
    const sockets: Socket[] = [];
    server.on('connection', (socket: Socket) => sockets.push(socket.on('error', () => undefined).resume()));
    await once(server, 'listening');
    const url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const sentence = await refusal(url, 200);
    for (const socket of sockets) socket.destroy();
    expect(sentence).toContain('no answer within 200 ms');
  });
});
