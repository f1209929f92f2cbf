import type { ByteStream, ByteStreamHandler } from '../../src/transport/byte-stream.ts';
import type { MortalClock } from './mortal-clock.ts';

/** A stream of a process that may stand still: what comes in waits until it goes on. */
export class GatedStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #process: MortalClock;

  constructor(stream: ByteStream, process: MortalClock) {
    this.#stream = stream;
    this.#process = process;
  }

  get remoteAddress(): string {
    return this.#stream.remoteAddress;
  }

  get transport(): string {
    return this.#stream.transport;
  }

  attach(handler: ByteStreamHandler): void {
    this.#stream.attach({
      onBytes: (chunk) => this.#process.run(() => handler.onBytes(chunk)),
      onDrain: () => this.#process.run(() => handler.onDrain()),
      onEnd: () => this.#process.run(() => handler.onEnd()),
      onClose: (error) => this.#process.run(() => handler.onClose(error)),
    });
  }

  write(bytes: Uint8Array): boolean {
    return this.#stream.write(bytes);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }
}
