import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startBroker } from '../../src/broker.ts';
import { createConfig } from '../../src/config.ts';
import type { BrokerCounters } from '../../src/counters.ts';
import type { Hooks } from '../../src/hooks/hooks.ts';
import { createLogger } from '../../src/lib/logger.ts';
import { systemClock } from '../../src/lib/system-clock.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { MAXIMUM_PACKET_SIZE } from './prediction.ts';

/** What the broker of a fuzzer tells its parent when it is asked. */
export interface Figures {
  counters: BrokerCounters;
  /** After a collection of garbage, bytes. */
  rss: number;
  heapUsed: number;
  /** Memory of buffers, bytes. */
  arrayBuffers: number;
  /** Lines of level error so far. */
  errors: string[];
  /** Longest time the event loop stood still since the last question, ms. */
  loopDelayMs: number;
}

/** What the broker of a fuzzer sends to its parent. */
export type ChildMessage = { kind: 'ready'; listeners: string[] } | { kind: 'figures'; figures: Figures };

const HOST = '127.0.0.1';

/** Where `server.crt` and `server.key` are. */
const directory = process.argv[2] ?? '';

/** Everything that clients can leave behind is small, so that all limits are reached, and gone soon. */
const config = createConfig({
  listeners: {
    tcp: { host: HOST, port: 0 },
    websocket: { host: HOST, port: 0 },
    tls: { host: HOST, port: 0 },
    secureWebsocket: { host: HOST, port: 0 },
  },
  tls: {
    certFiles: [join(directory, 'server.crt')],
    keyFiles: [join(directory, 'server.key')],
  },
  limits: {
    receiveMaximum: 8,
    topicAliasMaximum: 8,
    maximumPacketSize: MAXIMUM_PACKET_SIZE,
    connectBytesMax: MAXIMUM_PACKET_SIZE,
    outboxBytesMax: 1024 * 1024,
    sessionExpiryIntervalMax: 2,
    subscriptionsPerSessionMax: 50,
    topicLevelsMax: 32,
  },
  session: { queueMessagesMax: 200, queueBytesMax: 256 * 1024 },
  retained: { messagesMax: 200, bytesMax: 256 * 1024 },
  store: { type: 'memory' },
  admin: { sysIntervalSeconds: 1 },
});

const errors: string[] = [];
const delay = monitorEventLoopDelay({ resolution: 5 });

function figures(counters: BrokerCounters): Figures {
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const loopDelayMs = delay.max / 1e6;
  delay.reset();
  return { counters, rss, heapUsed, arrayBuffers, errors, loopDelayMs };
}

function tell(message: ChildMessage): void {
  process.send?.(message);
}

/** One AUTH more is asked for, then whoever says `no` is refused. */
const hooks: Hooks = {
  startAuthExchange(method) {
    if (method !== 'method') return undefined;
    let steps = 0;
    return {
      step(data) {
        steps += 1;
        if (Buffer.from(data ?? []).toString() === 'no') return { kind: 'refuse', reasonCode: 0x87 };
        return steps % 2 === 0 ? { kind: 'success' } : { kind: 'continue' };
      },
    };
  },
};

const broker = await startBroker(config, {
  hooks,
  store: new MemoryStore(),
  logger: createLogger({
    level: 'info',
    format: 'json',
    clock: systemClock,
    write: (line) => {
      if (line.includes('"level":"error"')) errors.push(line);
    },
  }),
});
delay.enable();
process.on('message', () => tell({ kind: 'figures', figures: figures(broker.counters()) }));
process.on('disconnect', () => process.exit());
tell({ kind: 'ready', listeners: broker.listeners.map(({ url }) => url) });
