import type { LinkEnd, LinkHandler } from '../../src/wire/link.ts';

/** A handler of links that keeps what it is told, and lets a test wait for it. */
export class RecordingHandler implements LinkHandler {
  readonly events: string[] = [];
  readonly opened: Promise<void>;
  readonly ended: Promise<LinkEnd>;
  #received: Buffer = Buffer.alloc(0);
  #open: () => void = () => {};
  #end: (end: LinkEnd) => void = () => {};
  #waiting: (() => void)[] = [];

  constructor() {
    this.opened = new Promise((resolve) => {
      this.#open = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Everything that came so far. */
  get received(): Buffer {
    return this.#received;
  }

  onOpen(): void {
    this.events.push('open');
    this.#open();
  }

  onBytes(chunk: Buffer): void {
    this.events.push(`bytes ${chunk.length}`);
    this.#received = Buffer.concat([this.#received, chunk]);
    for (const check of this.#waiting) check();
  }

  onEnd(end: LinkEnd): void {
    this.events.push(`end ${end.cause}`);
    this.#end(end);
  }

  /** Resolves when `length` bytes came. */
  untilReceived(length: number): Promise<Buffer> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.#received.length >= length) resolve(this.#received);
      };
      this.#waiting.push(check);
      check();
    });
  }
}
