import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Download } from '../../../src/devices/firmware/download.ts';
import { Random } from '../../../src/lib/random.ts';

const image = Buffer.from(Array.from({ length: 1000 }, (_, at) => at % 251));
const sha256 = createHash('sha256').update(image).digest('hex');
const manifest = { version: 2, sizeBytes: 1000, chunkBytes: 64, chunks: 16, sha256 };

function chunk(index: number): { version: number; index: number; data: Buffer } {
  return { version: 2, index, data: image.subarray(index * 64, (index + 1) * 64) };
}

describe('a download', () => {
  it('is right in whatever order the chunks come, and however often', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new Random(seed);
      const download = new Download(manifest);
      let taken = 0;
      while (!download.isComplete) {
        const index = random.below(16);
        const isMissing = download.gaps(16).some(({ from, count }) => index >= from && index < from + count);
        expect(download.add(chunk(index), 16)).toBe(isMissing);
        if (isMissing) taken++;
        expect(download.received).toBe(taken);
      }
      expect(taken).toBe(16);
      expect(download.isRight()).toBe(true);
    }
  });

  it('copies what came ahead: the payload is gone when the message is', () => {
    const download = new Download(manifest);
    for (let index = 15; index >= 0; index--) {
      const data = Buffer.from(chunk(index).data);
      download.add({ version: 2, index, data }, 16);
      data.fill(0);
    }
    expect(download.isRight()).toBe(true);
  });

  it('is wrong with one byte wrong', () => {
    const download = new Download(manifest);
    for (let index = 0; index < 16; index++) {
      const data = Buffer.from(chunk(index).data);
      if (index === 9) data[63] = (data[63] as number) ^ 0x80;
      download.add({ version: 2, index, data }, 16);
    }
    expect(download.isComplete).toBe(true);
    expect(download.isRight()).toBe(false);
  });

  it('takes no chunks of another version, beyond the limit, or of another length', () => {
    const download = new Download(manifest);
    expect(download.add({ ...chunk(0), version: 3 }, 16)).toBe(false);
    expect(download.add(chunk(4), 4)).toBe(false);
    expect(download.add({ ...chunk(0), data: image.subarray(0, 63) }, 16)).toBe(false);
    expect(download.add({ ...chunk(15), data: image.subarray(0, 64) }, 16)).toBe(false); // the last one has 40
    expect(download.add(chunk(15), 16)).toBe(true);
    expect(download.received).toBe(1);
  });

  it('names its gaps', () => {
    const download = new Download(manifest);
    for (const index of [0, 1, 4, 5, 7]) download.add(chunk(index), 16);
    expect(download.next).toBe(2);
    expect(download.gaps(10)).toEqual([
      { from: 2, count: 2 },
      { from: 6, count: 1 },
      { from: 8, count: 2 },
    ]);
    expect(download.gaps(8)).toHaveLength(2);
    expect(download.gaps(0)).toEqual([]);
  });
});
