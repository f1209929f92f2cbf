import { resolve } from 'node:path';
import type { Config } from '../config.ts';
import { maskRedisUrl } from '../store/redis/redis-address.ts';
import { version } from '../version.ts';

/** A listener, as others have to know it. */
export interface Endpoint {
  readonly url: string;
  readonly port: number;
}

/** Says on stdout that connections are accepted: for people in a few lines, for programs in one. */
export function announce(listeners: readonly Endpoint[], config: Config): void {
  const urls = listeners.map(({ url }) => url);
  if (config.log.format === 'json') {
    process.stdout.write(`${JSON.stringify({ ready: true, listeners: urls })}\n`);
    return;
  }
  const client = clientFlags(listeners, config);
  process.stdout.write(
    [
      `Trellis ${version}`,
      `  listens on    ${urls.length === 0 ? 'nothing: all listeners are off' : urls.join('\n                ')}`,
      `  data          ${dataPlace(config)}`,
      `  acknowledged  means ${acknowledged(config)}`,
      `  try next      npx trellis sub${client} -t 'demo/#' -v`,
      `                npx trellis pub${client} -t demo/hello -m 'Hello'`,
      `ready ${urls.join(' ')}`,
      '',
    ].join('\n'),
  );
}

function dataPlace(config: Config): string {
  switch (config.store.type) {
    case 'memory':
      return 'in memory only, gone when it stops';
    case 'redis':
      return `${maskRedisUrl(config.redis.url)}, keys {${config.redis.prefix}}:...`;
    case 'embedded':
      return resolve(config.store.data);
  }
}

function acknowledged(config: Config): string {
  if (config.store.type === 'redis') {
    const { waitReplicas } = config.redis;
    const replicas = waitReplicas === 0 ? '' : `, and ${waitReplicas} of its replicas have it`;
    return `applied by Redis${replicas}: what it survives is up to the appendfsync of Redis`;
  }
  switch (config.store.durability) {
    case 'durable':
      return 'flushed to disk: it survives a crash and a power loss';
    case 'os':
      return 'written: it survives a crash of the broker, not a power loss';
    case 'memory':
      return 'taken into memory: it is lost when the broker stops';
  }
}

/** What a client has to be told so that it finds this broker; nothing with the default port. */
function clientFlags(endpoints: readonly Endpoint[], { listeners }: Config): string {
  const { tcp, websocket, tls, secureWebsocket, unix } = listeners;
  const ways = [
    { scheme: 'mqtt://', listener: tcp, flags: '', usual: 1883 },
    { scheme: 'ws://', listener: websocket, flags: ' --ws', usual: undefined },
    // Who issued the certificate only the people know who had it issued.
    { scheme: 'mqtts://', listener: tls, flags: ' --cafile CA.crt', usual: undefined },
    { scheme: 'wss://', listener: secureWebsocket, flags: ' --ws --cafile CA.crt', usual: undefined },
  ];
  const way = ways.find(({ listener }) => listener.port !== 'off');
  const port = endpoints.find(({ url }) => way !== undefined && url.startsWith(way.scheme))?.port;
  if (way === undefined || port === undefined) return unix.path === '' ? '' : ` --unix ${unix.path}`;
  const { host } = way.listener;
  const isHere = host === '0.0.0.0' || host === '::' || host === '127.0.0.1' || host === 'localhost';
  return `${isHere ? '' : ` -h ${host}`}${way.flags}${port === way.usual ? '' : ` -p ${port}`}`;
}
