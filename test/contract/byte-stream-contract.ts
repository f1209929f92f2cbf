import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ByteStream, ByteStreamHandler } from '../../src/transport/byte-stream.ts';
import { Random } from '../fakes/random.ts';

/** A connection to test: both of its ends are streams of the implementation under test. */
export interface StreamPair {
  /** The end that was accepted, not attached yet. */
  readonly accepted: ByteStream;
  /** The end that connected, not attached yet. */
  readonly connected: ByteStream;
  /** Breaks the connection as seen from the accepted end. */
  reset(): void;
  /** Releases whatever belongs to the pair. */
  close(): Promise<void>;
}

/** What an implementation may do differently. */
export interface StreamTraits {
  /** Whether one direction goes on after the other has ended. */
  readonly halfOpen: boolean;
}

/** Remembers what happened on a stream, and fails on what must not happen. */
export class Recorder implements ByteStreamHandler {
  readonly stream: ByteStream;
  readonly hash: ReturnType<typeof createHash> = createHash('sha256');
  receivedBytes = 0;
  drains = 0;
  ended = false;
  closes = 0;
  closeError: Error | undefined;
  /** Called with each chunk. */
  onChunk: ((chunk: Buffer) => void) | undefined;
  #wake: (() => void)[] = [];

  constructor(stream: ByteStream) {
    this.stream = stream;
    stream.attach(this);
  }

  onBytes(chunk: Buffer): void {
    if (chunk.length === 0) throw new Error('An empty chunk came.');
    if (this.ended || this.closes > 0) throw new Error('Bytes came after the end.');
    this.receivedBytes += chunk.length;
    this.hash.update(chunk);
    this.onChunk?.(chunk);
    this.#happened();
  }

  onDrain(): void {
    this.drains++;
    this.#happened();
  }

  onEnd(): void {
    if (this.ended || this.closes > 0) throw new Error('An end came after the end.');
    this.ended = true;
    this.#happened();
  }

  onClose(error: Error | undefined): void {
    this.closes++;
    this.closeError = error;
    this.#happened();
  }

  /** Resolves once it is true, asked again after each event. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  #happened(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }
}

const CHUNK_BYTES = 65_536;
/** More than any kernel buffers for a connection. */
const MORE_THAN_BUFFERED_BYTES = 64 * 1024 * 1024;

/** Writes until the other side pushes back; returns how many bytes that took. */
function fillUp(stream: ByteStream): number {
  for (let written = CHUNK_BYTES; written <= MORE_THAN_BUFFERED_BYTES; written += CHUNK_BYTES) {
    if (!stream.write(Buffer.alloc(CHUNK_BYTES, 7))) return written;
  }
  throw new Error('The stream takes any amount without pushing back.');
}

/** Writes chunks of random sizes, waiting for the drain whenever asked to, and returns the hash of it all. */
async function sendRandom(recorder: Recorder, seed: number, totalBytes: number): Promise<string> {
  const random = new Random(seed);
  const hash = createHash('sha256');
  for (let sent = 0; sent < totalBytes; ) {
    const chunk = random.bytes(Math.min(totalBytes - sent, 1 + random.below(random.chance(0.1) ? 200_000 : 300)));
    hash.update(chunk);
    sent += chunk.length;
    const drainsBefore = recorder.drains;
    if (!recorder.stream.write(chunk)) await recorder.until(() => recorder.drains > drainsBefore);
  }
  return hash.digest('hex');
}

/** The tests that every ByteStream passes. */
export function describeByteStream(name: string, open: () => Promise<StreamPair>, traits: StreamTraits): void {
  describe(`${name} as ByteStream`, () => {
    let pair: StreamPair;

    beforeEach(async () => {
      pair = await open();
    });

    afterEach(async () => {
      await pair.close();
    });

    describeTransfer(() => pair);
    describeEnds(() => pair);
    if (traits.halfOpen) describeHalfOpen(() => pair);
  });
}

function describeTransfer(pairNow: () => StreamPair): void {
  test('says where the peer is and which transport it came by', () => {
    const { accepted } = pairNow();
    expect(accepted.remoteAddress).not.toBe('');
    expect(accepted.transport).not.toBe('');
  });

  test('carries random chunks both ways at once, whole and in order', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    const totalBytes = 3_000_000;
    const [down, up] = await Promise.all([sendRandom(accepted, 1, totalBytes), sendRandom(connected, 2, totalBytes)]);
    await Promise.all([
      accepted.until(() => accepted.receivedBytes >= totalBytes),
      connected.until(() => connected.receivedBytes >= totalBytes),
    ]);
    expect(connected.hash.digest('hex')).toBe(down);
    expect(accepted.hash.digest('hex')).toBe(up);
  });

  test('delivers bytes that came before anybody attached', async () => {
    const connected = new Recorder(pairNow().connected);
    connected.stream.write(Buffer.from('early'));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const accepted = new Recorder(pairNow().accepted);
    await accepted.until(() => accepted.receivedBytes > 0);
    expect(accepted.receivedBytes).toBe(5);
  });

  test('pushes back on the writer while the reader pauses, and drains when it reads again', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    accepted.stream.pause();
    const written = fillUp(connected.stream);
    // Once something came back the other way, what could arrive has arrived.
    accepted.stream.write(Buffer.from('ping'));
    await connected.until(() => connected.receivedBytes === 4);
    expect(accepted.receivedBytes).toBe(0);
    accepted.stream.resume();
    await accepted.until(() => accepted.receivedBytes === written);
    await connected.until(() => connected.drains === 1);
  });

  test('drains once for any number of writes that had to wait', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    accepted.stream.pause();
    let written = fillUp(connected.stream);
    for (let count = 0; count < 10; count++, written += 100) {
      expect(connected.stream.write(Buffer.alloc(100))).toBe(false);
    }
    accepted.stream.resume();
    await accepted.until(() => accepted.receivedBytes === written);
    await connected.until(() => connected.drains === 1);
    expect(connected.stream.write(Buffer.from('x'))).toBe(true);
    await accepted.until(() => accepted.receivedBytes === written + 1);
    expect(connected.drains).toBe(1);
  });

  test('lets the memory of a write that it is done with be used again', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    const expected = createHash('sha256');
    let bytes = Buffer.alloc(300);
    let total = 0;
    for (let count = 0; count < 200; count++, total += bytes.length) {
      expected.update(bytes.fill(count));
      if (!connected.stream.write(bytes)) bytes = Buffer.alloc(300);
      if (count % 10 > 0) continue;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    bytes.fill(255);
    await accepted.until(() => accepted.receivedBytes === total);
    expect(accepted.hash.digest('hex')).toBe(expected.digest('hex'));
  });

  test('pauses from within a chunk: nothing more comes until it reads again', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    let chunks = 0;
    accepted.onChunk = () => {
      chunks++;
      accepted.stream.pause();
      accepted.stream.write(Buffer.from('p'));
    };
    const totalBytes = 50 * 40;
    for (let count = 0; count < 50; count++) connected.stream.write(Buffer.alloc(40, count));
    while (accepted.receivedBytes < totalBytes) {
      const expected = chunks + 1;
      await connected.until(() => connected.receivedBytes === expected);
      expect(chunks).toBe(expected);
      accepted.stream.resume();
    }
    expect(accepted.receivedBytes).toBe(totalBytes);
  });
}

function describeEnds(pairNow: () => StreamPair): void {
  test('sends what was written before it ends, then closes both ends without an error', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    accepted.stream.write(Buffer.alloc(1_000_000, 1));
    accepted.stream.end();
    accepted.stream.end();
    await connected.until(() => connected.ended);
    expect(connected.receivedBytes).toBe(1_000_000);
    connected.stream.end();
    await Promise.all([accepted.until(() => accepted.closes > 0), connected.until(() => connected.closes > 0)]);
    expect([accepted.ended, accepted.closeError, connected.closeError]).toEqual([true, undefined, undefined]);
  });

  test('ignores writes after the end', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    accepted.stream.end();
    expect(accepted.stream.write(Buffer.from('too late'))).toBe(true);
    connected.stream.end();
    await Promise.all([accepted.until(() => accepted.closes > 0), connected.until(() => connected.closes > 0)]);
    expect(connected.receivedBytes).toBe(0);
  });

  test('closes once however often it is destroyed, and hears nothing more', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    accepted.onChunk = () => {
      accepted.stream.destroy();
      accepted.stream.destroy();
    };
    for (let count = 0; count < 20; count++) connected.stream.write(Buffer.alloc(30));
    await accepted.until(() => accepted.closes > 0);
    const heard = accepted.receivedBytes;
    accepted.stream.destroy();
    expect(accepted.stream.write(Buffer.from('nobody'))).toBe(true);
    accepted.stream.end();
    await connected.until(() => connected.ended || connected.closes > 0);
    connected.stream.end();
    await connected.until(() => connected.closes > 0);
    expect([accepted.receivedBytes, accepted.closes, connected.closes]).toEqual([heard, 1, 1]);
    expect([accepted.closeError, accepted.ended]).toEqual([undefined, false]);
  });

  test('survives a peer that resets the connection', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    connected.stream.write(Buffer.from('hello'));
    await accepted.until(() => accepted.receivedBytes === 5);
    pairNow().reset();
    for (let count = 0; accepted.closes === 0; count++) {
      accepted.stream.write(Buffer.alloc(10));
      if (accepted.ended) accepted.stream.end();
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    expect(accepted.stream.write(Buffer.alloc(10))).toBe(true);
    accepted.stream.end();
    accepted.stream.destroy();
    expect(accepted.closes).toBe(1);
    await connected.until(() => connected.closes > 0);
  });

  test('tells a handler that comes too late that the stream is closed', async () => {
    const connected = new Recorder(pairNow().connected);
    const { accepted } = pairNow();
    accepted.destroy();
    await connected.until(() => connected.ended || connected.closes > 0);
    const late = new Recorder(accepted);
    await late.until(() => late.closes === 1);
    expect(late.receivedBytes).toBe(0);
  });
}

/** For implementations where one direction goes on after the other has ended. */
function describeHalfOpen(pairNow: () => StreamPair): void {
  test('reads on after it has ended, until the peer ends too', async () => {
    const accepted = new Recorder(pairNow().accepted);
    const connected = new Recorder(pairNow().connected);
    accepted.stream.end();
    await connected.until(() => connected.ended);
    connected.stream.write(Buffer.from('still here'));
    await accepted.until(() => accepted.receivedBytes === 10);
    expect([accepted.closes, connected.closes]).toEqual([0, 0]);
    connected.stream.end();
    await Promise.all([accepted.until(() => accepted.closes > 0), connected.until(() => connected.closes > 0)]);
  });
}
