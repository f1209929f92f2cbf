import type { Topology } from '../../src/store/shared-store.ts';
import type { MortalClock } from './mortal-clock.ts';
import { CutError, type SimulatedLink } from './simulated-link.ts';
import type { ChangeEntry, InboxItem, SimulatedRedis } from './simulated-redis.ts';

/** Entries of each stream read at a time. */
const ENTRIES_AT_ONCE = 3;

/** What an inbox is read with. */
export interface InboxParts {
  readonly redis: SimulatedRedis;
  readonly nodeId: string;
  /** For reading alone. */
  readonly link: SimulatedLink;
  readonly process: MortalClock;
  readonly topology: () => Topology;
  readonly loadTopology: () => Promise<void>;
  readonly take: (item: InboxItem) => void;
  readonly onTopology: () => void;
  readonly onError: (error: unknown) => void;
}

/** Reads an inbox and the changes of the topology as they come, as src/store/redis/inbox-reader.ts does. */
export class SimulatedInbox {
  readonly #parts: InboxParts;
  #lastId = 0;
  #waiting: { id: number; version: number; resolve: () => void }[] = [];
  #isClosed = false;
  #running: Promise<void> | undefined = undefined;
  #poke: () => void = () => {};

  constructor(parts: InboxParts) {
    this.#parts = parts;
  }

  get isStarted(): boolean {
    return this.#running !== undefined;
  }

  start(): void {
    const { redis, nodeId, process, onError } = this.#parts;
    redis.onStream.set(nodeId, () => process.run(() => this.#poke()));
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#isClosed) onError(error);
    });
  }

  reached(id: number, version: number): Promise<void> {
    if (this.#hasReached(id, version)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ id, version, resolve }));
  }

  async close(): Promise<void> {
    this.crash();
    await this.#running;
  }

  crash(): void {
    this.#isClosed = true;
    this.#poke();
    this.#poke = () => {};
  }

  /** @returns whether none was missing before them. */
  takeChanges(entries: readonly ChangeEntry[]): boolean {
    const topology = this.#parts.topology();
    for (const { version, changes } of entries) {
      if (version <= topology.version) continue;
      if (version !== topology.version + 1) return false;
      topology.apply(changes, version);
    }
    return true;
  }

  async #run(): Promise<void> {
    const { redis, nodeId, link } = this.#parts;
    while (!this.#isClosed) {
      const { version } = this.#parts.topology();
      const lastId = this.#lastId;
      const poked = new Promise<void>((resolve) => {
        this.#poke = resolve;
      });
      try {
        const found = await link.call(() => redis.readStreams(nodeId, version, lastId, ENTRIES_AT_ONCE));
        if (this.#isClosed) return;
        if (found === undefined) await poked;
        else await this.#take(found.changes, found.items);
      } catch (error) {
        if (!(error instanceof CutError)) throw error;
      }
    }
  }

  async #take(changes: readonly ChangeEntry[], items: readonly { id: number; item: InboxItem }[]): Promise<void> {
    const { redis, nodeId, link, take, loadTopology, onTopology } = this.#parts;
    if (changes.length > 0) {
      if (!this.takeChanges(changes)) await loadTopology();
      onTopology();
    }
    for (const { item } of items) take(item);
    const last = items.at(-1);
    if (last !== undefined) {
      this.#lastId = last.id;
      link.call(() => redis.trimInbox(nodeId, last.id)).catch(() => {});
    }
    const still = this.#waiting.filter(({ id, version }) => !this.#hasReached(id, version));
    const done = this.#waiting.filter((each) => !still.includes(each));
    this.#waiting = still;
    for (const { resolve } of done) resolve();
  }

  #hasReached(id: number, version: number): boolean {
    return this.#parts.topology().version >= version && this.#lastId >= id;
  }
}
