import { readBoundedText } from '../../lib/bounded-file.ts';
import { errorText } from '../../lib/error-text.ts';
import { FileError } from '../../lib/file-error.ts';
import { parseRedisUrl, type RedisAddress } from './redis-address.ts';

const BYTES_MAX = 65_536;

/**
 * The address of a configuration: `redis.url`, with the password out of `redis.passwordFile` where that is not empty (one
 * end of line after it does not count).
 * @throws FileError when the file cannot be read, others than its owner have rights to it or it holds no password,
 *   RedisAddressError when the URL is wrong.
 */
export async function configuredAddress(url: string, passwordFile: string): Promise<RedisAddress> {
  const address = parseRedisUrl(url);
  if (passwordFile === '') return address;
  let text: string;
  try {
    text = await readBoundedText(passwordFile, { bytesMax: BYTES_MAX, secret: true });
  } catch (error) {
    throw new FileError(`redis.passwordFile: ${errorText(error)}`, { cause: error });
  }
  const password = text.replace(/\r?\n$/, '');
  if (password === '' || password.includes('\n')) {
    throw new FileError(`The file of redis.passwordFile, ${passwordFile}, must hold one line: the password for Redis.`);
  }
  return { ...address, password };
}
