import type { RecordableHistogram } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { histograms, Metrics } from '../agent/metrics.ts';
import type { WitnessBatch } from '../checker/witness-recorder.ts';
import { Histogram } from '../lib/histogram.ts';
import type { FleetCommand, FleetHandle } from './fleet-handle.ts';
import type { FleetPlan, FleetTurn } from './fleet.ts';

/** To a worker. */
export type ToWorker = FleetCommand | { readonly do: 'turn' };

/** From a worker. */
export type FromWorker =
  | { readonly is: 'facts'; readonly batch: WitnessBatch }
  | { readonly is: 'turn'; readonly turn: PackedTurn };

/** A turn as it is posted. Histograms are shared between the threads, not copied. */
interface PackedTurn extends Omit<FleetTurn, 'metrics'> {
  readonly metrics: readonly (readonly [className: string, counters: Partial<Metrics>, histograms: PackedHistograms])[];
}

type PackedHistograms = Readonly<Record<(typeof histograms)[number], RecordableHistogram>>;

/** A turn in the form that can be posted. */
export function packTurn(turn: FleetTurn): PackedTurn {
  const metrics = [...turn.metrics].map(([className, one]) => {
    const { delivery, acknowledgement, connect, roundTrip, ...counters } = one;
    const natives = {
      delivery: delivery.native,
      acknowledgement: acknowledgement.native,
      connect: connect.native,
      roundTrip: roundTrip.native,
    };
    return [className, counters, natives] as const;
  });
  return { ...turn, metrics };
}

/** The turn that was posted. */
export function unpackTurn(packed: PackedTurn): FleetTurn {
  const metrics = packed.metrics.map(([className, counters, natives]) => {
    const restored: Partial<Record<(typeof histograms)[number], Histogram>> = {};
    for (const name of histograms) restored[name] = new Histogram(natives[name]);
    // Without the constructor, whose histograms would be thrown away at once.
    const one = Object.assign(Object.create(Metrics.prototype) as Metrics, counters, restored);
    return [className, one] as const;
  });
  return { ...packed, metrics: new Map(metrics) };
}

/** A fleet in a thread of its own. */
export class WorkerFleet implements FleetHandle {
  readonly #worker: Worker;
  readonly #onFacts: (batch: WitnessBatch) => void;
  #turn: PromiseWithResolvers<FleetTurn> | undefined;
  #failure: Error | undefined;

  constructor(plan: FleetPlan, onFacts: (batch: WitnessBatch) => void) {
    this.#onFacts = onFacts;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), { workerData: plan });
    this.#worker.on('message', (message: FromWorker) => this.#onMessage(message));
    this.#worker.on('error', (error: Error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('a thread of the simulator ended by itself')));
  }

  tell(command: FleetCommand): void {
    this.#post(command);
  }

  turn(): Promise<FleetTurn> {
    this.#turn = Promise.withResolvers<FleetTurn>();
    if (this.#failure === undefined) this.#post({ do: 'turn' });
    else this.#turn.reject(this.#failure);
    return this.#turn.promise;
  }

  async close(): Promise<void> {
    this.#worker.removeAllListeners('exit');
    await this.#worker.terminate();
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message, []);
  }

  #onMessage(message: FromWorker): void {
    switch (message.is) {
      case 'facts':
        return this.#onFacts(message.batch);
      case 'turn':
        this.#turn?.resolve(unpackTurn(message.turn));
        this.#turn = undefined;
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#turn?.reject(this.#failure);
  }
}
