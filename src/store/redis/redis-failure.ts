import { StoreError } from '../store.ts';
import { describeRedisAddress, type RedisAddress } from './redis-address.ts';

const refused = /\b(WRONGPASS|NOAUTH|ERR invalid password|ERR AUTH)\b/;
const certificate =
  /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|HOSTNAME_MISMATCH|ERR_OSSL|INVALID_CA)/;

/** Says why Redis cannot be reached, and what to do, in a sentence without user name and password. */
export function connectFailure(address: RedisAddress, error: Error, timeoutMs: number): StoreError {
  const cause = rootOf(error);
  const where = describeRedisAddress(address);
  return new StoreError(`Cannot use Redis at ${where}: ${explain(address, cause, timeoutMs)}`, { cause });
}

/** What a Redis Cluster says is that no node answered; why is one level below. */
function rootOf(error: Error): Error {
  const { lastNodeError } = error as Error & { lastNodeError?: unknown };
  return lastNodeError instanceof Error ? lastNodeError : error;
}

function explain(address: RedisAddress, error: Error, timeoutMs: number): string {
  const { message } = error;
  const hostname = (error as Error & { hostname?: string }).hostname ?? 'its host';
  const code = codeOf(error);
  if (certificate.test(code)) {
    return `TLS failed (${message}): does it speak TLS on this port, and is the authority of its certificate trusted here (NODE_EXTRA_CA_CERTS names a file of others)?`;
  }
  if (refused.test(message)) {
    return `it refuses the user name or password (${message}): set them in redis.url, or the password in redis.passwordFile.`;
  }
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens there (${message}): start it, or set another redis.url (--store redis://HOST:PORT).`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host name ${hostname} is not known here: set another redis.url (--store redis://HOST:PORT).`;
    case 'ETIMEDOUT':
      return `no answer within ${timeoutMs} ms${address.tls ? ' (does it speak TLS on this port?)' : ''}.`;
  }
  if (message.includes('cluster support disabled')) {
    return 'it is no Redis Cluster: a single one has a URL that begins with redis:// or rediss://.';
  }
  if (message.includes("unknown command 'sentinel'")) {
    return 'it is no Sentinel: a Redis itself has a URL that begins with redis:// or rediss://.';
  }
  if (address.kind === 'sentinel' && /No such master|invalid reply/.test(message)) {
    return `the Sentinels know no master with the name ${address.name}.`;
  }
  if (isClosed(error)) return 'it closed the connection.';
  return `${message}.`;
}

/** The code of an error; ioredis's own have none. */
function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? (/\btimeout$|timed out/.test(error.message) ? 'ETIMEDOUT' : '');
}

/** Whether an error says no more than that there is no connection; why was told to a connection inside of ioredis. */
export function isClosed(error: Error): boolean {
  return rootOf(error).message.includes('Connection is closed');
}
