import type { Session } from './session.ts';
import type { ShareGroup } from './share-group.ts';

/** Whose the queues are: sessions that the store knows, and groups. Draws the ids of new ones. */
export class QueueTable {
  readonly #owners: Map<number, Session | ShareGroup> = new Map();
  #nextId = 1;

  /** An id that no queue had before. */
  draw(): number {
    const queueId = this.#nextId;
    this.#nextId += 1;
    return queueId;
  }

  /** Ids below this one are in use, or were. */
  drawFrom(queueId: number): void {
    this.#nextId = Math.max(this.#nextId, queueId);
  }

  get(queueId: number): Session | ShareGroup | undefined {
    return this.#owners.get(queueId);
  }

  set(queueId: number, owner: Session | ShareGroup): void {
    this.#owners.set(queueId, owner);
  }

  delete(queueId: number): void {
    this.#owners.delete(queueId);
  }
}
