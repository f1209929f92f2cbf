import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type ChunkRequest, encodeChunk, type Manifest } from '../../../src/devices/firmware/manifest.ts';
import type { Life } from '../../../src/scenario/scenario.ts';
import { quietLife, scene, type Scene, sensorClass } from '../scene.ts';

const chunkBytes = 100;
const life: Life = {
  ...quietLife,
  birthTopic: '{prefix}/{device}/state',
  firmware: { channel: 'stable', rebootSeconds: 3 },
};
const base = 'p/firmware/stable';

interface Release {
  readonly manifest: Manifest;
  readonly image: Buffer;
}

function release(version: number, chunks: number, isGood = true): Release {
  const image = Buffer.alloc(chunks * chunkBytes - 1, version);
  const sha256 = createHash('sha256')
    .update(isGood ? image : `bad ${version}`)
    .digest('hex');
  return { image, manifest: { version, sizeBytes: image.length, chunkBytes, chunks, sha256 } };
}

function up(more: Partial<Life> = {}): Scene {
  const made = scene(sensorClass({ telemetry: [], life: { ...life, ...more } }));
  made.device.start();
  made.agent.up();
  settle(made);
  return made;
}

function settle({ agent }: Scene): void {
  agent.acknowledge();
  agent.take();
}

function announce({ agent }: Scene, { manifest }: Release): void {
  agent.receive(`${base}/manifest`, manifest);
}

/** Requests of the device since the last look. */
function requests({ agent }: Scene): ChunkRequest[] {
  const taken = agent.takeJson().filter(([topicName]) => topicName === `${base}/request`);
  agent.acknowledge();
  return taken.map(([, value]) => value as unknown as ChunkRequest);
}

function progress({ agent }: Scene): string[] {
  const taken = agent.takeJson().filter(([topicName]) => topicName === `${base}/progress/things-0`);
  agent.acknowledge();
  return taken.map(([, { state, percent }]) => `${String(state)} ${String(percent)}`);
}

function send({ agent, device }: Scene, { manifest, image }: Release, index: number): void {
  const { version } = manifest;
  const data = image.subarray(index * chunkBytes, (index + 1) * chunkBytes);
  agent.receive(`${base}/chunk/${device.name}/${version}/${index}`, encodeChunk({ version, index, data }).bytes);
}

/** Answers everything that is asked for until nothing more is. */
function serve(made: Scene, current: Release): void {
  for (let asked = requests(made); asked.length > 0; asked = requests(made)) {
    for (const { from, count } of asked) {
      for (let index = from; index < from + count; index++) send(made, current, index);
    }
  }
}

/** The reboot into the new version. */
function reboot(made: Scene): void {
  while (made.agent.state === 'up') made.timers.advance(20);
  made.timers.advance(3000);
  made.agent.up(true);
}

describe('an update', () => {
  it('asks for chunks in a window that moves on', () => {
    const made = up();
    announce(made, release(2, 100));
    expect(requests(made)).toEqual([{ device: 'things-0', version: 2, from: 0, count: 32 }]);
    for (let index = 0; index < 15; index++) send(made, release(2, 100), index);
    expect(requests(made)).toEqual([]);
    send(made, release(2, 100), 15);
    expect(requests(made)).toEqual([{ device: 'things-0', version: 2, from: 32, count: 16 }]);
  });

  it('reboots into the new version, which its birth tells, and says so', () => {
    const made = up();
    announce(made, release(2, 50));
    expect(made.device.pending).toBeGreaterThan(0);
    serve(made, release(2, 50));
    expect(made.device.pending).toBeGreaterThan(0);
    reboot(made);
    expect(made.agent.calls).toEqual(['start', 'sleep', 'start']);
    expect(made.agent.takeJson()).toEqual([
      ['p/things-0/state', { device: 'things-0', state: 'online', firmware: 2 }],
      [`${base}/progress/things-0`, { device: 'things-0', version: 2, state: 'updated', percent: 100 }],
    ]);
    expect(made.noted('updated')).toBe(1);
    made.agent.acknowledge();
    expect(made.device.pending).toBe(0);
  });

  it('is without a connection for the time of the reboot', () => {
    const made = up();
    announce(made, release(2, 1));
    serve(made, release(2, 1));
    while (made.agent.state === 'up') made.timers.advance(20);
    made.timers.advance(2990);
    expect(made.agent.state).toBe('off');
    made.timers.advance(20);
    expect(made.agent.state).toBe('connecting');
  });

  it('reports its progress in quarters', () => {
    const made = up();
    const current = release(2, 8);
    announce(made, current);
    expect(progress(made)).toEqual(['downloading 0']);
    for (let index = 0; index < 7; index++) send(made, current, index);
    expect(progress(made)).toEqual(['downloading 25', 'downloading 50', 'downloading 75']);
    send(made, current, 7);
    const [done, ...rest] = progress(made);
    expect(done).toBe('downloading 100');
    expect(rest[0]).toBe('rebooting 100');
  });

  it('rolls back an image that is not what its manifest says, says so, and does not try it again', () => {
    const made = up();
    const bad = release(2, 10, false);
    announce(made, bad);
    serve(made, bad);
    expect(made.noted('rolled-back')).toBe(1);
    expect(made.agent.state).toBe('up');
    expect(made.device.pending).toBe(0);
    announce(made, bad);
    made.agent.down();
    made.agent.up();
    announce(made, bad);
    expect(requests(made)).toEqual([]);
    made.timers.advance(200_000);
    expect(requests(made)).toEqual([]);
    announce(made, release(3, 10));
    serve(made, release(3, 10));
    reboot(made);
    expect(made.noted('updated')).toBe(1);
    expect(made.agent.takeJson()[0]?.[1]).toMatchObject({ firmware: 3 });
  });

  it('reports what it rolled back', () => {
    const made = up();
    const bad = release(2, 1, false);
    announce(made, bad);
    settle(made);
    send(made, bad, 0);
    expect(progress(made)).toEqual(['downloading 100', 'rolled-back 100']);
  });

  it('does nothing for the version it runs', () => {
    const made = up();
    announce(made, release(1, 10));
    expect(requests(made)).toEqual([]);
    expect(made.device.pending).toBe(0);
  });

  it('turns to a newer version in the middle of another', () => {
    const made = up();
    announce(made, release(2, 40));
    settle(made);
    for (let index = 0; index < 10; index++) send(made, release(2, 40), index);
    announce(made, release(3, 20));
    send(made, release(2, 40), 10);
    serve(made, release(3, 20));
    reboot(made);
    expect(made.agent.takeJson()[0]?.[1]).toMatchObject({ firmware: 3 });
  });

  it('gives up a version when the channel goes back to the one it runs', () => {
    const made = up();
    announce(made, release(2, 40));
    settle(made);
    announce(made, release(1, 40));
    expect(made.device.pending).toBe(0);
    made.timers.advance(100_000);
    expect(requests(made)).toEqual([]);
  });

  it('takes no notice of what is no manifest, and of chunks of nothing', () => {
    const made = up();
    made.agent.receive(`${base}/manifest`, Buffer.alloc(0));
    made.agent.receive(`${base}/manifest`, { version: 2 });
    send(made, release(2, 4), 0);
    expect(requests(made)).toEqual([]);
  });
});

describe('an update that is disturbed', () => {
  it('asks again for what is missing when nothing comes, more and more patiently', () => {
    const made = up();
    announce(made, release(2, 20));
    settle(made);
    for (const index of [0, 1, 3, 7]) send(made, release(2, 20), index);
    settle(made);
    const gaps = [
      { from: 2, count: 1 },
      { from: 4, count: 3 },
      { from: 8, count: 12 },
    ].map((gap) => ({ device: 'things-0', version: 2, ...gap }));
    made.timers.advance(4999);
    expect(requests(made)).toEqual([]);
    made.timers.advance(1001);
    expect(requests(made)).toEqual(gaps);
    made.timers.advance(9000);
    expect(requests(made)).toEqual([]);
    made.timers.advance(3000);
    expect(requests(made)).toEqual(gaps);
    made.timers.advance(600_000);
    expect(requests(made).length / gaps.length).toBeLessThan(13);
    serve(made, release(2, 20));
  });

  it('is patient again as soon as something comes', () => {
    const made = up();
    announce(made, release(2, 20));
    made.timers.advance(100_000);
    settle(made);
    send(made, release(2, 20), 0);
    made.timers.advance(6100);
    expect(requests(made)).toEqual([{ device: 'things-0', version: 2, from: 1, count: 19 }]);
  });

  it('asks at once for what is missing after a cut without a session', () => {
    const made = up();
    announce(made, release(2, 20));
    for (const index of [0, 2]) send(made, release(2, 20), index);
    settle(made);
    made.agent.down();
    made.timers.advance(100_000);
    expect(requests(made)).toEqual([]);
    made.agent.up(false);
    expect(made.noted('update-resumed')).toBe(1);
    expect(requests(made)).toEqual([
      { device: 'things-0', version: 2, from: 1, count: 1 },
      { device: 'things-0', version: 2, from: 3, count: 17 },
    ]);
    announce(made, release(2, 20)); // retained, with the new subscription
    expect(requests(made)).toEqual([]);
  });

  it('waits for what the session holds after a cut with one, and asks if nothing comes', () => {
    const made = up();
    announce(made, release(2, 20));
    settle(made);
    made.agent.down();
    made.timers.advance(100_000);
    made.agent.up(true);
    expect(requests(made)).toEqual([]);
    for (let index = 0; index < 19; index++) send(made, release(2, 20), index);
    expect(requests(made)).toEqual([]);
    made.timers.advance(6100);
    expect(requests(made)).toEqual([{ device: 'things-0', version: 2, from: 19, count: 1 }]);
  });

  it('asks at once when a version is announced again that nobody served', () => {
    const made = up();
    announce(made, release(2, 20));
    made.timers.advance(200_000);
    settle(made);
    announce(made, release(2, 20));
    expect(requests(made)).toHaveLength(1);
  });

  it('outlives a crash, as flash memory does', () => {
    const made = up({ crash: { everySeconds: 50, downSeconds: 10 } });
    announce(made, release(2, 20));
    settle(made);
    for (let index = 0; index < 19; index++) send(made, release(2, 20), index);
    while (made.noted('crashed') === 0) made.timers.advance(100);
    made.timers.advance(10_000);
    settle(made);
    made.agent.up(false);
    expect(requests(made)).toEqual([{ device: 'things-0', version: 2, from: 19, count: 1 }]);
    send(made, release(2, 20), 19);
    reboot(made);
    expect(made.noted('updated')).toBe(1);
  });

  it('ignores a chunk with a wrong checksum, and asks for it again', () => {
    const made = up();
    announce(made, release(2, 1));
    settle(made);
    const { bytes } = encodeChunk({ version: 2, index: 0, data: release(2, 1).image });
    bytes[20] = (bytes[20] as number) ^ 4;
    made.agent.receive(`${base}/chunk/things-0/2/0`, bytes);
    made.timers.advance(6100);
    expect(requests(made)).toEqual([{ device: 'things-0', version: 2, from: 0, count: 1 }]);
  });

  it('reboots instead of going to sleep when it is complete just then', () => {
    const made = up({ sleep: { awakeSeconds: 20, asleepSeconds: 1000 } });
    announce(made, release(2, 1));
    made.agent.acknowledge();
    // Says farewell to sleep, and the broker is slow.
    while (made.agent.takeJson().every(([, { state }]) => state !== 'asleep')) made.timers.advance(10);
    send(made, release(2, 1), 0);
    made.timers.advance(5000);
    expect(made.agent.state).toBe('off');
    made.timers.advance(3000);
    expect(made.agent.state).toBe('connecting');
    made.agent.up(true);
    expect(made.noted('updated')).toBe(1);
    expect(made.noted('slept')).toBe(0);
  });

  it('goes on in the drain, to the reboot', () => {
    const made = up();
    announce(made, release(2, 50));
    made.device.drain();
    serve(made, release(2, 50));
    reboot(made);
    expect(made.noted('updated')).toBe(1);
  });

  it('ends with the device', () => {
    const made = up();
    announce(made, release(2, 50));
    made.device.stop();
    settle(made);
    made.timers.advance(1e6);
    expect(requests(made)).toEqual([]);
    expect(made.timers.pending).toBe(0);
  });
});
