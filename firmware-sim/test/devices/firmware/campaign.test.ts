import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeChunk, decodeManifest, encodeRequest, type Manifest } from '../../../src/devices/firmware/manifest.ts';
import type { FirmwareCampaign } from '../../../src/scenario/scenario.ts';
import { connection, operatorClass, run, scene, type Scene } from '../scene.ts';

const firmware: FirmwareCampaign = {
  channel: 'stable',
  sizeBytes: 1000,
  chunkBytes: 64,
  releasesAtSeconds: [10, 100],
  badReleases: [1],
  qos: 1,
};
const base = 'p/firmware/stable';

function up(more: Partial<FirmwareCampaign> = {}, seed = 1): Scene {
  const made = scene(operatorClass({ firmware: { ...firmware, ...more } }), { seed });
  made.device.start();
  made.agent.up();
  return made;
}

function manifestOf(made: Scene): Manifest {
  const [announced] = made.agent.take();
  expect(announced?.topicName).toBe(`${base}/manifest`);
  return decodeManifest(announced?.payload as Buffer) as Manifest;
}

function ask({ agent }: Scene, device: string, from: number, count: number, version = 2): void {
  agent.receive(`${base}/request`, encodeRequest({ device, version, from, count }).bytes);
}

describe('a campaign', () => {
  it('announces its releases, retained, when they are planned', () => {
    const made = up({ qos: 2 });
    run(made, 9990);
    expect(made.agent.published).toEqual([]);
    run(made, 20);
    expect(made.agent.published[0]?.options).toMatchObject({ qos: 2, retain: true });
    expect(manifestOf(made)).toMatchObject({ version: 2, sizeBytes: 1000, chunkBytes: 64, chunks: 16 });
    run(made, 90_000);
    expect(manifestOf(made).version).toBe(3);
    run(made, 200_000, 1000);
    expect(made.agent.take()).toEqual([]);
  });

  it('serves an image that is what the manifest says, and one that is not where the release is bad', () => {
    const made = up();
    for (const version of [2, 3]) {
      run(made, version === 2 ? 10_000 : 90_000);
      const manifest = manifestOf(made);
      ask(made, 'd-1', 0, 64, version);
      run(made, 100);
      const chunks = made.agent.take().map(({ payload }) => decodeChunk(payload)?.data as Buffer);
      expect(chunks.map(({ length }) => length)).toEqual([...Array.from({ length: 15 }, () => 64), 40]);
      const sha256 = createHash('sha256').update(Buffer.concat(chunks)).digest('hex');
      expect(sha256 === manifest.sha256).toBe(version === 2);
    }
  });

  it('makes the same image from the same seed, and another from another', () => {
    const images = [1, 1, 2].map((seed) => {
      const made = up({}, seed);
      run(made, 10_000);
      return manifestOf(made).sha256;
    });
    expect(images[0]).toBe(images[1]);
    expect(images[0]).not.toBe(images[2]);
  });

  it('serves many devices in turns, a window at a time', () => {
    const made = up();
    run(made, 10_000);
    made.agent.take();
    for (const device of ['a', 'b', 'c']) ask(made, device, 0, 4);
    expect(made.agent.published).toHaveLength(connection.window);
    expect(made.device.pending).toBeGreaterThan(connection.window);
    run(made, 100);
    const topics = made.agent.take().map(({ topicName }) => topicName.replace(`${base}/chunk/`, ''));
    expect(topics).toHaveLength(12);
    // The first fills the window before the others have asked.
    expect(topics.slice(4, 8)).toEqual(['b/2/0', 'c/2/0', 'b/2/1', 'c/2/1']);
    expect(new Set(topics).size).toBe(12);
    expect(made.device.pending).toBe(0);
  });

  it('sends a chunk once that was asked for twice before its turn came', () => {
    const made = up();
    run(made, 10_000);
    made.agent.take();
    ask(made, 'a', 0, 4);
    for (let times = 0; times < 10; times++) ask(made, 'b', 0, 10);
    run(made, 200);
    expect(made.agent.take()).toHaveLength(14);
  });

  it('does not hear what asks for another version, for chunks that are none, or before the first release', () => {
    const made = up();
    ask(made, 'a', 0, 4);
    run(made, 10_000);
    made.agent.take();
    ask(made, 'a', 0, 4, 3);
    ask(made, 'a', 16, 4);
    made.agent.receive(`${base}/request`, Buffer.from('?'));
    made.agent.receive(`${base}/progress/a`, { percent: 50 });
    run(made, 100);
    expect(made.agent.take()).toEqual([]);
    expect(made.device.pending).toBe(0);
  });

  it('has no end of queue for one device', () => {
    const made = up({ sizeBytes: 64_000, chunkBytes: 64 });
    run(made, 10_000);
    made.agent.take();
    made.agent.down();
    for (let from = 0; from < 1000; from += 50) ask(made, 'a', from, 50);
    made.agent.up();
    run(made, 10_000);
    expect(made.agent.take()).toHaveLength(256);
  });

  it('keeps a chunk that the agent does not take, and at QoS 0 sends a window each millisecond', () => {
    const made = up({ qos: 0 });
    run(made, 10_000);
    made.agent.take();
    made.agent.isTaking = false;
    ask(made, 'a', 0, 16);
    made.agent.isTaking = true;
    made.timers.advance(3);
    expect(made.agent.published).toHaveLength(12);
    made.timers.advance(10);
    expect(new Set(made.agent.take().map(({ topicName }) => topicName)).size).toBe(16);
  });

  it('forgets who waited for a version when the next one is announced', () => {
    const made = up();
    run(made, 99_990);
    made.agent.down();
    ask(made, 'a', 0, 4);
    made.timers.advance(20);
    made.agent.take();
    made.agent.up();
    run(made, 100);
    expect(made.agent.take()).toEqual([]);
  });

  it('announces nothing new in the drain, and serves on', () => {
    const made = up();
    run(made, 10_000);
    made.agent.take();
    made.device.drain();
    run(made, 200_000, 1000);
    expect(made.agent.take()).toEqual([]);
    ask(made, 'a', 0, 4);
    expect(made.agent.take()).toHaveLength(4);
  });
});
