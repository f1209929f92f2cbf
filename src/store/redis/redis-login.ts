import { readFileSync } from 'node:fs';
import { StoreError } from '../store.ts';
import { parseRedisUrl, type RedisAddress } from './redis-address.ts';

/**
 * The address of a configuration: `redis.url`, with the password out of `redis.passwordFile` where that is not empty (one
 * end of line after it does not count).
 * @throws StoreError when the file cannot be read or holds no password, RedisAddressError when the URL is wrong.
 */
export function configuredAddress(url: string, passwordFile: string): RedisAddress {
  const address = parseRedisUrl(url);
  if (passwordFile === '') return address;
  let text: string;
  try {
    text = readFileSync(passwordFile, 'utf8');
  } catch (error) {
    throw new StoreError(`Cannot read the file of redis.passwordFile, ${passwordFile}: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  const password = text.replace(/\r?\n$/, '');
  if (password === '' || password.includes('\n')) {
    throw new StoreError(
      `The file of redis.passwordFile, ${passwordFile}, must hold one line: the password for Redis.`,
    );
  }
  return { ...address, password };
}
