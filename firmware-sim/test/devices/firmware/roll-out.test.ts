import { describe, expect, it } from 'vitest';
import { Metrics } from '../../../src/agent/metrics.ts';
import { createDevice } from '../../../src/devices/create-device.ts';
import type { Device, DeviceContext, DeviceNote } from '../../../src/devices/device.ts';
import { decodeChunk, decodeRequest } from '../../../src/devices/firmware/manifest.ts';
import { Random } from '../../../src/lib/random.ts';
import type { DeviceClass, Life } from '../../../src/scenario/scenario.ts';
import { FakeTimers } from '../../fakes/fake-timers.ts';
import { operatorClass, peersOf, quietLife, sensorClass } from '../scene.ts';
import { Bus, type BusAgent, type BusOptions } from './bus.ts';

const chunks = 75;
const lastVersion = 4;

interface RollOut {
  readonly timers: FakeTimers;
  readonly bus: Bus;
  readonly devices: readonly Device[];
  readonly notes: Map<string, DeviceNote[]>;
  /** Intact chunks that were delivered although they were there. */
  repeated: number;
  /** Requests for chunks that were there. */
  needless: number;
  /** The most the operator had under way at once. */
  operatorPeak: number;
}

/** An operator and devices with different lives, and releases of versions 2, 3 (bad) and 4. */
function rollOut(seed: number, options: BusOptions & { readonly devices: number; readonly qos: 0 | 1 }): RollOut {
  const timers = new FakeTimers();
  const random = new Random(seed);
  const bus = new Bus(timers, random.fork('bus'), options);
  const firmware = {
    channel: 'stable',
    sizeBytes: chunks * 64 - 10,
    chunkBytes: 64,
    releasesAtSeconds: [5, 2000, 4000],
    badReleases: [1],
    qos: options.qos,
  };
  const made: RollOut = { timers, bus, devices: [], notes: new Map(), repeated: 0, needless: 0, operatorPeak: 0 };
  const lives: Partial<Life>[] = [
    {},
    { crash: { everySeconds: 20, downSeconds: 5 } },
    { sleep: { awakeSeconds: 10, asleepSeconds: 20 } },
    { sleep: { awakeSeconds: 15, asleepSeconds: 5 }, crash: { everySeconds: 30, downSeconds: 1 } },
  ];
  const add = (deviceClass: DeviceClass, name: string, session: 'clean' | 'persistent'): [Device, BusAgent] => {
    const agents: BusAgent[] = [];
    const notes: DeviceNote[] = [];
    made.notes.set(name, notes);
    const context: DeviceContext = {
      timers,
      random: random.fork(name),
      name,
      index: 0,
      topicPrefix: 'p',
      peers: peersOf([]),
      metrics: () => new Metrics(),
      agent: (handler) => {
        agents.push(bus.agent(handler, session, name));
        return agents[0] as BusAgent;
      },
      note: (kind) => notes.push(kind),
    };
    return [createDevice(deviceClass, context), agents[0] as BusAgent];
  };
  const [operator, office] = add(operatorClass({ firmware }), 'office', 'persistent');
  office.onPublish = () => {
    made.operatorPeak = Math.max(made.operatorPeak, office.pending);
  };
  const devices = [operator];
  for (let index = 0; index < options.devices; index++) {
    const life = { ...quietLife, ...lives[index % lives.length], firmware: { channel: 'stable', rebootSeconds: 2 } };
    const session = index % 3 === 0 ? 'clean' : 'persistent';
    const [device, agent] = add(sensorClass({ telemetry: [], life }), `d-${index}`, session);
    watch(agent, made);
    devices.push(device);
  }
  for (const device of devices) device.start();
  return Object.assign(made, { devices });
}

/** Keeps account of the chunks one device has, by what the bus delivers to it. */
function watch(agent: BusAgent, made: RollOut): void {
  const there = new Set<string>();
  agent.onDelivery = (topicName, payload) => {
    const chunk = topicName.includes('/chunk/') ? decodeChunk(payload) : undefined;
    if (chunk === undefined) return;
    const key = `${chunk.version} ${chunk.index}`;
    if (there.has(key)) made.repeated++;
    there.add(key);
  };
  agent.onPublish = (topicName, payload) => {
    const request = topicName.endsWith('/request') ? decodeRequest(payload) : undefined;
    if (request === undefined) return;
    for (let index = request.from; index < request.from + request.count; index++) {
      if (there.has(`${request.version} ${index}`)) made.needless++;
    }
  };
}

function count(notes: readonly DeviceNote[], kind: DeviceNote): number {
  return notes.filter((note) => note === kind).length;
}

function expectAllDone({ devices, notes }: RollOut): void {
  expect(devices.map(({ pending }) => pending)).toEqual(devices.map(() => 0));
  for (const [name, told] of notes) {
    if (name === 'office') continue;
    expect([name, count(told, 'updated'), count(told, 'rolled-back')]).toEqual([name, 2, 1]);
  }
}

describe('a roll-out', () => {
  it('brings every device to the last good version, and each bad release is rolled back once, whatever is cut', () => {
    let resumed = 0;
    for (let seed = 0; seed < 25; seed++) {
      const made = rollOut(seed, {
        devices: 8,
        latencyMs: 50,
        cutEverySeconds: 15,
        damaged: 0,
        qos: seed % 2 === 0 ? 1 : 0,
      });
      made.timers.advance(6_000_000);
      made.bus.calm();
      for (const device of made.devices) device.drain();
      made.timers.advance(600_000);
      expectAllDone(made);
      expect(made.needless).toBe(0);
      expect(made.operatorPeak).toBeLessThanOrEqual(4 + lastVersion);
      for (const notes of made.notes.values()) resumed += count(notes, 'update-resumed');
    }
    expect(resumed).toBeGreaterThan(100);
  });

  it('does so where payloads are damaged on the way too', () => {
    for (let seed = 100; seed < 110; seed++) {
      const made = rollOut(seed, { devices: 4, latencyMs: 20, cutEverySeconds: 60, damaged: 0.03, qos: 1 });
      made.timers.advance(6_000_000);
      made.bus.calm();
      for (const device of made.devices) device.drain();
      made.timers.advance(600_000);
      expectAllDone(made);
      expect(made.needless).toBe(0);
    }
  });

  it('serves 500 devices that ask at once, without repeating itself', () => {
    const made = rollOut(7, { devices: 500, latencyMs: 1, cutEverySeconds: 0, damaged: 0, qos: 1 });
    let pendingPeak = 0;
    for (let second = 0; second < 1000; second++) {
      made.timers.advance(1000);
      pendingPeak = Math.max(pendingPeak, made.devices[0]?.pending ?? 0);
    }
    for (const [name, notes] of made.notes) if (name !== 'office') expect(count(notes, 'updated')).toBe(1);
    expect(made.operatorPeak).toBeLessThanOrEqual(4);
    expect(pendingPeak).toBeGreaterThan(100);
    expect(made.needless).toBe(0);
    expect(made.repeated / (500 * chunks)).toBeLessThan(0.05);
  });
});
