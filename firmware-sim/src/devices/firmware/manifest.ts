import { crc32 } from 'node:zlib';
import { binaryPayload, jsonPayload, type StampedPayload, stampLength } from '../../checker/stamp.ts';
import { readJsonObject } from '../json-object.ts';

/** What a retained manifest says of a firmware image. */
export interface Manifest {
  /** 1 or more. */
  readonly version: number;
  readonly sizeBytes: number;
  readonly chunkBytes: number;
  /** Number of chunks; the last one may be shorter. */
  readonly chunks: number;
  /** Of the whole image, hexadecimal. */
  readonly sha256: string;
}

/** A device asks for `count` chunks from number `from` on. */
export interface ChunkRequest {
  readonly device: string;
  readonly version: number;
  readonly from: number;
  readonly count: number;
}

/** Largest image a device has room for, bytes. */
const imageMax = 2 ** 30;
/** Most chunks that one request asks for. */
const requestMax = 64;

/** The topics of one channel. */
export class FirmwareTopics {
  readonly #base: string;

  constructor(prefix: string, channel: string) {
    this.#base = `${prefix}/firmware/${channel}`;
  }

  get manifest(): string {
    return `${this.#base}/manifest`;
  }

  get request(): string {
    return `${this.#base}/request`;
  }

  get anyProgress(): string {
    return `${this.#base}/progress/+`;
  }

  progress(device: string): string {
    return `${this.#base}/progress/${device}`;
  }

  /** Filter for all chunks that are sent to a device. */
  chunksOf(device: string): string {
    return `${this.#base}/chunk/${device}/#`;
  }

  chunk(device: string, version: number, index: number): string {
    return `${this.#base}/chunk/${device}/${version}/${index}`;
  }
}

/** A manifest as it is published. */
export function encodeManifest(manifest: Manifest): StampedPayload {
  return jsonPayload({ ...manifest });
}

/** Undefined for what is no manifest. */
export function decodeManifest(payload: Buffer): Manifest | undefined {
  const value = readJsonObject(payload);
  if (value === undefined) return undefined;
  const { version, sizeBytes, chunkBytes, chunks, sha256 } = value;
  if (!isInteger(version, 1, 2 ** 31) || !isInteger(sizeBytes, 1, imageMax)) return undefined;
  if (!isInteger(chunkBytes, 1, imageMax) || chunks !== Math.ceil(sizeBytes / chunkBytes)) return undefined;
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) return undefined;
  return { version, sizeBytes, chunkBytes, chunks, sha256 };
}

/** What a device may be called: it becomes a level of a topic name. */
const topicLevel = /^[^+#/\0]{1,200}$/;

/** A request as it is published. */
export function encodeRequest(request: ChunkRequest): StampedPayload {
  return jsonPayload({ ...request });
}

/** Undefined for what is no request. */
export function decodeRequest(payload: Buffer): ChunkRequest | undefined {
  const value = readJsonObject(payload);
  if (value === undefined) return undefined;
  const { device, version, from, count } = value;
  if (typeof device !== 'string' || !topicLevel.test(device) || !isInteger(version, 1, 2 ** 31)) return undefined;
  if (!isInteger(from, 0, imageMax) || !isInteger(count, 1, requestMax)) return undefined;
  return { device, version, from, count };
}

/** A part of an image, as a device got it; `data` is only valid as long as the payload it came in. */
export interface Chunk {
  readonly version: number;
  readonly index: number;
  readonly data: Buffer;
}

/** Version, index and CRC-32 of these two and the data, 4 bytes each, big-endian; then the data, and the stamp. */
const chunkHeadBytes = 12;

/** A chunk as it is published. */
export function encodeChunk({ version, index, data }: Chunk): StampedPayload {
  const body = Buffer.allocUnsafe(chunkHeadBytes + data.length);
  body.writeUInt32BE(version, 0);
  body.writeUInt32BE(index, 4);
  body.writeUInt32BE(chunkCrc(body, data), 8);
  body.set(data, chunkHeadBytes);
  return binaryPayload(body);
}

/** Undefined for what is no chunk, or a damaged one. */
export function decodeChunk(payload: Buffer): Chunk | undefined {
  if (payload.length < chunkHeadBytes + stampLength) return undefined;
  const data = payload.subarray(chunkHeadBytes, payload.length - stampLength);
  if (payload.readUInt32BE(8) !== chunkCrc(payload, data)) return undefined;
  return { version: payload.readUInt32BE(0), index: payload.readUInt32BE(4), data };
}

function chunkCrc(chunk: Buffer, data: Buffer): number {
  return crc32(data, crc32(chunk.subarray(0, 8)));
}

function isInteger(value: unknown, low: number, high: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high;
}
