import type { Random } from '../fakes/random.ts';

const HEAD_END = '\r\n\r\n';

/** A frame from a client, RFC 6455 section 5.2: masked. */
export function clientFrame(opcode: number, payload: Buffer, isLast: boolean, random: Random): Buffer {
  const { length } = payload;
  const first = (isLast ? 0x80 : 0) | opcode;
  const mask = random.bytes(4);
  const masked = Buffer.from(payload);
  for (let at = 0; at < length; at++) masked[at] = (masked[at] as number) ^ (mask[at & 3] as number);
  return Buffer.concat([Buffer.of(first, ...lengthBytes(length)), mask, masked]);
}

function lengthBytes(length: number): number[] {
  if (length < 126) return [0x80 | length];
  if (length < 65_536) return [0xfe, length >> 8, length & 0xff];
  return [0xff, 0, 0, 0, 0, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff];
}

/** Takes apart what a server sends: the answer to the upgrade, then frames. */
export class ServerFrames {
  /** Resolves when the upgrade was answered. */
  readonly upgraded: Promise<void>;
  readonly #onPayload: (payload: Buffer) => void;
  #onUpgrade: () => void = () => undefined;
  #isUpgraded = false;
  #bytes: Buffer = Buffer.alloc(0);

  /** @param onPayload takes the contents of each binary frame. */
  constructor(onPayload: (payload: Buffer) => void) {
    this.#onPayload = onPayload;
    this.upgraded = new Promise((resolve) => {
      this.#onUpgrade = resolve;
    });
  }

  /** Takes bytes in. @returns `closing` where a close frame was among them. */
  push(chunk: Buffer): 'open' | 'closing' {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!this.#isUpgraded) {
      const end = this.#bytes.indexOf(HEAD_END);
      if (end === -1) return 'open';
      this.#bytes = this.#bytes.subarray(end + HEAD_END.length);
      this.#isUpgraded = true;
      this.#onUpgrade();
    }
    for (;;) {
      const frame = firstFrame(this.#bytes);
      if (frame === undefined) return 'open';
      this.#bytes = this.#bytes.subarray(frame.end);
      if (frame.opcode === 0x8) return 'closing';
      if (frame.opcode === 0x2) this.#onPayload(Buffer.from(frame.payload));
    }
  }
}

/** The first whole frame of a server, which does not mask. */
function firstFrame(bytes: Buffer): { opcode: number; payload: Buffer; end: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] as number) & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return undefined;
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : bytes.readUInt32BE(6);
  const end = start + length;
  if (bytes.length < end) return undefined;
  return { opcode: (bytes[0] as number) & 0x0f, payload: bytes.subarray(start, end), end };
}
