import { isIPv4 } from 'node:net';
import type { Config } from '../config.ts';
import { parseRedisUrl } from '../store/redis/redis-address.ts';
import type { OptionKey } from './options.ts';

/** Something wrong with options that are right one by one; `key` says where to look. */
export interface JointProblem {
  readonly key: OptionKey;
  readonly text: string;
}

/** Checks options that depend on each other, given the values that were set. */
export function checkTogether(values: ReadonlyMap<string, unknown>): JointProblem[] {
  const problems: JointProblem[] = [];
  const durability = values.get('store.durability');
  if (values.get('store.type') === 'memory' && (durability === 'durable' || durability === 'os')) {
    problems.push({
      key: 'store.durability',
      text: `store.durability cannot be ${durability} while store.type is memory, which keeps nothing on disk: set store.type to embedded or leave store.durability out.`,
    });
  }
  if (values.get('store.type') === 'redis' && (durability === 'os' || durability === 'memory')) {
    problems.push({
      key: 'store.durability',
      text: `store.durability cannot be ${durability} while store.type is redis, where an acknowledgement always means that Redis has applied it: leave store.durability out.`,
    });
  }
  const url = values.get('redis.url');
  const passwordFile = values.get('redis.passwordFile') ?? '';
  if (typeof url === 'string' && passwordFile !== '' && parseRedisUrl(url).password !== '') {
    problems.push({
      key: 'redis.passwordFile',
      text: 'redis.passwordFile is set while redis.url holds a password as well: keep one of them.',
    });
  }
  return problems;
}

/** A listener that others than this machine can reach. */
export interface ExposedListener {
  readonly key: OptionKey;
  readonly host: string;
}

/** The listeners beyond loopback of a configuration that lets anonymous clients in on loopback only: with no other way to tell clients apart, each is a reason not to start. */
export function exposedListeners(config: Config): ExposedListener[] {
  const { tcp, websocket } = config.listeners;
  const exposed: ExposedListener[] = [];
  if (config.auth.allowAnonymous !== 'loopback') return exposed;
  if (tcp.port !== 'off' && !isLoopback(tcp.host)) exposed.push({ key: 'listeners.tcp.host', host: tcp.host });
  if (websocket.port !== 'off' && !isLoopback(websocket.host)) {
    exposed.push({ key: 'listeners.websocket.host', host: websocket.host });
  }
  return exposed;
}

/** Why a configuration with exposed listeners is refused, and what to set. */
export function exposureSentence(exposed: ExposedListener): string {
  return `${exposed.key} is ${exposed.host}, where others can reach it, but clients without a user name are let in on loopback only: set auth.allowAnonymous to everywhere if anybody may connect, or listen on 127.0.0.1.`;
}

function isLoopback(host: string): boolean {
  return host.toLowerCase() === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
