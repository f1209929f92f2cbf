import { resolve } from 'node:path';
import type { Broker } from '../broker.ts';
import type { Config } from '../config.ts';
import { type Failpoint, parseFailpoint } from '../lib/failpoints.ts';
import { createLogger, type Logger } from '../lib/logger.ts';
import { systemClock } from '../lib/system-clock.ts';
import { maskRedisUrl } from '../store/redis/redis-address.ts';
import { version } from '../version.ts';
import { brokerFlags, loadFromFlags } from './broker-flags.ts';
import { ExitCode, UsageError } from './errors.ts';
import { helpText, parseFlags } from './flags.ts';
import { startFailure } from './start-failure.ts';

const before = `
Usage: trellis start [flags]

Runs the broker until it gets SIGTERM or SIGINT; it then says goodbye to its clients, keeps what is due to them and exits.
A second signal ends it at once. Without flags: MQTT on 127.0.0.1:1883, WebSocket on 127.0.0.1:8083/mqtt, data in ./data,
anonymous clients allowed because nobody else can reach it. A flag wins over the environment (TRELLIS_SECTION__KEY), the
environment over the file, the file over the default.`.trimStart();

const after = `
Examples:
  trellis start
  trellis start --port 0 --ws-port off --store memory
  trellis start --config broker.yaml --log-format json
  trellis start --host 0.0.0.0 --set auth.allowAnonymous=everywhere

A line that begins with "ready" goes to stdout once connections are accepted; logs go to stderr.
Exit codes: 0 stopped as asked, 1 something failed, 2 wrong flags or configuration (a port in use is one).`;

/** How long a broker that is broken gets to flush what it can, ms. */
const lastAttemptMs = 2_000;

/** Runs `trellis start`; resolves to the exit code when the broker has ended. @throws UsageError, ConfigError, CommandError. */
export async function start(args: readonly string[]): Promise<number> {
  const given = parseFlags('start', brokerFlags, args);
  if (given.some(({ name }) => name === '--help')) {
    process.stdout.write(helpText(before, brokerFlags, after));
    return ExitCode.ok;
  }
  const { config } = loadFromFlags(given, process.env);
  const failpoint = failpointOf(process.env);
  const terminal = process.stderr.isTTY ? 'pretty' : 'json';
  const logger = createLogger({
    level: config.log.level,
    format: config.log.format === 'auto' ? terminal : config.log.format,
    write: (line) => process.stderr.write(`${line}\n`),
    clock: systemClock,
  });
  const ending = new Ending(logger);
  const { startBroker } = await import('../broker.ts');
  let broker: Broker;
  try {
    broker = await startBroker(config, { logger, failpoint });
  } catch (error) {
    throw startFailure(error, config);
  }
  announce(broker, config);
  return ending.of(broker);
}

/** The crash asked for by TRELLIS_FAILPOINT, as tests do; docs/decisions/0004-failpoints.md. @throws UsageError for one there is not. */
function failpointOf(environment: NodeJS.ProcessEnv): Failpoint | undefined {
  try {
    return parseFailpoint(environment['TRELLIS_FAILPOINT']);
  } catch (error) {
    throw new UsageError(`TRELLIS_FAILPOINT: ${(error as Error).message}.`);
  }
}

/** Says that the broker is ready: for people in a few lines, for programs in one. */
function announce(broker: Broker, config: Config): void {
  const urls = broker.listeners.map(({ url }) => url);
  if (config.log.format === 'json') {
    process.stdout.write(`${JSON.stringify({ ready: true, listeners: urls })}\n`);
    return;
  }
  const client = clientFlags(broker, config);
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
function clientFlags(broker: Broker, config: Config): string {
  const { tcp, websocket, unix } = config.listeners;
  const scheme = tcp.port === 'off' ? 'ws://' : 'mqtt://';
  const port = broker.listeners.find(({ url }) => url.startsWith(scheme))?.port;
  if (port === undefined) return unix.path === '' ? '' : ` --unix ${unix.path}`;
  const host = tcp.port === 'off' ? websocket.host : tcp.host;
  const everywhere = host === '0.0.0.0' || host === '::' || host === '127.0.0.1' || host === 'localhost';
  const flags = everywhere ? '' : ` -h ${host}`;
  if (tcp.port === 'off') return `${flags} --ws -p ${port}`;
  return port === 1883 ? flags : `${flags} -p ${port}`;
}

/** Waits for a reason to end and ends the broker: on a signal in order, on an error with one last attempt to flush. */
class Ending {
  readonly #logger: Logger;
  readonly #exitCode = Promise.withResolvers<number>();
  #broker: Broker | undefined;
  #state: 'running' | 'stopping' | 'failing' = 'running';

  constructor(logger: Logger) {
    this.#logger = logger;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#onSignal(signal));
    process.on('uncaughtException', (error) => this.#fail('uncaught exception', error));
    process.on('unhandledRejection', (reason) => this.#fail('unhandled rejection', reason));
  }

  /** Resolves to the exit code once the broker has ended. */
  of(broker: Broker): Promise<number> {
    this.#broker = broker;
    void broker.fatal.then((error) => this.#fail('the broker can no longer keep its promises', error));
    // A signal may have come before there was a broker to close.
    if (this.#state === 'stopping') this.#close(broker);
    return this.#exitCode.promise;
  }

  #onSignal(signal: string): void {
    if (this.#state !== 'running') {
      this.#logger.warn('second signal, ends at once', { signal });
      process.exit(ExitCode.failure);
    }
    this.#state = 'stopping';
    this.#logger.info('stopping', { signal });
    if (this.#broker !== undefined) this.#close(this.#broker);
  }

  #close(broker: Broker): void {
    broker.close().then(
      () => this.#exitCode.resolve(ExitCode.ok),
      (error: unknown) => this.#fail('the broker did not close in order', error),
    );
  }

  #fail(what: string, error: unknown): void {
    this.#logger.error(what, { error, stack: error instanceof Error ? error.stack : undefined });
    if (this.#state === 'failing') return;
    this.#state = 'failing';
    const exit = (): never => process.exit(ExitCode.failure);
    if (this.#broker === undefined) exit();
    else {
      setTimeout(exit, lastAttemptMs);
      this.#broker.close().then(exit, exit);
    }
  }
}
