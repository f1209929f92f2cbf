import cluster, { type Worker } from 'node:cluster';
import { type Config, ConfigError } from '../config.ts';
import { MEMORY_BYTES_MIN } from '../config/check.ts';
import { defaultMemoryBudget } from '../limits/process-memory.ts';
import { nodeIdOf } from '../node-id.ts';
import type { Endpoint } from './announcement.ts';

/** Variable in which a worker finds its number. */
export const workerVariable = 'TRELLIS_WORKER';

/** What a worker tells its parent once it accepts connections. */
export interface ReadyMessage {
  readonly ready: readonly Endpoint[];
}

/** What a worker is told: to read its files anew. */
export interface ReloadMessage {
  readonly reload: true;
}

/**
 * The configuration of one of `count` workers: that of its parent, with a node id of its own that is the same at each start,
 * and its part of the memory. @throws ConfigError as `memoryOfWorker`.
 */
export function workerConfig(config: Config, number: number, count: number): Config {
  const nodeId = `${nodeIdOf(config)}/${number}`;
  return Object.freeze({
    ...config,
    cluster: Object.freeze({ ...config.cluster, nodeId }),
    limits: Object.freeze({ ...config.limits, memoryBytesMax: memoryOfWorker(config, count) }),
  });
}

/** Bytes of memory that each of so many workers may take, 0 for any number. @throws ConfigError where that is too little for one. */
export function memoryOfWorker({ limits: { memoryBytesMax } }: Config, count: number): number {
  const bytes = Math.floor((memoryBytesMax === 'auto' ? defaultMemoryBudget() : memoryBytesMax) / count);
  if (bytes === 0 || bytes >= MEMORY_BYTES_MIN) return bytes;
  const mib = Math.floor(bytes / 1_048_576);
  throw new ConfigError([
    `limits.memoryBytesMax leaves each of ${count} workers ${mib} MiB, in which none runs: start fewer, or set it to 0 for no limit.`,
  ]);
}

/** The process that started this one as a worker. */
export class WorkerParent {
  readonly #worker: Worker;

  constructor(worker: Worker) {
    this.#worker = worker;
    // Sending may fail because the parent has ended; that is told by `disconnect`.
    worker.on('error', () => {});
  }

  /** Tells it that this worker accepts connections. */
  tellReady(listeners: readonly Endpoint[]): void {
    const message: ReadyMessage = { ready: listeners.map(({ url, port }) => ({ url, port })) };
    this.#worker.send(message);
  }

  /** Calls back when it says that files are to be read anew. */
  onReload(callback: () => void): void {
    this.#worker.on('message', (message: Partial<ReloadMessage>) => {
      if (message.reload === true) callback();
    });
  }

  /** Calls back when it has ended, however. */
  onGone(callback: () => void): void {
    this.#worker.once('disconnect', () => {
      // Without this Node ends the process at once, and no client would be told.
      this.#worker.exitedAfterDisconnect = true;
      callback();
    });
  }
}

/** The number of this worker, from 1, and its parent; undefined in a process that is no worker. */
export function asWorker(
  environment: NodeJS.ProcessEnv,
): { readonly number: number; readonly parent: WorkerParent } | undefined {
  const number = Number(environment[workerVariable]);
  if (cluster.worker === undefined || !Number.isInteger(number) || number < 1) return undefined;
  return { number, parent: new WorkerParent(cluster.worker) };
}
