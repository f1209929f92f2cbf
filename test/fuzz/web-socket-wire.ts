import type { Random } from '../fakes/random.ts';
import type { ClientSocketHandler } from '../support/client-socket.ts';
import type { FuzzWire, OpenWire, Tampering } from './fuzz-wire.ts';
import { clientFrame, ServerFrames } from './web-socket-frames.ts';

/** How many WebSocket messages are sent in several fragments, with other frames between them, or with a frame made wrong. */
const FRAGMENT_RATE = 0.2;
const CONTROL_RATE = 0.05;
const TAMPER_RATE = 0.01;

const FRAME_CHANGED: Tampering = { kind: 'a bit of a frame changed', forges: true };

/** A WebSocket over another transport, whose frames are written by hand, so that they may be cut, interrupted and wrong. */
export function webSocketOver(openBelow: OpenWire): OpenWire {
  return async (url, handler, random) => {
    const closed = Promise.withResolvers<'closed'>();
    const frames = new ServerFrames((payload) => handler.onBytes(payload));
    let below: FuzzWire | undefined;
    const carrier: ClientSocketHandler = {
      onBytes: (chunk) => {
        // A close frame is answered by the end.
        if (frames.push(chunk) === 'closing') below?.end();
      },
      onClose: (reset) => {
        closed.resolve('closed');
        handler.onClose(reset);
      },
    };
    below = await openBelow(url, carrier, random);
    below.write(upgradeRequest(url, random));
    const how = below.tampered === undefined ? await Promise.race([frames.upgraded, closed.promise]) : 'tampered';
    if (how === 'closed' && below.tampered === undefined)
      throw new Error('the connection was closed before it was a WebSocket');
    return webSocketWire(below, random);
  };
}

function upgradeRequest(url: URL, random: Random): Buffer {
  const head = [
    `GET ${url.pathname} HTTP/1.1`,
    `Host: ${url.host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${random.bytes(16).toString('base64')}`,
    'Sec-WebSocket-Protocol: mqtt',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n`);
}

function webSocketWire(below: FuzzWire, random: Random): FuzzWire {
  let changed: Tampering | undefined;
  const send = (opcode: number, payload: Buffer, isLast: boolean): void => {
    const frame = clientFrame(opcode, payload, isLast, random);
    if (random.chance(TAMPER_RATE)) {
      changed = FRAME_CHANGED;
      const at = random.below(Math.min(frame.length, 8));
      frame[at] = (frame[at] as number) ^ (1 << random.below(8));
    }
    below.write(frame);
  };
  return {
    get tampered() {
      return changed ?? below.tampered;
    },
    write: (bytes) => {
      const isCut = bytes.length > 1 && random.chance(FRAGMENT_RATE);
      const cut = isCut ? 1 + random.below(bytes.length - 1) : bytes.length;
      send(0x2, bytes.subarray(0, cut), cut === bytes.length);
      if (random.chance(CONTROL_RATE)) send(random.chance(0.5) ? 0x9 : 0xa, random.bytes(random.below(10)), true);
      if (cut < bytes.length) send(0x0, bytes.subarray(cut), true);
    },
    end: () => {
      send(0x8, Buffer.of(0x03, 0xe8), true);
      // The close frame may have become the contents of a frame whose length is wrong.
      if (changed !== undefined || below.tampered !== undefined) below.end();
    },
    reset: () => below.reset(),
  };
}
