/**
 * Trellis on the port given, with default limits. Arguments: PORT DIRECTORY [PARTS [REDIS-PORT]], where PARTS are those of
 * `store` (the durable store in that directory, or in the Redis on that port; in memory without), `hook` (every publish
 * and subscription is authorised by the program) and `sys` ($SYS topics) that are wanted, with commas between.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import type { BrokerOptions, Hooks } from '../../src/index.ts';
import { watchEventLoop } from './event-loop.ts';

enableCompileCache();
const { createBroker } = await import('../../src/index.ts');

const [port, directory = '.', list = '', redisPort] = process.argv.slice(2);
const parts = list.split(',');
const barred: ReadonlySet<string> = new Set(['barred']);
const hooks: Hooks = {
  authorize: (client, request) => !barred.has(client.clientId) && request.topic !== 'forbidden',
};

const store: BrokerOptions =
  redisPort === undefined
    ? { store: { type: 'embedded', data: join(directory, 'data') } }
    : { store: { type: 'redis' }, redis: { url: `redis://127.0.0.1:${redisPort}` } };

const broker = await createBroker({
  listeners: { tcp: { port: Number(port), host: '127.0.0.1' }, websocket: { port: 'off' } },
  ...(parts.includes('store') ? store : {}),
  ...(parts.includes('hook') ? { hooks } : {}),
  ...(parts.includes('sys') ? {} : { admin: { sysIntervalSeconds: 0 } }),
});
const eventLoop = watchEventLoop();
process.once('SIGTERM', () => {
  const report = `${JSON.stringify(eventLoop())}\n`;
  process.stdout.write(report, () => void broker.close().then(() => process.exit(0)));
});
