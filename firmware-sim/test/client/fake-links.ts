import type { Link, LinkEnd, LinkFactory, LinkHandler } from '../../src/wire/link.ts';

/** A link that a test holds the other end of. */
export class FakeLink implements Link {
  readonly bufferedBytes = 0;
  /** What was written, as it was written. */
  readonly writes: Buffer[] = [];
  readonly calls: string[] = [];
  readonly handler: LinkHandler;
  /** What {@link Link.destroy} tells. */
  readonly destroyed: LinkEnd;

  constructor(handler: LinkHandler, destroyed: LinkEnd) {
    this.handler = handler;
    this.destroyed = destroyed;
  }

  write(bytes: Buffer): void {
    this.writes.push(bytes);
  }

  end(): void {
    this.calls.push('end');
  }

  destroy(): void {
    this.calls.push('destroy');
    this.handler.onEnd(this.destroyed);
  }

  freeze(forMs: number): void {
    this.calls.push(`freeze ${forMs}`);
  }

  /** What was written since the last call, in hexadecimal digits, one text per write. */
  take(): string[] {
    return this.writes.splice(0).map((bytes) => bytes.toString('hex'));
  }
}

/** Gives out links that lead nowhere. */
export class FakeLinks implements LinkFactory {
  readonly links: FakeLink[] = [];
  destroyed: LinkEnd = { cause: 'destroyed', text: 'dropped' };

  open(_endpoint: unknown, _path: unknown, handler: LinkHandler): Link {
    const link = new FakeLink(handler, this.destroyed);
    this.links.push(link);
    return link;
  }

  get last(): FakeLink {
    return this.links.at(-1) as FakeLink;
  }
}
