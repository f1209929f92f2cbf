interface DeferredStep {
  ticket: number;
  readonly run: () => void;
}

/** Steps of a connection that wait for something to be durable, such as CONNACK and SUBACK, in their order. */
export class DeferredSteps {
  #steps: DeferredStep[] = [];

  get length(): number {
    return this.#steps.length;
  }

  /** Adds a step that waits for `ticket`. */
  push(ticket: number, run: () => void): void {
    this.#steps.push({ ticket, run });
  }

  /** Runs all that `flushed` covers, in order. */
  run(flushed: number): void {
    const end = this.#steps.findIndex(({ ticket }) => ticket > flushed);
    const due = end === -1 ? this.#steps : this.#steps.slice(0, end);
    this.#steps = end === -1 ? [] : this.#steps.slice(end);
    for (const { run } of due) run();
  }

  /** The batch `failed` goes again as `retriedAs`. */
  postpone(failed: number, retriedAs: number): void {
    for (const step of this.#steps) if (step.ticket === failed) step.ticket = retriedAs;
  }
}
