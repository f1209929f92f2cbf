import { Duplex } from 'node:stream';
import type { Endpoint } from '../wire/endpoint.ts';
import type { Link, LinkEnd, LinkFactory, LinkHandler } from '../wire/link.ts';
import type { NetworkPath } from '../wire/network-path.ts';

/** A link as a stream of Node, for client libraries that want one; so the device's network applies to them as well. */
export class LinkStream extends Duplex implements LinkHandler {
  readonly #onGone: (end: LinkEnd) => void;
  #link: Link | undefined;
  #isOpen = false;
  #isClosing = false;
  /** Goes on with what was written before the link was open. */
  #onOpened: (() => void) | undefined;

  /** @param onGone is told once why the link is no more, after which the stream is destroyed; not after {@link freeze}. */
  constructor(onGone: (end: LinkEnd) => void) {
    super({ decodeStrings: true });
    this.#onGone = onGone;
  }

  get bufferedBytes(): number {
    return this.writableLength + (this.#link?.bufferedBytes ?? 0);
  }

  /** The link is open, so that what was written may have reached the broker. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(links: LinkFactory, endpoint: Endpoint, path: NetworkPath): void {
    this.#link = links.open(endpoint, path, this);
  }

  /** Sends `last` behind what was written, and ends the link; what the library writes afterwards goes nowhere. */
  close(last: Buffer): void {
    // mqtt-packet corks its stream until the next tick.
    while (this.writableCorked > 0) this.uncork();
    this.#link?.write(last);
    this.#isClosing = true;
    this.#link?.end();
  }

  /** See {@link Link.freeze}; the stream is of no use any more. */
  freeze(forMs: number): void {
    this.#link?.freeze(forMs);
    this.#link = undefined;
    this.destroy();
  }

  onOpen(): void {
    this.#isOpen = true;
    const onOpened = this.#onOpened;
    this.#onOpened = undefined;
    onOpened?.();
  }

  onBytes(chunk: Buffer): void {
    // The link's own buffer is used again; streams keep theirs.
    if (!this.destroyed && !this.#isClosing) this.push(Buffer.from(chunk));
  }

  onEnd(end: LinkEnd): void {
    this.#link = undefined;
    this.destroy();
    this.#onGone(end);
  }

  override _read(): void {
    // Bytes come when they come.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#send(chunk, done);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: () => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const link = this.#link;
    this.#link = undefined;
    link?.destroy();
    done(error);
  }

  #send(bytes: Buffer, done: () => void): void {
    if (this.#isClosing) {
      done();
    } else if (this.#isOpen) {
      this.#link?.write(bytes);
      done();
    } else {
      this.#onOpened = () => this.#send(bytes, done);
    }
  }
}
