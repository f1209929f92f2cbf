/** Something that publishes when it is its turn. */
interface Publishing {
  fill(): void;
}

/** Something with bytes to write at the end of a turn. */
interface Flushable {
  flush(): void;
}

/**
 * Gathers the work of a turn of the event loop: after all sockets were read, every publisher that may send again does, and
 * then every connection writes once.
 */
export class Turns {
  #ready: Publishing[] = [];
  #dirty: Flushable[] = [];
  #spareReady: Publishing[] = [];
  #spareDirty: Flushable[] = [];
  #isScheduled = false;

  /** Lets it publish at the end of this turn. */
  addReady(publisher: Publishing): void {
    this.#ready.push(publisher);
    this.#schedule();
  }

  /** Has it written to its socket at the end of this turn. */
  addDirty(client: Flushable): void {
    this.#dirty.push(client);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(Turns.#run, this);
  }

  static readonly #run = (turns: Turns): void => {
    const ready = turns.#ready;
    turns.#ready = turns.#spareReady;
    for (let index = 0; index < ready.length; index++) ready[index]!.fill();
    ready.length = 0;
    turns.#spareReady = ready;

    const dirty = turns.#dirty;
    turns.#dirty = turns.#spareDirty;
    for (let index = 0; index < dirty.length; index++) dirty[index]!.flush();
    dirty.length = 0;
    turns.#spareDirty = dirty;

    // What was added meanwhile is for the next turn.
    turns.#isScheduled = false;
    if (turns.#ready.length + turns.#dirty.length > 0) turns.#schedule();
  };
}
