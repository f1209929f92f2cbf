import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Random } from '../fakes/random.ts';
import type { ClientSocketHandler } from '../support/client-socket.ts';
import { clientFrame, ServerFrames } from './web-socket-frames.ts';

/** A client's end of a connection to a broker that is being fuzzed. */
export interface FuzzWire {
  write(bytes: Buffer): void;
  /** Ends it in good order. */
  end(): void;
  /** Breaks it off. */
  reset(): void;
  /** Whether the bytes were sent in a form that the transport itself has to refuse. */
  readonly tampered: boolean;
}

/** A way to come to the broker. */
export interface FuzzTransport {
  /** For `--transport` and for reports. */
  readonly name: string;
  /** With what the URL of its listener begins. */
  readonly scheme: string;
  open(url: URL, handler: ClientSocketHandler, random: Random): Promise<FuzzWire>;
}

/** How many WebSocket messages are sent in several fragments, with other frames between them, or with a frame made wrong. */
const FRAGMENT_RATE = 0.2;
const CONTROL_RATE = 0.05;
const TAMPER_RATE = 0.01;

/** All transports there are; a further one is a further entry. */
export const FUZZ_TRANSPORTS: readonly FuzzTransport[] = [
  { name: 'tcp', scheme: 'mqtt:', open: openTcp },
  { name: 'ws', scheme: 'ws:', open: openWebSocket },
];

/** Opens a TCP connection whose bytes go to `onData`. */
async function openSocket(
  url: URL,
  onData: (chunk: Buffer) => void,
  onClose: (reset: boolean) => void,
): Promise<Socket> {
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
  let isReset = false;
  await once(socket, 'connect');
  socket.on('error', () => {
    isReset = true;
  });
  socket.on('data', onData);
  socket.on('close', () => onClose(isReset));
  return socket;
}

async function openTcp(url: URL, handler: ClientSocketHandler): Promise<FuzzWire> {
  const socket = await openSocket(
    url,
    (chunk) => handler.onBytes(chunk),
    (reset) => handler.onClose(reset),
  );
  return {
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    tampered: false,
  };
}

/** A WebSocket whose frames are written by hand, so that they may be cut, interrupted and wrong. */
async function openWebSocket(url: URL, handler: ClientSocketHandler, random: Random): Promise<FuzzWire> {
  const frames = new ServerFrames((payload) => handler.onBytes(payload));
  const socket = await openSocket(
    url,
    (chunk) => {
      // A close frame is answered by the end.
      if (frames.push(chunk) === 'closing') socket.end();
    },
    (reset) => handler.onClose(reset),
  );
  const head = [
    `GET ${url.pathname} HTTP/1.1`,
    `Host: ${url.host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${random.bytes(16).toString('base64')}`,
    'Sec-WebSocket-Protocol: mqtt',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  await frames.upgraded;
  const wire = {
    tampered: false,
    write: (bytes: Buffer): void => {
      const isCut = bytes.length > 1 && random.chance(FRAGMENT_RATE);
      const cut = isCut ? 1 + random.below(bytes.length - 1) : bytes.length;
      send(0x2, bytes.subarray(0, cut), cut === bytes.length);
      if (random.chance(CONTROL_RATE)) send(random.chance(0.5) ? 0x9 : 0xa, random.bytes(random.below(10)), true);
      if (cut < bytes.length) send(0x0, bytes.subarray(cut), true);
    },
    end: (): void => {
      send(0x8, Buffer.of(0x03, 0xe8), true);
      // The close frame may have become the contents of a frame whose length is wrong.
      if (wire.tampered) socket.end();
    },
    reset: (): void => void socket.resetAndDestroy(),
  };
  const send = (opcode: number, payload: Buffer, isLast: boolean): void => {
    const frame = clientFrame(opcode, payload, isLast, random);
    if (random.chance(TAMPER_RATE)) {
      wire.tampered = true;
      const at = random.below(Math.min(frame.length, 8));
      frame[at] = (frame[at] as number) ^ (1 << random.below(8));
    }
    socket.write(frame);
  };
  return wire;
}
