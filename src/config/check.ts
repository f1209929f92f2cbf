import type { Config } from '../config.ts';
import { isLoopbackAddress } from '../lib/ip-address.ts';
import { parseRedisUrl } from '../store/redis/redis-address.ts';
import { MiB, type OptionKey } from './option.ts';
import { thousands } from './values.ts';

/** Less is a mistake: a process without a client takes nearly as much. */
export const MEMORY_BYTES_MIN: number = 64 * MiB;

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
  problems.push(...checkSecurity(values));
  const budget = values.get('limits.memoryBytesMax') ?? 'auto';
  if (typeof budget === 'number' && budget > 0 && budget < MEMORY_BYTES_MIN) {
    const text = `limits.memoryBytesMax is ${thousands(budget)} bytes, in which no broker runs: give it 64 MiB or more, 0 for no limit, or auto.`;
    problems.push({ key: 'limits.memoryBytesMax', text });
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

/** Ways to say where the keys of tokens are, of which there can be one. */
const KEY_SOURCES = ['secretFile', 'publicKeyFile', 'keySetFile', 'keySetUrl'] as const;

function checkSecurity(values: ReadonlyMap<string, unknown>): JointProblem[] {
  const problems: JointProblem[] = [];
  const textOf = (key: OptionKey): string => (values.get(key) as string | undefined) ?? '';
  const countOf = (key: OptionKey): number => ((values.get(key) ?? []) as readonly string[]).length;
  const [certs, keys] = [countOf('tls.certFiles'), countOf('tls.keyFiles')];
  if (certs !== keys) {
    const text = `tls.keyFiles has ${keys} files and tls.certFiles ${certs}: each certificate needs its key, in the same order.`;
    problems.push({ key: 'tls.keyFiles', text });
  }
  for (const key of ['listeners.tls.port', 'listeners.secureWebsocket.port'] as const) {
    const isOn = (values.get(key) ?? 'off') !== 'off';
    const needsCertificate = key !== 'listeners.tls.port' || textOf('tls.pskFile') === '';
    if (isOn && certs === 0 && needsCertificate)
      problems.push({
        key,
        text: `${key} is set, but tls.certFiles is not: trellis cert makes a certificate to try it out.`,
      });
  }
  const verifies = (values.get('tls.clientCertificates') ?? 'none') !== 'none';
  if (verifies && textOf('tls.caFile') === '') {
    const text = 'tls.clientCertificates asks for certificates, but tls.caFile does not say who issues them.';
    problems.push({ key: 'tls.clientCertificates', text });
  }
  if (!verifies && (values.get('auth.certificateIdentity') ?? 'none') !== 'none') {
    const text =
      'auth.certificateIdentity needs clients to show certificates: set tls.clientCertificates to optional or required.';
    problems.push({ key: 'auth.certificateIdentity', text });
  }
  const sources = KEY_SOURCES.map((name) => `auth.jwt.${name}` as const).filter((key) => textOf(key) !== '');
  if (sources.length > 1) {
    const text = `${sources.join(' and ')} are set: keep one, so that it is clear who may sign tokens.`;
    problems.push({ key: sources[1] as OptionKey, text });
  }
  return problems;
}

/** A listener that others than this machine can reach. */
export interface ExposedListener {
  readonly key: OptionKey;
  readonly host: string;
}

/** Whether anything of a configuration says who clients are. */
export function identifiesClients({ auth, tls }: Config): boolean {
  const { passwordFile, jwt, certificateIdentity, webhook } = auth;
  const files = [
    tls.pskFile,
    passwordFile,
    jwt.secretFile,
    jwt.publicKeyFile,
    jwt.keySetFile,
    jwt.keySetUrl,
    webhook.url,
  ];
  return certificateIdentity !== 'none' || files.some((name) => name !== '');
}

/**
 * The listeners beyond loopback of a configuration that lets anonymous clients in on loopback only: with no other way to tell
 * clients apart, each is a reason not to start.
 */
export function exposedListeners(config: Config): ExposedListener[] {
  const { allowAnonymous } = config.auth;
  if (identifiesClients(config) || allowAnonymous === 'everywhere' || allowAnonymous === 'nowhere') return [];
  const { tcp, websocket, tls, secureWebsocket } = config.listeners;
  // Who has to show a certificate is known, and so is who has to know a key.
  const isVerified = config.tls.clientCertificates === 'required';
  const open: readonly (readonly [OptionKey, { readonly host: string; readonly port: number | 'off' }])[] = [
    ['listeners.tcp.host', tcp],
    ['listeners.websocket.host', websocket],
    ...(isVerified
      ? []
      : ([
          ['listeners.tls.host', tls],
          ['listeners.secureWebsocket.host', secureWebsocket],
        ] as const)),
  ];
  return open
    .filter(([, { host, port }]) => port !== 'off' && !isLoopback(host))
    .map(([key, { host }]) => ({ key, host }));
}

/** Why a configuration with exposed listeners is refused, and what to set. */
export function exposureSentence(exposed: ExposedListener): string {
  return `${exposed.key} is ${exposed.host}, where others can reach it, but clients without a user name are let in on loopback only: set auth.passwordFile (trellis user makes one) or another way to know clients, set auth.allowAnonymous to everywhere if anybody may connect, or listen on 127.0.0.1.`;
}

function isLoopback(host: string): boolean {
  return host.toLowerCase() === 'localhost' || isLoopbackAddress(host);
}
