import type { Cluster } from './cluster.ts';

/** A cluster of one: every claim succeeds. Epochs count up. */
export class SingleNode implements Cluster {
  readonly nodeId: string = 'single';
  #epoch = 0;

  claim(_clientId: string, _username: string): number {
    this.#epoch += 1;
    return this.#epoch;
  }

  holds(_clientId: string): boolean {
    return true;
  }

  settle(_clientId: string): void {}

  willDone(_clientId: string): void {}
}
