import { describe, expect, it } from 'vitest';
import { stampLength } from '../../../src/checker/stamp.ts';
import {
  decodeChunk,
  decodeManifest,
  decodeRequest,
  encodeChunk,
  encodeManifest,
  encodeRequest,
  FirmwareTopics,
} from '../../../src/devices/firmware/manifest.ts';

const manifest = { version: 2, sizeBytes: 1000, chunkBytes: 300, chunks: 4, sha256: 'ab'.repeat(32) };
const request = { device: 'd-1', version: 2, from: 0, count: 32 };

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

describe('manifests', () => {
  it('arrive as they were sent', () => {
    expect(decodeManifest(encodeManifest(manifest).bytes)).toEqual(manifest);
  });

  it.each([
    ['a version of 0', { version: 0 }],
    ['a version that is no integer', { version: 1.5 }],
    ['an image of no bytes', { sizeBytes: 0 }],
    ['an image larger than any memory', { sizeBytes: 2 ** 31, chunkBytes: 2 ** 30, chunks: 2 }],
    ['chunks of no bytes', { chunkBytes: 0 }],
    ['a wrong number of chunks', { chunks: 3 }],
    ['a checksum that is none', { sha256: 'AB'.repeat(32) }],
    ['no checksum', { sha256: undefined }],
  ])('are none with %s', (_what, wrong) => {
    expect(decodeManifest(json({ ...manifest, ...wrong }))).toBeUndefined();
  });

  it('are none in what is no JSON object', () => {
    for (const text of ['', 'null', '[]', '1', '{', ' '.repeat(100_000)]) {
      expect(decodeManifest(Buffer.from(text))).toBeUndefined();
    }
  });
});

describe('requests', () => {
  it('arrive as they were sent', () => {
    expect(decodeRequest(encodeRequest(request).bytes)).toEqual(request);
  });

  it.each([
    ['more chunks than may be asked for', { count: 65 }],
    ['no chunks', { count: 0 }],
    ['a negative number', { from: -1 }],
    ['a device that is no topic level', { device: 'a/b' }],
    ['a device with a wildcard', { device: '#' }],
    ['a device without a name', { device: '' }],
    ['a device that is no text', { device: 7 }],
  ])('are none with %s', (_what, wrong) => {
    expect(decodeRequest(json({ ...request, ...wrong }))).toBeUndefined();
  });
});

describe('chunks', () => {
  const data = Buffer.from('firmware');

  it('arrive as they were sent, the stamp behind them', () => {
    const { bytes, stampAt } = encodeChunk({ version: 3, index: 70_000, data });
    expect(stampAt).toBe(bytes.length - stampLength);
    expect(decodeChunk(bytes)).toEqual({ version: 3, index: 70_000, data });
  });

  it('are none with any bit of them wrong, or cut', () => {
    const { bytes } = encodeChunk({ version: 3, index: 1, data });
    for (let at = 0; at < 12 + data.length; at++) {
      const wrong = Buffer.from(bytes);
      wrong[at] = (wrong[at] as number) ^ 1;
      expect(decodeChunk(wrong)).toBeUndefined();
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeChunk(bytes.subarray(0, length))).toBeUndefined();
    }
  });
});

describe('firmware topics', () => {
  it('are these', () => {
    const topics = new FirmwareTopics('sim', 'stable');
    expect(topics.manifest).toBe('sim/firmware/stable/manifest');
    expect(topics.request).toBe('sim/firmware/stable/request');
    expect(topics.chunk('d-1', 2, 17)).toBe('sim/firmware/stable/chunk/d-1/2/17');
    expect(topics.chunksOf('d-1')).toBe('sim/firmware/stable/chunk/d-1/#');
    expect(topics.progress('d-1')).toBe('sim/firmware/stable/progress/d-1');
    expect(topics.anyProgress).toBe('sim/firmware/stable/progress/+');
  });
});
