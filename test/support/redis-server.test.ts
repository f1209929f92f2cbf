import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RedisServer, redisMissing } from './redis-server.ts';

describe.skipIf(redisMissing)(`RedisServer ${redisMissing}`, () => {
  let server: RedisServer;
  beforeEach(async () => {
    server = await RedisServer.start({ config: ['appendonly yes', 'appendfsync always', 'requirepass secret'] });
  });
  afterEach(() => server.stop());

  test('answers at its address, with the configuration that was asked for', async () => {
    expect(server.url).toBe(`redis://:secret@127.0.0.1:${server.port}`);
    expect(await server.client().ping()).toBe('PONG');
    expect(await server.client().config('GET', 'append*')).toContain('always');
    expect(server.client()).toBe(server.client());
  });

  test('tells all keys with their types', async () => {
    const names = Array.from({ length: 1500 }, (_, index) => `many:${index}`);
    await server.client().mset(Object.fromEntries(names.map((name) => [name, '1'])));
    await server.client().zadd('a', 1, 'x');
    const keys = await server.keys();
    expect([...keys].slice(0, 2)).toEqual([
      ['a', 'zset'],
      ['many:0', 'string'],
    ]);
    expect(keys.size).toBe(1501);
  });

  test('comes back after a crash, and after an orderly end, with what its log has', async () => {
    await server.client().set('a', '1');
    await server.kill();
    expect(server.isUp).toBe(false);
    await expect(server.client().get('a')).rejects.toThrow('max retries');
    await server.restart();
    expect(server.isUp).toBe(true);
    expect(await server.client().get('a')).toBe('1');
    await server.restart();
    expect(await server.client().get('a')).toBe('1');
  });

  test('answers nothing while it is paused', async () => {
    await server.client().set('a', '1');
    server.pause();
    expect(server.isUp).toBe(false);
    const impatient = server.client().duplicate({ commandTimeout: 50, retryStrategy: () => null });
    impatient.on('error', () => undefined);
    await expect(impatient.get('a')).rejects.toThrow('timed out');
    impatient.disconnect();
    const answer = server.client().get('a');
    server.resume();
    expect(await answer).toBe('1');
  });

  test('can be stopped in any state, more than once', async () => {
    server.pause();
    await server.stop();
    await server.stop();
    expect(server.isUp).toBe(false);
  });

  test('tells what is wrong with a configuration', async () => {
    await expect(RedisServer.start({ config: ['no-such-line'] })).rejects.toThrow('no-such-line');
  });
});
