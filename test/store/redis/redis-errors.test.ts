import { describe, expect, test } from 'vitest';
import { type Failure, failureOf } from '../../../src/store/redis/redis-errors.ts';

function reply(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' });
}

describe('what an error of a call means for its batch', () => {
  test.each<[message: string, failure: Failure]>([
    ['OOM command not allowed when used memory is above maxmemory', 'full'],
    ['FENCED the place of this node is taken', 'fenced'],
    ['LOST 7', 'lost'],
    ['MOVED 3999 127.0.0.1:6381', 'again'],
    ['CLUSTERDOWN The cluster is down', 'again'],
    ['ERR Script attempted to access a non local key in a cluster node script', 'again'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'broken'],
    ['NOPERM this user has no permissions', 'broken'],
  ])('%s', (message, failure) => {
    expect(failureOf(reply(message))).toBe(failure);
  });

  test('of the connection says nothing: the call is made again', () => {
    expect(failureOf(new Error('Connection is closed'))).toBe('again');
    expect(failureOf('cut')).toBe('again');
  });
});
