import cluster, { type Worker } from 'node:cluster';
import type { Config } from '../config.ts';
import { clearListeners } from '../listeners.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { announce, type Endpoint } from './announcement.ts';
import { CommandError, ExitCode } from './errors.ts';
import { type ReadyMessage, type ReloadMessage, workerVariable } from './worker.ts';
import { WorkerRestarts } from './worker-restarts.ts';

/** How long workers of a parent that is broken get to end in order, ms. */
const LAST_ATTEMPT_MS = 2_000;
/** What a worker may take to end besides what the configuration grants, ms. */
const GRACE_MS = 10_000;

/** What the parent of workers needs. */
export interface WorkersParts {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** The place of one worker; who holds it changes when a worker is started again. */
interface Slot {
  /** From 1. */
  readonly number: number;
  readonly restarts: WorkerRestarts;
  worker: Worker | undefined;
  timer: Timer | undefined;
}

/**
 * Runs so many workers, each the same command as this process, on the same ports: this process listens and hands them
 * connections in turn. The first one is started alone, so that what is wrong for all of them is said once.
 *
 * Workers that end are started again. SIGTERM or SIGINT ends all in order, a second signal at once; a worker that gets
 * SIGTERM itself ends in order and is started again. SIGHUP makes all of them read their files anew.
 * @returns the exit code once all have ended.
 * @throws CommandError where a worker cannot be had running.
 */
export async function runWorkers(count: number, parts: WorkersParts): Promise<number> {
  await clearListeners(parts.config);
  return new Workers(count, parts).run();
}

class Workers {
  readonly #parts: WorkersParts;
  readonly #slots: readonly Slot[];
  readonly #ended = Promise.withResolvers<number>();
  /** What is said at the end instead of an exit code of the workers. */
  #failure: CommandError | undefined = undefined;
  #exitCode: number = ExitCode.ok;
  #state: 'starting' | 'running' | 'stopping' = 'starting';

  constructor(count: number, parts: WorkersParts) {
    this.#parts = parts;
    this.#slots = Array.from({ length: count }, (_, index) => ({
      number: index + 1,
      restarts: new WorkerRestarts(parts.clock),
      worker: undefined,
      timer: undefined,
    }));
  }

  run(): Promise<number> {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#onSignal(signal));
    process.on('SIGHUP', () => this.#reload());
    process.on('uncaughtException', (error) => this.#onBroken('uncaught exception', error));
    process.on('unhandledRejection', (reason) => this.#onBroken('unhandled rejection', reason));
    cluster.schedulingPolicy = cluster.SCHED_RR;
    this.#start(this.#slots[0]!);
    return this.#ended.promise;
  }

  #start(slot: Slot): void {
    slot.timer = undefined;
    const worker = cluster.fork({ [workerVariable]: String(slot.number) });
    slot.worker = worker;
    worker.on('message', (message: ReadyMessage) => this.#onReady(slot, message.ready));
    worker.on('exit', (code, signal) => this.#onExit(slot, worker, code, signal));
    worker.on('error', (error) => {
      this.#parts.logger.error('a worker has trouble', { worker: slot.number, error });
      // Of one that could not be started at all nothing else is heard.
      if (worker.process.pid === undefined) this.#onExit(slot, worker, ExitCode.failure, '');
    });
  }

  #onReady(slot: Slot, listeners: readonly Endpoint[]): void {
    slot.restarts.ready();
    if (this.#state !== 'starting') return;
    if (this.#slots.every(({ restarts }) => restarts.wasReady)) {
      this.#state = 'running';
      announce(listeners, this.#parts.config);
      return;
    }
    for (const other of this.#slots) if (other.worker === undefined && other.timer === undefined) this.#start(other);
  }

  #onExit(slot: Slot, worker: Worker, code: number | null, signal: string): void {
    if (slot.worker !== worker) return;
    slot.worker = undefined;
    if (this.#state === 'stopping') {
      // One that was told before it could listen for signals ends by SIGTERM.
      if (code !== ExitCode.ok && signal !== 'SIGTERM' && this.#exitCode === ExitCode.ok)
        this.#exitCode = ExitCode.failure;
      this.#endIfAlone();
      return;
    }
    // It has said what is wrong, and will say the same again.
    if (code === ExitCode.usage && !slot.restarts.wasReady) {
      this.#stop(ExitCode.usage);
      return;
    }
    const delayMs = slot.restarts.ended();
    if (delayMs === undefined) {
      this.#failure = new CommandError(
        `Worker ${slot.number} ends again and again without having been ready, so all are ended: what it said before tells why.`,
      );
      this.#stop(ExitCode.failure);
      return;
    }
    this.#parts.logger.warn('a worker has ended and is started again', { worker: slot.number, code, signal, delayMs });
    slot.timer = this.#parts.clock.setTimeout(() => this.#start(slot), delayMs);
  }

  /** By a message, for a signal would end a worker that does not listen for it yet. */
  #reload(): void {
    const message: ReloadMessage = { reload: true };
    for (const { worker } of this.#slots) if (worker?.isConnected() === true) worker.send(message);
  }

  #onSignal(signal: string): void {
    if (this.#state === 'stopping') {
      this.#parts.logger.warn('second signal, ends at once', { signal });
      this.#exitNow();
    }
    this.#parts.logger.info('stopping', { signal });
    this.#stop(ExitCode.ok);
  }

  /** All at once: one after the other would send clients from worker to worker. */
  #stop(exitCode: number): void {
    this.#state = 'stopping';
    this.#exitCode = exitCode;
    const { cluster: node, admin } = this.#parts.config;
    for (const slot of this.#slots) {
      slot.timer?.cancel();
      slot.worker?.process.kill('SIGTERM');
    }
    // A close waits for what is due three times; a worker that is paused would never end.
    this.#parts.clock.setTimeout(() => this.#kill(), node.drainMs + 3 * admin.drainTimeoutMs + GRACE_MS);
    this.#endIfAlone();
  }

  #endIfAlone(): void {
    if (this.#slots.some(({ worker }) => worker !== undefined)) return;
    if (this.#failure === undefined) this.#ended.resolve(this.#exitCode);
    else this.#ended.reject(this.#failure);
  }

  #onBroken(what: string, error: unknown): void {
    const { logger, clock } = this.#parts;
    logger.error(what, { error, stack: error instanceof Error ? error.stack : undefined });
    clock.setTimeout(() => this.#exitNow(), LAST_ATTEMPT_MS);
    if (this.#state === 'stopping') this.#exitCode = ExitCode.failure;
    else this.#stop(ExitCode.failure);
  }

  #exitNow(): never {
    this.#kill();
    process.exit(ExitCode.failure);
  }

  #kill(): void {
    for (const { worker } of this.#slots) worker?.process.kill('SIGKILL');
  }
}
