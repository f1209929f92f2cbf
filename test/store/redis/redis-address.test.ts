import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  describeRedisAddress,
  isRedisUrl,
  maskRedisUrl,
  parseRedisUrl,
  type RedisAddress,
  RedisAddressError,
} from '../../../src/store/redis/redis-address.ts';

const plain: RedisAddress = {
  kind: 'single',
  hosts: [{ host: '127.0.0.1', port: 6379 }],
  db: 0,
  username: '',
  password: '',
  tls: false,
  name: '',
};

test.each<[string, Partial<RedisAddress>]>([
  ['redis://127.0.0.1:6379', {}],
  ['redis://127.0.0.1', {}],
  ['redis://127.0.0.1/', {}],
  ['REDIS://127.0.0.1/0', {}],
  ['redis://127.0.0.1/15', { db: 15 }],
  ['redis://localhost:1', { hosts: [{ host: 'localhost', port: 1 }] }],
  ['redis://my_redis-1.example:65535/3/', { hosts: [{ host: 'my_redis-1.example', port: 65_535 }], db: 3 }],
  ['redis://[::1]', { hosts: [{ host: '::1', port: 6379 }] }],
  ['redis://[fe80::1]:7000/2', { hosts: [{ host: 'fe80::1', port: 7000 }], db: 2 }],
  ['rediss://127.0.0.1', { tls: true }],
  ['redis://:secret@127.0.0.1', { password: 'secret' }],
  ['redis://user@127.0.0.1', { username: 'user' }],
  ['redis://user:a:b@127.0.0.1', { username: 'user', password: 'a:b' }],
  ['redis://us%40er:p%2F%3A%25%E2%82%AC@127.0.0.1', { username: 'us@er', password: 'p/:%€' }],
  ['redis://a:b@[::1]:6380', { username: 'a', password: 'b', hosts: [{ host: '::1', port: 6380 }] }],
  [
    'redis+sentinel://a,b:7,[::2]:8/the-one',
    {
      kind: 'sentinel',
      name: 'the-one',
      hosts: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 7 },
        { host: '::2', port: 8 },
      ],
    },
  ],
  ['redis+sentinel://a/m%2F1/4', { kind: 'sentinel', name: 'm/1', db: 4, hosts: [{ host: 'a', port: 26_379 }] }],
  ['rediss+sentinel://a:1/m/', { kind: 'sentinel', name: 'm', tls: true, hosts: [{ host: 'a', port: 1 }] }],
  [
    'redis+cluster://u:p@a:1,b',
    {
      kind: 'cluster',
      username: 'u',
      password: 'p',
      hosts: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
      ],
    },
  ],
  ['rediss+cluster://a/0', { kind: 'cluster', tls: true, hosts: [{ host: 'a', port: 6379 }] }],
])('%s is read', (url, expected) => {
  expect(isRedisUrl(url)).toBe(true);
  expect(parseRedisUrl(url)).toEqual({ ...plain, ...expected });
});

test.each<[string, string]>([
  ['redis://[::1', 'the host is not a host name'],
  ['', 'it does not begin with redis://, rediss://, redis+sentinel://'],
  ['127.0.0.1:6379', 'it does not begin with redis://'],
  ['http://127.0.0.1', 'it does not begin with redis://'],
  ['redis+other://127.0.0.1', 'it does not begin with redis://'],
  ['redis:/127.0.0.1', 'it does not begin with redis://'],
  ['redis://', 'the host is missing'],
  ['redis://:6379', 'the host is missing'],
  ['redis://:secret@', 'the host is missing'],
  ['redis:///3', 'the host is missing'],
  ['redis://a,b', 'it has several hosts'],
  ['redis+cluster://a,,b', 'host 2 is missing'],
  ['redis+cluster://a,b:', 'the port of host 2 is not a number from 1 to 65,535'],
  ['redis://a:0', 'the port of the host is not a number from 1 to 65,535'],
  ['redis://a:65536', 'the port of the host is not a number from 1 to 65,535'],
  ['redis://a:1e3', 'the port of the host is not a number from 1 to 65,535'],
  ['redis://a:-1', 'the port of the host is not a number from 1 to 65,535'],
  ['redis://::1', 'the host is missing'],
  ['redis://fe80::1', 'an IPv6 address stands in brackets'],
  ['redis://[::g]', 'the host is not a host name or an IP address'],
  ['redis://[127.0.0.1]', 'the host is not a host name or an IP address'],
  ['redis://a b', 'the host is not a host name or an IP address'],
  ['redis://a/x', 'the number of the database, after the last /, is not from 0 to 65,535'],
  ['redis://a/-1', 'the number of the database'],
  ['redis://a/65536', 'the number of the database'],
  ['redis://a/1/2', 'there is more after the number of the database'],
  ['redis://a//', 'the number of the database'],
  ['redis://a?db=1', 'it goes on after a ? or #'],
  ['redis://a#1', 'it goes on after a ? or #'],
  ['redis+cluster://a/1', 'a Redis Cluster has database 0 only'],
  ['redis+sentinel://a', 'the name of the master is missing'],
  ['redis+sentinel://a/', 'the name of the master is missing'],
  ['redis+sentinel://a/m/n', 'the number of the database'],
  ['redis://:pass/word@a', 'must be percent-encoded'],
  ['redis://:p@ss@a', 'must be percent-encoded'],
  ['redis://:p%ss@a', 'the password has a % that is not followed by two hexadecimal digits'],
  ['redis://%ff:x@a', 'the user name has a %'],
  [`redis+cluster://${'a,'.repeat(32)}a`, 'it has more than 32 hosts'],
])('%s is refused, and the error says what is wrong', (url, clause) => {
  expect(refusal(url)).toContain(clause);
});

test('a URL without end is refused', () => {
  expect(refusal(`redis://${'a'.repeat(5_000)}`)).toBe('it is longer than 4096 characters');
});

function refusal(url: string): string {
  let message = 'was read';
  try {
    parseRedisUrl(url);
  } catch (error) {
    expect(error).toBeInstanceOf(RedisAddressError);
    message = (error as Error).message;
  }
  return message;
}

test.each([
  ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
  ['redis://:secret@h', 'redis://:***@h'],
  ['redis://user:secret@h:1/2', 'redis://user:***@h:1/2'],
  ['redis://secret@h', 'redis://***@h'],
  ['redis://user:se/cr:et@x@h', 'redis://user:***@h'],
  ['redis://user:secret@h?password=secret', 'redis://user:***@h?***'],
  ['user:secret@h', 'user:***@h'],
  ['secret@h', '***@h'],
  ['h', 'h'],
])('%s is shown as %s', (url, masked) => {
  expect(maskRedisUrl(url)).toBe(masked);
});

test('an address for people can be read again and says nothing of user and password', () => {
  const host = fc.record({
    host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
    port: fc.integer({ min: 1, max: 65_535 }),
  });
  const hosts = fc.array(host, { minLength: 1, maxLength: 32 });
  const db = fc.integer({ min: 0, max: 65_535 });
  const tls = fc.boolean();
  const name = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !/\s/.test(text));
  const address = fc.oneof(
    fc.record({ hosts: host.map((one) => [one]), db, tls }).map((parts) => ({ ...plain, ...parts })),
    fc.record({ hosts, db, tls, name }).map((parts) => ({ ...plain, ...parts, kind: 'sentinel' as const })),
    fc.record({ hosts, tls }).map((parts) => ({ ...plain, ...parts, kind: 'cluster' as const })),
  );
  fc.assert(
    fc.property(
      address,
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }),
      (expected, username, password) => {
        const text = describeRedisAddress({ ...expected, username, password });
        expect(parseRedisUrl(text)).toEqual(expected);
        const user = `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
        const url = text.replace('://', () => `://${user}`);
        expect(parseRedisUrl(url)).toEqual({ ...expected, username, password });
        expect(maskRedisUrl(url)).toBe(text.replace('://', () => `://${encodeURIComponent(username)}:***@`));
      },
    ),
  );
});
