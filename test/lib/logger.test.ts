import { beforeEach, expect, test } from 'vitest';
import { createLogger, type LogLevel, type Logger } from '../../src/lib/logger.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

let clock: FakeClock;
let lines: string[];

beforeEach(() => {
  clock = new FakeClock(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  lines = [];
});

function logger(format: 'json' | 'pretty', level: LogLevel = 'debug'): Logger {
  return createLogger({ level, format, clock, write: (line) => lines.push(line) });
}

test('a JSON line has time, level and message before its fields', () => {
  logger('json').info('client connected', { clientId: 'a', bytes: 12, absent: undefined });
  expect(lines).toEqual([
    '{"time":"2026-01-02T03:04:05.678Z","level":"info","message":"client connected","clientId":"a","bytes":12}',
  ]);
});

test('what every line says stands before its own fields', () => {
  const options = { level: 'info', format: 'json', clock, write: (line: string) => lines.push(line) } as const;
  createLogger({ ...options, fields: { node: 'here/2' } }).info('hello', { port: 1 });
  expect(lines).toEqual([
    '{"time":"2026-01-02T03:04:05.678Z","level":"info","message":"hello","node":"here/2","port":1}',
  ]);
});

test('a pretty line quotes a field only where it has to', () => {
  logger('pretty').warn('said "no"', { clientId: 'a b', topic: 'x/y', count: 3 });
  expect(lines).toEqual(['03:04:05.678 WARN  said "no" clientId="a b" topic=x/y count=3']);
});

test.each([
  ['error', ['error']],
  ['warn', ['error', 'warn']],
  ['info', ['error', 'warn', 'info']],
  ['debug', ['error', 'warn', 'info', 'debug']],
] as const)('level %s lets through %j', (level, expected) => {
  const log = logger('json', level);
  for (const each of ['error', 'warn', 'info', 'debug'] as const) log[each]('x');
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(expected);
  expect(log.level).toBe(level);
});

test.each(['json', 'pretty'] as const)(
  'no control character reaches a %s line, from message, name or value',
  (format) => {
    const nasty = '\u0000\n\u001b[31m\u007f\u009b\u2028\u202e\u2066';
    logger(format).error(`m${nasty}`, { [`n${nasty}`]: nasty, deep: { list: [nasty] }, error: new Error(nasty) });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[\x20-\x7e]*$/);
  },
);

test('what was escaped in a JSON line reads back as it was', () => {
  const nasty = '\u0000\n\u007f\u009b\u2028';
  logger('json').info(nasty, { deep: { list: [nasty] } });
  expect(JSON.parse(lines[0]!)).toMatchObject({ message: nasty, deep: { list: [nasty] } });
});

test('values under a name that sounds like a secret are never written, at any depth', () => {
  const secret = 'hunter2';
  logger('json').info('x', {
    password: secret,
    authToken: secret,
    options: { clientSecret: secret, list: [{ passwd: secret }] },
  });
  logger('pretty').info('y', { password: secret, options: { authenticationData: Buffer.from(secret) } });
  expect(lines.join('\n')).not.toContain(secret);
  expect(JSON.parse(lines[0]!)).toMatchObject({ password: '***', options: { clientSecret: '***' } });
});

test('values that are no JSON are written as what they are', () => {
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  const error = Object.assign(new Error('no room'), { code: 'ENOSPC' });
  logger('json').info('x', {
    error,
    big: 5n,
    infinite: Infinity,
    bytes: Buffer.from('abc'),
    deep: { bytes: Buffer.from('abcd') },
    cyclic,
    call: () => 1,
  });
  expect(JSON.parse(lines[0]!)).toMatchObject({
    error: 'no room (ENOSPC)',
    big: '5',
    infinite: 'Infinity',
    bytes: '<3 bytes>',
    deep: { bytes: '<4 bytes>' },
    cyclic: '(cannot be written)',
    call: 'function',
  });
});

test('fields cannot take the place of time, level and message, nor reach a prototype', () => {
  const fields = JSON.parse('{"time":"t","level":"l","message":"m","__proto__":{"a":1}}') as Record<string, unknown>;
  logger('json').info('real', fields);
  expect(lines[0]).toContain('"level":"info","message":"real"');
  expect(lines[0]!.match(/"message"/g)).toHaveLength(1);
  expect(({} as Record<string, unknown>)['a']).toBeUndefined();
});

test('a long text is cut and its length told', () => {
  logger('json').info('x', { topic: 'a'.repeat(65_535) });
  expect(lines[0]!.length).toBeLessThan(1_300);
  expect(lines[0]).toContain('(65535 characters)');
});

test('the twenty-first line of a cause is suppressed, and the window ends with one line that counts', () => {
  const log = logger('json');
  for (let index = 0; index < 1_000; index += 1) log.warn('flood', { index });
  log.warn('something else');
  expect(lines).toHaveLength(21);
  expect(clock.pendingTimers).toBe(1);
  clock.advance(9_999);
  expect(lines).toHaveLength(21);
  clock.advance(1);
  expect(JSON.parse(lines[21]!)).toMatchObject({ level: 'warn', message: 'suppressed', cause: 'flood', count: 980 });
  log.warn('flood', { index: 1_000 });
  expect(JSON.parse(lines[22]!)).toMatchObject({ message: 'flood', index: 1_000 });
});

test('a cause that stays below the limit per window is never suppressed', () => {
  const log = logger('json');
  for (let window = 0; window < 5; window += 1) {
    for (let index = 0; index < 20; index += 1) log.info('steady');
    clock.advance(10_000);
  }
  expect(lines).toHaveLength(100);
  expect(clock.pendingTimers).toBe(0);
});

test('the same words at another level are another cause', () => {
  const log = logger('json');
  for (let index = 0; index < 20; index += 1) log.info('same');
  log.error('same');
  expect(lines).toHaveLength(21);
});

test('more causes than can be told apart share one limit, and are told apart again later', () => {
  const log = logger('json');
  for (let index = 0; index < 5_000; index += 1) log.info(`cause ${index}`);
  expect(lines).toHaveLength(1_020);
  clock.advance(10_000);
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ message: 'suppressed', cause: 'other causes', count: 3_980 });
  log.info('cause 4999');
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ message: 'cause 4999' });
});
