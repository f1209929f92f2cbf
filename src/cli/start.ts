import type { Broker } from '../broker.ts';
import { type Config, ConfigError } from '../config.ts';
import { type Failpoint, parseFailpoint } from '../lib/failpoints.ts';
import { createLogger, type Logger } from '../lib/logger.ts';
import { systemClock } from '../lib/system-clock.ts';
import { announce } from './announcement.ts';
import { brokerFlags, loadFromFlags, workersOf } from './broker-flags.ts';
import { ExitCode, UsageError } from './errors.ts';
import { helpText, parseFlags } from './flags.ts';
import { startFailure } from './start-failure.ts';
import type { WorkerParent } from './worker.ts';

const before = `
Usage: trellis start [flags]

Runs the broker until it gets SIGTERM or SIGINT; it then says goodbye to its clients, keeps what is due to them and exits.
A second signal ends it at once. Without flags: MQTT on 127.0.0.1:1883, WebSocket on 127.0.0.1:8083/mqtt, data in ./data,
anonymous clients allowed because nobody else can reach it. A flag wins over the environment (TRELLIS_SECTION__KEY), the
environment over the file, the file over the default.

SIGHUP makes it read users, access rules, bans, certificates and keys anew, as it does by itself when their files change;
one that cannot be used leaves what was in force. With --workers it goes to the first process.`.trimStart();

const after = `
Examples:
  trellis start
  trellis start --port 0 --ws-port off --store memory
  trellis start --config broker.yaml --log-format json
  trellis start --store redis://127.0.0.1:6379 --workers auto
  trellis start --host 0.0.0.0 --set auth.allowAnonymous=everywhere

A line that begins with "ready" goes to stdout once connections are accepted; logs go to stderr.
Exit codes: 0 stopped as asked, 1 something failed, 2 wrong flags or configuration (a port in use is one).`;

/** How long a broker that is told to end while it starts goes on with that, so that it can close in order, ms. */
const startLeftMs = 2_000;
/** How long a broker that is broken gets to flush what it can, ms. */
const lastAttemptMs = 2_000;

/** Runs `trellis start`; resolves to the exit code when the broker has ended. @throws UsageError, ConfigError, CommandError. */
export async function start(args: readonly string[]): Promise<number> {
  const given = parseFlags('start', brokerFlags, args);
  if (given.some(({ name }) => name === '--help')) {
    process.stdout.write(helpText(before, brokerFlags, after));
    return ExitCode.ok;
  }
  const common = loadFromFlags(given, process.env).config;
  const failpoint = failpointOf(process.env);
  const workers = workersOf(given, common);
  if (workers === 1) return runBroker(common, failpoint, undefined);
  const { asWorker, memoryOfWorker, workerConfig } = await import('./worker.ts');
  const worker = asWorker(process.env);
  if (worker !== undefined) return runBroker(workerConfig(common, worker.number, workers), failpoint, worker.parent);
  memoryOfWorker(common, workers);
  const { runWorkers } = await import('./workers.ts');
  return runWorkers(workers, { config: common, logger: loggerOf(common), clock: systemClock });
}

/** Runs the broker of this process, alone or as a worker, until it is told to end. */
async function runBroker(
  config: Config,
  failpoint: Failpoint | undefined,
  parent: WorkerParent | undefined,
): Promise<number> {
  const logger = loggerOf(config);
  const ending = new Ending(logger, parent);
  const { startBroker } = await import('../broker.ts');
  let broker: Broker;
  try {
    broker = await startBroker(config, { logger, failpoint });
  } catch (error) {
    throw error instanceof ConfigError ? error : startFailure(error, config);
  }
  if (parent === undefined) announce(broker.listeners, config);
  else parent.tellReady(broker.listeners);
  return ending.of(broker);
}

function loggerOf({ log, cluster, store }: Config): Logger {
  const terminal = process.stderr.isTTY ? 'pretty' : 'json';
  const isNode = store.type === 'redis' && cluster.nodeId !== '';
  return createLogger({
    level: log.level,
    format: log.format === 'auto' ? terminal : log.format,
    write: (line) => process.stderr.write(`${line}\n`),
    clock: systemClock,
    ...(isNode && { fields: { node: cluster.nodeId } }),
  });
}

/** The crash asked for by TRELLIS_FAILPOINT, as tests do; docs/decisions/0004-failpoints.md. @throws UsageError for one there is not. */
function failpointOf(environment: NodeJS.ProcessEnv): Failpoint | undefined {
  try {
    return parseFailpoint(environment['TRELLIS_FAILPOINT']);
  } catch (error) {
    throw new UsageError(`TRELLIS_FAILPOINT: ${(error as Error).message}.`);
  }
}

/**
 * Waits for a reason to end and ends the broker: on a signal in order, on an error with one last attempt to flush. SIGHUP is
 * none, and makes it read its files anew.
 */
class Ending {
  readonly #logger: Logger;
  readonly #parent: WorkerParent | undefined;
  readonly #exitCode = Promise.withResolvers<number>();
  #broker: Broker | undefined;
  /** Whether files changed before there was a broker to read them anew. */
  #isReloadDue = false;
  #state: 'running' | 'stopping' | 'failing' = 'running';

  constructor(logger: Logger, parent: WorkerParent | undefined) {
    this.#logger = logger;
    this.#parent = parent;
    parent?.onGone(() => this.#stop({ reason: 'the parent has ended' }));
    parent?.onReload(() => this.#reload());
    process.on('SIGHUP', () => this.#reload());
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
    else if (this.#isReloadDue) this.#reload();
    return this.#exitCode.promise;
  }

  #reload(): void {
    this.#isReloadDue = this.#broker === undefined;
    // What cannot be used is in the log, and what was in force stays.
    void this.#broker?.reload();
  }

  #onSignal(signal: string): void {
    // A terminal tells all processes of a command: what becomes of workers is up to their parent, which tells them by SIGTERM.
    if (this.#parent !== undefined && signal === 'SIGINT') return;
    if (this.#state !== 'running' && this.#parent === undefined) {
      this.#logger.warn('second signal, ends at once', { signal });
      process.exit(ExitCode.failure);
    }
    this.#stop({ signal });
  }

  #stop(cause: Record<string, string>): void {
    if (this.#state !== 'running') return;
    this.#state = 'stopping';
    this.#logger.info('stopping', cause);
    if (this.#broker !== undefined) this.#close(this.#broker);
    else setTimeout(() => this.#exitUnstarted(), startLeftMs);
  }

  /** It may start no sooner than Redis is there, has replicas, or knows that an earlier start is dead. */
  #exitUnstarted(): void {
    if (this.#broker === undefined) process.exit(ExitCode.ok);
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
