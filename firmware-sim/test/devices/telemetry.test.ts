import { describe, expect, it } from 'vitest';
import type { Telemetry } from '../../src/scenario/scenario.ts';
import { connection, row, run, scene, type Scene, sensorClass } from './scene.ts';

function reporting(telemetry: readonly Telemetry[], more: Parameters<typeof sensorClass>[0] = {}): Scene {
  const made = scene(sensorClass({ telemetry, ...more }));
  made.device.start();
  made.agent.up();
  return made;
}

const closed: Telemetry = { ...row, pace: { loop: 'closed' } };

describe('an open loop', () => {
  it('publishes when due, with the due time, whatever the broker acknowledges', () => {
    const { timers, agent } = reporting([row]);
    timers.advance(10_000);
    const published = agent.take();
    expect(published).toHaveLength(10);
    const first = published[0]?.options.dueAt ?? 0;
    for (const [at, { topicName, options }] of published.entries()) {
      expect(topicName).toBe('p/things/things-0/t');
      expect(options.dueAt).toBeCloseTo(first + at * 1000, 6);
      expect(options).toMatchObject({ qos: 1, retain: false });
      expect(options.reference).toBeUndefined();
    }
  });

  it('begins at a phase of its own', () => {
    const phases = [1, 2, 3, 4, 5].map((seed) => {
      const made = scene(sensorClass(), { seed });
      made.device.start();
      made.agent.up();
      made.timers.advance(1000);
      return (made.agent.take()[0]?.options.dueAt ?? 0) % 1000;
    });
    expect(new Set(phases).size).toBe(5);
  });

  it('goes on without a connection: the agent keeps what it can', () => {
    const { timers, agent } = reporting([row]);
    agent.down();
    timers.advance(5000);
    expect(agent.take()).toHaveLength(5);
  });

  it('comes as often as the pace says', () => {
    const { timers, agent, device } = reporting([row]);
    device.pace(5);
    timers.advance(10_000);
    expect(agent.take()).toHaveLength(50);
    device.pace(1);
    timers.advance(10_000);
    expect(agent.take()).toHaveLength(10);
  });

  it('draws the QoS of each message from its mix', () => {
    const { timers, agent } = reporting([{ ...row, qos: [0, 1, 2] }]);
    timers.advance(300_000);
    const counts = [0, 0, 0];
    for (const { options } of agent.take()) counts[options.qos] = (counts[options.qos] as number) + 1;
    for (const count of counts) expect(count).toBeGreaterThan(60);
  });

  it('passes on retain and expiry', () => {
    const { timers, agent } = reporting([{ ...row, retain: true, expirySeconds: 30 }]);
    timers.advance(1000);
    expect(agent.take()[0]?.options).toMatchObject({ retain: true, properties: { messageExpiryInterval: 30 } });
  });

  it('has rows of its own pace and sequence', () => {
    const { timers, agent } = reporting([row, { ...row, topic: 'slow', pace: { loop: 'open', everySeconds: 5 } }]);
    timers.advance(10_000);
    const all = agent.takeJson();
    expect(all.filter(([topicName]) => topicName === 'slow').map(([, { seq }]) => seq)).toEqual([1, 2]);
    expect(all.filter(([topicName]) => topicName !== 'slow')).toHaveLength(10);
  });

  it('is dated by the device clock, wrong as it is', () => {
    const { timers, agent } = reporting([row], { clock: { offsetSeconds: 3600, driftPpm: 1_000_000 } });
    const start = timers.now();
    timers.advance(10_000);
    for (const { payload, options } of agent.take()) {
      const { time } = JSON.parse(payload.toString()) as { time: number };
      const dueAt = options.dueAt as number;
      expect(time).toBeCloseTo(dueAt + 3_600_000 + (dueAt - start), -1);
    }
  });

  it('ends with the drain', () => {
    const { timers, agent, device } = reporting([row]);
    device.drain();
    timers.advance(10_000);
    agent.down();
    agent.up();
    timers.advance(10_000);
    expect(agent.take()).toEqual([]);
  });
});

describe('a closed loop', () => {
  it('has a window of messages under way, and sends the next when one is complete', () => {
    const { agent, timers } = reporting([closed]);
    expect(agent.take()).toHaveLength(connection.window);
    agent.acknowledge(3);
    expect(agent.take()).toHaveLength(3);
    timers.advance(10_000);
    expect(agent.take()).toHaveLength(0);
  });

  it('shares the window between its rows', () => {
    const { agent } = reporting([closed, { ...closed, topic: 'b' }, { ...row, topic: 'open' }]);
    expect(agent.take().map(({ topicName }) => topicName)).toEqual([
      'p/things/things-0/t',
      'b',
      'p/things/things-0/t',
      'b',
    ]);
    agent.acknowledge(1);
    expect(agent.take()).toHaveLength(1);
  });

  it('waits while there is no connection', () => {
    const { agent, timers } = reporting([closed]);
    agent.take();
    agent.down();
    agent.acknowledge();
    timers.advance(1000);
    expect(agent.take()).toEqual([]);
    agent.up();
    expect(agent.take()).toHaveLength(connection.window);
  });

  it('tries again soon where the agent takes nothing', () => {
    const { agent, timers } = reporting([closed]);
    agent.acknowledge(1);
    agent.take();
    agent.isTaking = false;
    agent.acknowledge(2);
    agent.isTaking = true;
    expect(agent.take()).toEqual([]);
    timers.advance(1);
    expect(agent.take()).toHaveLength(2);
  });

  it('sends a window each millisecond at QoS 0, which nobody acknowledges', () => {
    const { agent, timers } = reporting([{ ...closed, qos: [0] }]);
    expect(agent.take()).toHaveLength(4);
    timers.advance(10);
    expect(agent.take()).toHaveLength(40);
  });

  it('ends with the drain', () => {
    const made = reporting([closed, { ...closed, qos: [0] }]);
    made.device.drain();
    made.agent.take();
    run(made, 1000);
    expect(made.agent.take()).toEqual([]);
  });
});
