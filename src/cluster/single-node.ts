import type { Cluster } from './cluster.ts';

/** A cluster of one: every claim succeeds. Epochs count up from the highest one found in the store. */
export class SingleNode implements Cluster {
  readonly nodeId: string = 'single';
  #epoch: number;

  /** @param lastEpoch highest epoch in use before. */
  constructor(lastEpoch: number) {
    this.#epoch = lastEpoch;
  }

  claim(_clientId: string): number {
    this.#epoch += 1;
    return this.#epoch;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
