import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { Random } from '../fakes/random.ts';
import type { ClientSocketHandler } from '../support/client-socket.ts';
import { FALSE_STARTS, type FalseStart } from './false-starts.ts';
import { breakOff, type FuzzWire, type OpenWire, openSocket } from './fuzz-wire.ts';
import { cutAtRandom } from './mutator.ts';
import { RecordRelay } from './record-relay.ts';

/** How many connections begin with something else than TLS, and how many of these then wait for the broker to close them. */
const FALSE_START_RATE = 0.04;
const WAIT_RATE = 0.2;
/** Names of servers that are asked for; undefined for none. */
const SERVER_NAMES: readonly (string | undefined)[] = [
  undefined,
  'localhost',
  'broker.example',
  '*.example',
  '__proto__',
  '.',
  'a'.repeat(255),
];
/** Bytes that a record may hold at most. */
const RECORD_SIZES: readonly number[] = [512, 1_000, 4_096, 16_384];
const SMALL_RECORDS_MAX = 40;

/** A TLS connection with records of many sizes, some of them wrong. @param protocol that the listener takes by ALPN. */
export function openTls(protocol: string): OpenWire {
  return async (url, handler, random) =>
    random.chance(FALSE_START_RATE)
      ? await openWithFalseStart(url, handler, random)
      : await openSecure(url, handler, { random, protocol });
}

/** A connection that does not speak TLS. */
async function openWithFalseStart(url: URL, handler: ClientSocketHandler, random: Random): Promise<FuzzWire> {
  const { kind, bytes, goesOn } = FALSE_STARTS[random.below(FALSE_STARTS.length)] as FalseStart;
  // What the broker says to that is an alert, if anything.
  const socket = await openSocket(
    url,
    () => undefined,
    (reset) => handler.onClose(reset),
  );
  socket.write(bytes(random));
  return {
    tampered: { kind, forges: false },
    write: (more) => {
      if (goesOn) socket.write(more);
    },
    end: () => {
      if (!random.chance(WAIT_RATE)) socket.end();
    },
    reset: () => breakOff(socket),
  };
}

async function openSecure(
  url: URL,
  handler: ClientSocketHandler,
  { random, protocol }: { readonly random: Random; readonly protocol: string },
): Promise<FuzzWire> {
  const closed = Promise.withResolvers<'closed'>();
  let onData = (_chunk: Buffer): void => undefined;
  let onClose = (_reset: boolean): void => undefined;
  const raw = await openSocket(
    url,
    (chunk) => onData(chunk),
    (reset) => onClose(reset),
  );
  // Its own numbers, so that nothing hangs on when a record is sent.
  const relay = new RecordRelay(raw, new Random(random.next()));
  const socket = connect({ socket: relay, ...optionsOf(protocol, random) });
  onData = (chunk) => relay.receive(chunk);
  raw.once('end', () => relay.receive(undefined));
  onClose = (reset) => {
    const tell = (): void => {
      closed.resolve('closed');
      handler.onClose(reset);
    };
    if (socket.closed) tell();
    else socket.once('close', tell);
    // What came in before is read by then.
    setImmediate(() => relay.destroy());
  };
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => handler.onBytes(chunk));
  const opened = new Promise<'open'>((resolve) => {
    socket.once('secureConnect', () => {
      relay.isOpen = true;
      resolve('open');
    });
  });
  const how = await Promise.race([opened, closed.promise]);
  if (how === 'closed' && relay.tampered === undefined)
    throw new Error('the broker closed the connection in a handshake that is in order');
  if (!socket.destroyed) socket.setMaxSendFragment(RECORD_SIZES[random.below(RECORD_SIZES.length)] as number);
  const writer = new RecordWriter(socket);
  return {
    get tampered() {
      return relay.tampered;
    },
    write: (bytes) => writer.write(recordsOf(bytes, random)),
    end: () => writer.end(),
    reset: () => breakOff(raw),
  };
}

function optionsOf(protocol: string, random: Random): ConnectionOptions {
  const version = random.chance(0.5) ? 'TLSv1.2' : 'TLSv1.3';
  const servername = SERVER_NAMES[random.below(SERVER_NAMES.length)];
  const offers = [undefined, [protocol], ['x', protocol]];
  const ALPNProtocols = offers[random.below(offers.length)];
  return {
    minVersion: version,
    maxVersion: version,
    // The broker is what is tried here.
    rejectUnauthorized: false,
    ...(servername !== undefined && { servername }),
    ...(ALPNProtocols !== undefined && { ALPNProtocols }),
  };
}

/** The bytes in the pieces that are to be records: one, few of any size, or many small ones. */
function recordsOf(bytes: Buffer, random: Random): Buffer[] {
  const way = random.below(10);
  if (way < 5) return [bytes];
  return cutAtRandom(bytes, 1 + random.below(way < 8 ? 4 : SMALL_RECORDS_MAX), random);
}

/** Writes one piece after the other, as several that wait would become one record. */
class RecordWriter {
  readonly #socket: TLSSocket;
  readonly #waiting: Buffer[] = [];
  #isWriting = false;
  #isEnding = false;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
  }

  write(pieces: readonly Buffer[]): void {
    this.#waiting.push(...pieces);
    this.#goOn();
  }

  /** Ends the connection behind all that was written. */
  end(): void {
    this.#isEnding = true;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#isWriting) return;
    const piece = this.#waiting.shift();
    if (piece === undefined) {
      if (this.#isEnding) this.#socket.end();
      return;
    }
    this.#isWriting = true;
    this.#socket.write(piece, () => {
      this.#isWriting = false;
      this.#goOn();
    });
  }
}
