import { describe, expect, it } from 'vitest';
import type { DashboardClass } from '../../src/scenario/scenario.ts';
import { scene, type Scene, sensorClass } from './scene.ts';

function dashboard(reopenEverySeconds: number, seed = 1): Scene {
  const { kind: _, telemetry: _rows, life: _life, ...base } = sensorClass();
  const subscription = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const deviceClass: DashboardClass = {
    ...base,
    kind: 'dashboard',
    reopenEverySeconds,
    subscribes: [{ topicFilter: '{prefix}/#', ...subscription }],
  };
  const made = scene(deviceClass, { seed });
  made.device.start();
  return made;
}

describe('a dashboard', () => {
  it('subscribes and stays', () => {
    const { agent, timers, device } = dashboard(0);
    expect(agent.subscriptions.get('p/#')).toMatchObject({ qos: 1 });
    device.start();
    agent.up();
    timers.advance(1e7);
    expect(agent.calls).toEqual(['start']);
    expect(timers.pending).toBe(0);
  });

  it('leaves and comes back a moment later with a new subscription, at random', () => {
    const { agent, timers } = dashboard(10);
    agent.up();
    while (agent.state === 'up') timers.advance(50);
    expect(agent.calls).toEqual(['start', 'leave']);
    expect(agent.subscriptions.size).toBe(0);
    timers.advance(1000);
    expect(agent.calls).toEqual(['start', 'leave', 'start']);
    expect(agent.subscriptions.has('p/#')).toBe(true);
    const times = Array.from({ length: 100 }, (_, seed) => {
      const made = dashboard(10, seed);
      made.timers.advanceToNext();
      return made.timers.now() - 1_000_000;
    });
    expect(times.reduce((sum, time) => sum + time, 0) / 100).toBeGreaterThan(7000);
    expect(times.reduce((sum, time) => sum + time, 0) / 100).toBeLessThan(13_000);
  });

  it('opens in the drain, and stays open', () => {
    const { agent, timers, device } = dashboard(10);
    agent.up();
    while (agent.state === 'up') timers.advance(50);
    device.drain();
    expect(agent.calls).toEqual(['start', 'leave', 'start']);
    timers.advance(1e6);
    expect(agent.calls).toEqual(['start', 'leave', 'start']);
  });

  it('drops its connection in a storm, and leaves at the end for good', () => {
    const { agent, timers, device } = dashboard(10);
    device.storm();
    agent.up();
    device.storm();
    device.stop();
    timers.advance(1e6);
    expect(agent.calls).toEqual(['start', 'drop 0', 'leave']);
  });
});
