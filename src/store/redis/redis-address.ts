import { isIPv6 } from 'node:net';

/** Where one Redis or Sentinel listens. */
interface RedisHost {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  /** 1 to 65,535. */
  readonly port: number;
}

/** Where Redis is and how to log in, as a URL says it. */
export interface RedisAddress {
  /** One Redis, Sentinels that know which one it is, or nodes of a Redis Cluster. */
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** One for `single`, one to 32 for the others. */
  readonly hosts: readonly RedisHost[];
  /** Number of the database, 0 to 65,535; 0 in a Redis Cluster. */
  readonly db: number;
  /** Empty for none. */
  readonly username: string;
  /** Empty for none. */
  readonly password: string;
  readonly tls: boolean;
  /** What the Sentinels call the master; empty for the other kinds. */
  readonly name: string;
}

/** A URL says no address of a Redis. The message is a clause such as `the port of host 2 is missing`, without any part that may be a password. */
export class RedisAddressError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RedisAddressError';
  }
}

const hostsMax = 32;
const urlLengthMax = 4_096;
const redisPort = 6_379;
const sentinelPort = 26_379;

/** Schemes and what they mean; with `rediss` connections are encrypted. */
const schemes: ReadonlyMap<string, Pick<RedisAddress, 'kind' | 'tls'>> = new Map([
  ['redis', { kind: 'single', tls: false }],
  ['rediss', { kind: 'single', tls: true }],
  ['redis+sentinel', { kind: 'sentinel', tls: false }],
  ['rediss+sentinel', { kind: 'sentinel', tls: true }],
  ['redis+cluster', { kind: 'cluster', tls: false }],
  ['rediss+cluster', { kind: 'cluster', tls: true }],
]);

/** Whether a text begins like the URL of a Redis, right or wrong. */
export function isRedisUrl(text: string): boolean {
  return /^rediss?(\+[a-z]*)?:\/\//i.test(text);
}

/**
 * Reads `redis://user:password@host:port/db`, `redis+sentinel://host:port,host:port/master-name/db` or
 * `redis+cluster://host:port,host:port`; `rediss...` with TLS. User, password and master name are percent-encoded, IPv6
 * addresses stand in brackets. Ports default to 6379, those of Sentinels to 26379.
 * @throws RedisAddressError
 */
export function parseRedisUrl(url: string): RedisAddress {
  if (url.length > urlLengthMax) throw new RedisAddressError(`it is longer than ${urlLengthMax} characters`);
  const scheme = /^([a-z+]+):\/\//i.exec(url);
  const meaning = schemes.get(scheme?.[1]?.toLowerCase() ?? '');
  if (scheme === null || meaning === undefined) {
    throw new RedisAddressError(`it does not begin with ${[...schemes.keys()].map((name) => `${name}://`).join(', ')}`);
  }
  const rest = url.slice(scheme[0].length);
  const at = rest.lastIndexOf('@');
  const { username, password } = parseUser(at === -1 ? '' : rest.slice(0, at));
  const place = rest.slice(at + 1);
  if (/[?#]/.test(place)) throw new RedisAddressError('it goes on after a ? or #, where nothing is expected');
  const slash = place.indexOf('/');
  const hosts = parseHosts(slash === -1 ? place : place.slice(0, slash), meaning.kind);
  const path = slash === -1 ? [] : place.slice(slash + 1).split('/');
  if (path.at(-1) === '') path.pop();
  const name = meaning.kind === 'sentinel' ? parseName(path.shift() ?? '') : '';
  return { ...meaning, hosts, db: parseDb(path, meaning.kind), username, password, name };
}

function parseUser(text: string): Pick<RedisAddress, 'username' | 'password'> {
  if (/[\s/?#@]/.test(text)) {
    throw new RedisAddressError(
      'before the last @ stands a character that must be percent-encoded in a user name or password (@ is %40, / is %2F, ? is %3F, # is %23)',
    );
  }
  const colon = text.indexOf(':');
  const username = decode(colon === -1 ? text : text.slice(0, colon), 'user name');
  return { username, password: colon === -1 ? '' : decode(text.slice(colon + 1), 'password') };
}

function parseHosts(text: string, kind: RedisAddress['kind']): RedisHost[] {
  const parts = text.split(',', hostsMax + 1);
  if (parts.length > hostsMax) throw new RedisAddressError(`it has more than ${hostsMax} hosts`);
  if (kind === 'single' && parts.length > 1) {
    throw new RedisAddressError(
      'it has several hosts, which only redis+sentinel:// and redis+cluster:// (or rediss+...) may have',
    );
  }
  return parts.map((part, index) =>
    parseHost(part, parts.length === 1 ? 'the host' : `host ${index + 1}`, kind === 'sentinel'),
  );
}

function parseHost(text: string, which: string, sentinel: boolean): RedisHost {
  if (text === '' || text.startsWith(':')) throw new RedisAddressError(`${which} is missing`);
  if (/^[^[]*:.*:/.test(text)) {
    throw new RedisAddressError(`${which} has several colons (an IPv6 address stands in brackets, as in [::1]:6379)`);
  }
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(text);
  if (match === null) throw new RedisAddressError(`${which} is not a host name or an IP address`);
  const [, address, name, port] = match;
  if (address !== undefined ? !isIPv6(address) : !/^[\w.-]{1,253}$/.test(name!)) {
    throw new RedisAddressError(`${which} is not a host name or an IP address`);
  }
  const number = port === undefined ? (sentinel ? sentinelPort : redisPort) : Number(port);
  if ((port !== undefined && !/^\d{1,5}$/.test(port)) || number < 1 || number > 65_535) {
    throw new RedisAddressError(`the port of ${which} is not a number from 1 to 65,535`);
  }
  return { host: address ?? name!, port: number };
}

function parseName(text: string): string {
  const name = decode(text, 'name of the master');
  if (name === '' || /\s/.test(name)) {
    throw new RedisAddressError('the name of the master is missing: redis+sentinel://host:port/master-name');
  }
  return name;
}

function parseDb(path: readonly string[], kind: RedisAddress['kind']): number {
  const [text, ...more] = path;
  if (text === undefined) return 0;
  if (more.length > 0) throw new RedisAddressError('there is more after the number of the database');
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) {
    throw new RedisAddressError('the number of the database, after the last /, is not from 0 to 65,535');
  }
  if (kind === 'cluster' && Number(text) !== 0) throw new RedisAddressError('a Redis Cluster has database 0 only');
  return Number(text);
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RedisAddressError(`the ${what} has a % that is not followed by two hexadecimal digits of UTF-8`);
  }
}

/** An address as a URL for people, without user name and password; default ports are written out. */
export function describeRedisAddress(address: RedisAddress): string {
  const { kind, tls, db } = address;
  const hosts = address.hosts.map(({ host, port }) => `${isIPv6(host) ? `[${host}]` : host}:${port}`);
  const name = kind === 'sentinel' ? `/${encodeURIComponent(address.name)}` : '';
  const scheme = `redis${tls ? 's' : ''}${kind === 'single' ? '' : `+${kind}`}`;
  return `${scheme}://${hosts.join(',')}${name}${db === 0 ? '' : `/${db}`}`;
}

/** A URL, right or wrong, with everything that may be a password replaced by `***`. */
export function maskRedisUrl(url: string): string {
  const begin = /^[^/@]*:\/\//.exec(url)?.[0] ?? '';
  const query = url.slice(begin.length).replace(/\?[^@]*$/, '?***');
  const at = query.lastIndexOf('@');
  if (at === -1) return begin + query;
  const colon = query.slice(0, at).indexOf(':');
  // Without a colon it is a user name, but some people write a password there.
  return `${begin}${colon === -1 ? '' : `${query.slice(0, colon)}:`}***${query.slice(at)}`;
}
