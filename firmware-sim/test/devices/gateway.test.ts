import { describe, expect, it } from 'vitest';
import { encodeSparkplug } from '../../src/devices/sparkplug.ts';
import type { GatewayClass, Life } from '../../src/scenario/scenario.ts';
import type { Published } from './fake-agent.ts';
import { metricsOf, seqOf } from './protobuf-reader.ts';
import { quietLife, row, run, scene, type Scene, sensorClass } from './scene.ts';

function gatewayClass(more: Partial<GatewayClass> = {}): GatewayClass {
  const { kind: _, ...base } = sensorClass();
  return {
    ...base,
    kind: 'gateway',
    name: 'gates',
    children: 3,
    telemetry: [{ ...row, topic: '{prefix}/{device}/{child}/t' }],
    ...more,
  };
}

describe('a gateway', () => {
  it('publishes the telemetry of each child to its topic, in its name, at its own phase', () => {
    const { device, agent, timers } = scene(gatewayClass());
    device.start();
    agent.up();
    timers.advance(2000);
    const published = agent.take();
    const values = published.map(({ payload }) => (JSON.parse(payload.toString()) as { device: string }).device);
    expect(values.sort()).toEqual(['gates-0-1', 'gates-0-1', 'gates-0-2', 'gates-0-2', 'gates-0-3', 'gates-0-3']);
    expect(new Set(published.map(({ topicName }) => topicName))).toEqual(
      new Set(['p/gates-0/gates-0-1/t', 'p/gates-0/gates-0-2/t', 'p/gates-0/gates-0-3/t']),
    );
    expect(new Set(published.map(({ options }) => (options.dueAt as number) % 1000)).size).toBe(3);
  });

  it('says for its children that they are online, and offline when it leaves', () => {
    const life: Life = { ...quietLife, birthTopic: '{prefix}/{device}/state', leaveAfterSeconds: 5 };
    const made = scene(gatewayClass({ life, children: 2, telemetry: [] }));
    made.device.start();
    made.agent.up();
    expect(made.agent.published.every(({ options }) => options.retain)).toBe(true);
    expect(made.agent.takeJson()).toEqual([
      ['p/gates-0/state', { device: 'gates-0', state: 'online', firmware: 1 }],
      ['p/gates-0/state/gates-0-1', { device: 'gates-0-1', state: 'online' }],
      ['p/gates-0/state/gates-0-2', { device: 'gates-0-2', state: 'online' }],
    ]);
    run(made, 6000);
    expect(made.agent.takeJson()).toEqual([
      ['p/gates-0/state/gates-0-1', { device: 'gates-0-1', state: 'offline' }],
      ['p/gates-0/state/gates-0-2', { device: 'gates-0-2', state: 'offline' }],
      ['p/gates-0/state', { device: 'gates-0', state: 'offline' }],
    ]);
  });
});

const sparkplug = { groupId: 'g', everySeconds: 1, metrics: 4 };

function node(more: Partial<GatewayClass> = {}): Scene {
  return scene(gatewayClass({ sparkplug, children: 2, telemetry: [], ...more }));
}

function types(published: readonly Published[]): string[] {
  return published.map(({ topicName }) => topicName.replace('spBv1.0/g/', ''));
}

function valueOf(payload: Buffer, name: string): unknown {
  const metric = metricsOf(payload).find((each) => each['name'] === name);
  return metric?.['long'] ?? metric?.['int'] ?? metric?.['boolean'];
}

describe('a Sparkplug gateway', () => {
  it('is born with NBIRTH and DBIRTH of each child before any data', () => {
    const made = node();
    made.device.start();
    made.timers.advance(5000);
    expect(made.agent.take()).toEqual([]);
    made.agent.up();
    made.timers.advance(1000);
    const published = made.agent.take();
    expect(types(published).slice(0, 3)).toEqual([
      'NBIRTH/gates-0',
      'DBIRTH/gates-0/gates-0-1',
      'DBIRTH/gates-0/gates-0-2',
    ]);
    expect(types(published).slice(3).sort()).toEqual(['DDATA/gates-0/gates-0-1', 'DDATA/gates-0/gates-0-2']);
    expect(published.map(({ payload }) => seqOf(payload))).toEqual([0, 1, 2, 3, 4]);
    expect(published.every(({ options }) => options.qos === 0 && !options.retain)).toBe(true);
    expect(valueOf(published[0]?.payload as Buffer, 'Node Control/Rebirth')).toBe(false);
  });

  it('names its metrics at birth, and sends data by alias', () => {
    const made = node();
    made.device.start();
    made.agent.up();
    made.timers.advance(1000);
    const published = made.agent.take();
    const births = published.filter(({ topicName }) => topicName.includes('DBIRTH'));
    const data = published.filter(({ topicName }) => topicName.includes('DDATA'));
    const aliases = new Map<number, unknown>();
    for (const { payload } of births) {
      for (const { alias, name, datatype } of metricsOf(payload)) {
        expect(name).toBeTypeOf('string');
        if (name !== 'sim') aliases.set(alias as number, datatype);
      }
    }
    expect(aliases.size).toBe(8);
    for (const { payload } of data) {
      const metrics = metricsOf(payload);
      expect(metrics.at(-1)?.['name']).toBe('sim');
      for (const { alias, name, datatype } of metrics.slice(0, -1)) {
        expect(name).toBeUndefined();
        expect(aliases.get(alias as number)).toBe(datatype);
      }
    }
  });

  it('has NDEATH as its will, with the bdSeq of its NBIRTH, one more for each connection', () => {
    const made = node({ life: { ...quietLife, crash: { everySeconds: 10, downSeconds: 1 } } });
    made.device.start();
    for (let connection = 0; connection < 300; connection++) {
      expect(made.agent.will).toMatchObject({ topicName: 'spBv1.0/g/NDEATH/gates-0', qos: 1, retain: false });
      const death = made.agent.will?.payload as Buffer;
      expect(seqOf(death)).toBeUndefined();
      expect(valueOf(death, 'bdSeq')).toBe(connection % 256);
      made.agent.up();
      expect(valueOf(made.agent.take()[0]?.payload as Buffer, 'bdSeq')).toBe(connection % 256);
      while (made.agent.state === 'up') made.timers.advance(100);
      while (made.agent.state === 'off') made.timers.advance(100);
      made.agent.take();
    }
  });

  it('counts from 0 to 255 and again, and from 0 at each birth', () => {
    const made = node({ children: 1 });
    made.device.start();
    made.agent.up();
    made.timers.advance(300_000);
    expect(made.agent.take().map(({ payload }) => seqOf(payload))).toEqual(
      Array.from({ length: 302 }, (_, at) => at % 256),
    );
    made.agent.down();
    made.timers.advance(10_000);
    expect(made.agent.take()).toEqual([]);
    made.agent.up(true);
    made.timers.advance(1000);
    expect(made.agent.take().map(({ payload }) => seqOf(payload))).toEqual([0, 1, 2]);
  });

  it('is born again when it is told so, but not without end', () => {
    const made = node({ children: 1 });
    const rebirth = (value: boolean): Buffer =>
      encodeSparkplug({ timestamp: 1, metrics: [{ name: 'Node Control/Rebirth', type: 'Boolean', value }] }).bytes;
    made.device.start();
    expect(made.agent.subscriptions.has('spBv1.0/g/NCMD/gates-0')).toBe(true);
    made.agent.up();
    made.timers.advance(3000);
    made.agent.take();
    made.agent.receive('spBv1.0/g/NCMD/gates-0', rebirth(false));
    made.agent.receive('spBv1.0/g/NCMD/other', rebirth(true));
    expect(made.agent.take()).toEqual([]);
    for (let times = 0; times < 10; times++) made.agent.receive('spBv1.0/g/NCMD/gates-0', rebirth(true));
    const published = made.agent.take();
    expect(types(published)).toEqual(['NBIRTH/gates-0', 'DBIRTH/gates-0/gates-0-1']);
    expect(published.map(({ payload }) => seqOf(payload))).toEqual([0, 1]);
    expect(valueOf(published[0]?.payload as Buffer, 'bdSeq')).toBe(0);
    made.timers.advance(1000);
    made.agent.take();
    made.agent.receive('spBv1.0/g/NCMD/gates-0', rebirth(true));
    expect(made.agent.take()).toHaveLength(2);
  });

  it('tells its death itself before it leaves, and is not born again after it', () => {
    const made = node({ life: { ...quietLife, leaveAfterSeconds: 5 } });
    made.device.start();
    made.agent.up();
    made.timers.advance(5000);
    const death = made.agent.take().at(-1);
    expect(death?.topicName).toBe('spBv1.0/g/NDEATH/gates-0');
    expect(valueOf(death?.payload as Buffer, 'bdSeq')).toBe(0);
    const command = { name: 'Node Control/Rebirth', type: 'Boolean', value: true } as const;
    made.agent.receive('spBv1.0/g/NCMD/gates-0', encodeSparkplug({ timestamp: 1, metrics: [command] }).bytes);
    made.timers.advance(10_000);
    expect(made.agent.take()).toEqual([]);
    expect(made.agent.calls.at(-1)).toBe('leave');
  });

  it('comes more often in a burst, and sends no data after the drain', () => {
    const made = node({ children: 1 });
    made.device.start();
    made.agent.up();
    made.device.pace(10);
    made.timers.advance(10_000);
    expect(made.agent.take().filter(({ topicName }) => topicName.includes('DDATA'))).toHaveLength(100);
    made.device.drain();
    made.timers.advance(10_000);
    expect(made.agent.take()).toEqual([]);
  });
});
