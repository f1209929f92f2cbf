import { Metrics } from '../agent/metrics.ts';

/**
 * The metrics of all classes in one thread. Agents count into the buffer of the present second; the buffer of the
 * second before is read, folded into the totals and emptied by the reader meanwhile.
 */
export class MetricsBoard {
  readonly #buffers: readonly [ReadonlyMap<string, Metrics>, ReadonlyMap<string, Metrics>];
  #current: 0 | 1 = 0;

  constructor(classNames: readonly string[]) {
    const create = (): ReadonlyMap<string, Metrics> => new Map(classNames.map((name) => [name, new Metrics()]));
    this.#buffers = [create(), create()];
  }

  /** Where to count now. */
  of(className: string): Metrics {
    return this.#buffers[this.#current].get(className) as Metrics;
  }

  /** Begins the next second; returns what was counted in the last one, to be read before the next call but one. */
  turn(): ReadonlyMap<string, Metrics> {
    const finished = this.#buffers[this.#current];
    this.#current = this.#current === 0 ? 1 : 0;
    for (const metrics of this.#buffers[this.#current].values()) metrics.reset();
    return finished;
  }
}
