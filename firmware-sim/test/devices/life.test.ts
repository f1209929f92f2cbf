import { describe, expect, it } from 'vitest';
import { LivingDevice } from '../../src/devices/life.ts';
import type { Life } from '../../src/scenario/scenario.ts';
import { quietLife, run, scene, type Scene, sensorClass } from './scene.ts';

const life: Life = { ...quietLife, birthTopic: '{prefix}/{device}/state', willTopic: '{prefix}/{device}/state' };

function start(more: Partial<Life>, seed = 1): Scene {
  const made = scene(sensorClass({ life: { ...quietLife, ...more } }), { seed });
  made.device.start();
  return made;
}

function up(more: Partial<Life>, seed = 1): Scene {
  const made = start(more, seed);
  made.agent.up();
  made.agent.acknowledge();
  return made;
}

function stateOf({ device }: Scene): string {
  return (device as LivingDevice).state;
}

/** Advances until it says farewell, acknowledging nothing. */
function untilClosing(made: Scene): void {
  for (let step = 0; stateOf(made) !== 'closing' && step < 100_000; step++) made.timers.advance(10);
  expect(stateOf(made)).toBe('closing');
}

/** Advances until the device is in this state, acknowledging everything. */
function until(made: Scene, state: string, limitMs = 1_000_000): number {
  const from = made.timers.now();
  while (stateOf(made) !== state) {
    if (made.timers.now() - from > limitMs) throw new Error(`still ${stateOf(made)}`);
    run(made, 10);
  }
  return made.timers.now() - from;
}

describe('booting', () => {
  it('goes from off to booting to reporting, and publishes nothing before it is connected', () => {
    const made = scene(sensorClass());
    expect(stateOf(made)).toBe('off');
    made.device.start();
    expect(stateOf(made)).toBe('booting');
    made.timers.advance(5000);
    expect(made.agent.take()).toEqual([]);
    made.agent.up();
    expect(stateOf(made)).toBe('reporting');
    made.timers.advance(2000);
    expect(made.agent.take()).toHaveLength(2);
  });

  it('connects with a retained will that says offline, and tells its birth, retained', () => {
    const { agent } = up({ ...life, willQos: 2 });
    expect(agent.will).toMatchObject({ topicName: 'p/things-0/state', retain: true, qos: 2 });
    expect(JSON.parse(agent.will?.payload.toString() ?? '')).toMatchObject({ device: 'things-0', state: 'offline' });
    const [birth, ...more] = agent.published;
    expect(birth?.options).toMatchObject({ retain: true, qos: 2 });
    expect(more).toEqual([]);
    expect(agent.takeJson()).toEqual([['p/things-0/state', { device: 'things-0', state: 'online', firmware: 1 }]]);
  });

  it('tells that it is online on the topic of the will too, where that is another', () => {
    const { agent } = up({ birthTopic: 'b/{device}', willTopic: 'w/{device}' });
    expect(agent.will?.topicName).toBe('w/things-0');
    expect(agent.takeJson()).toEqual([
      ['b/things-0', { device: 'things-0', state: 'online', firmware: 1 }],
      ['w/things-0', { device: 'things-0', state: 'online' }],
    ]);
  });

  it('tells its birth again with each connection: the will may have come', () => {
    const { agent } = up(life);
    agent.take();
    agent.down();
    agent.up(true);
    expect(agent.takeJson()).toEqual([['p/things-0/state', { device: 'things-0', state: 'online', firmware: 1 }]]);
  });

  it('has no will and no birth where no topic is named', () => {
    const { agent } = up({});
    expect(agent.will).toBeUndefined();
    expect(agent.take()).toEqual([]);
  });

  it('subscribes to what the class declares', () => {
    const subscription = { qos: 2, noLocal: true, retainAsPublished: false, retainHandling: 1 } as const;
    const made = scene(sensorClass({ subscribes: [{ topicFilter: '{prefix}/{device}/#', ...subscription }] }));
    expect([...made.agent.subscriptions.values()]).toEqual([{ topicFilter: 'p/things-0/#', ...subscription }]);
  });

  it('is done once, however often it is started', () => {
    const made = up({});
    made.device.start();
    expect(made.agent.calls).toEqual(['start']);
  });
});

describe('configuration', () => {
  const configTopic = '{prefix}/{device}/config';

  it('is read before telemetry begins', () => {
    const made = up({ configTopic });
    expect(made.agent.subscriptions.get('p/things-0/config')).toMatchObject({ qos: 1 });
    expect(stateOf(made)).toBe('configuring');
    made.timers.advance(10_000);
    expect(made.agent.take()).toEqual([]);
    made.agent.receive('p/things-0/config', Buffer.alloc(0));
    expect(stateOf(made)).toBe('configuring');
    made.agent.receive('p/things-0/config', { revision: 1 });
    expect(stateOf(made)).toBe('reporting');
    expect(made.noted('configured')).toBe(1);
    made.timers.advance(3000);
    expect(made.agent.take()).toHaveLength(3);
  });

  it('is kept over a crash, and may change at any time', () => {
    const made = up({ configTopic, crash: { everySeconds: 10, downSeconds: 1 } });
    made.agent.receive('p/things-0/config', { revision: 1 });
    until(made, 'booting');
    made.agent.up(true);
    expect(stateOf(made)).toBe('reporting');
    made.agent.receive('p/things-0/config', { revision: 2 });
    expect(stateOf(made)).toBe('reporting');
    expect(made.noted('configured')).toBe(2);
  });

  it('does not keep it from leaving', () => {
    const made = up({ configTopic, leaveAfterSeconds: 5 });
    until(made, 'left', 6000);
  });
});

describe('sleep', () => {
  const sleep = { awakeSeconds: 30, asleepSeconds: 60 };

  it('comes when awake is over, first after a part of it, and ends when asleep is over', () => {
    const made = up({ sleep });
    const first = until(made, 'asleep');
    expect(first).toBeLessThan(30_100);
    expect(made.agent.calls).toEqual(['start', 'sleep']);
    made.agent.take();
    made.timers.advance(59_000);
    expect(made.agent.take()).toEqual([]);
    made.timers.advance(1000);
    expect(stateOf(made)).toBe('booting');
    made.agent.up(true);
    const second = until(made, 'asleep');
    expect(second).toBeGreaterThanOrEqual(30_000);
    expect(second).toBeLessThan(30_100);
    expect(made.noted('slept')).toBe(2);
  });

  it('comes at different times for different devices', () => {
    const times = [1, 2, 3, 4].map((seed) => until(up({ sleep }, seed), 'asleep'));
    expect(new Set(times).size).toBe(4);
  });

  it('is told on the topic of the will, which does not come after DISCONNECT', () => {
    const made = up({ ...life, sleep });
    made.agent.take();
    until(made, 'asleep');
    expect(made.agent.takeJson().at(-1)).toEqual(['p/things-0/state', { device: 'things-0', state: 'asleep' }]);
  });

  it('waits until the broker has everything, but not for ever', () => {
    const made = up({ ...life, sleep });
    untilClosing(made);
    expect(made.device.pending).toBeGreaterThan(0);
    made.timers.advance(1000);
    expect(stateOf(made)).toBe('closing');
    made.agent.acknowledge();
    made.timers.advance(20);
    expect(stateOf(made)).toBe('asleep');

    const unlucky = up({ ...life, sleep });
    untilClosing(unlucky);
    unlucky.timers.advance(4900);
    expect(stateOf(unlucky)).toBe('closing');
    unlucky.timers.advance(200);
    expect(stateOf(unlucky)).toBe('asleep');
  });

  it('comes at once when the connection goes while it waits', () => {
    const made = up({ ...life, sleep });
    untilClosing(made);
    made.agent.down();
    expect(stateOf(made)).toBe('asleep');
    expect(made.agent.calls.at(-1)).toBe('sleep');
  });

  it('comes without a connection as well', () => {
    const made = up({ ...life, sleep });
    made.agent.down();
    made.agent.take();
    made.timers.advance(30_000);
    expect(stateOf(made)).toBe('asleep');
  });
});

describe('crash', () => {
  const crash = { everySeconds: 20, downSeconds: 5 };

  it('comes without farewell, and it boots again after its time', () => {
    const made = up({ ...life, crash });
    made.agent.take();
    until(made, 'crashed');
    expect(made.agent.calls).toEqual(['start', 'crash']);
    expect(made.agent.takeJson().filter(([topicName]) => topicName === 'p/things-0/state')).toEqual([]);
    expect(made.noted('crashed')).toBe(1);
    made.timers.advance(4990);
    expect(stateOf(made)).toBe('crashed');
    expect(made.agent.take()).toEqual([]);
    made.timers.advance(10);
    expect(stateOf(made)).toBe('booting');
    made.agent.up();
    expect(made.agent.takeJson()).toHaveLength(1);
    until(made, 'crashed');
  });

  it('comes every so often on average, and at random', () => {
    const times = Array.from({ length: 200 }, (_, seed) => until(up({ crash }, seed), 'crashed'));
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    expect(mean).toBeGreaterThan(16_000);
    expect(mean).toBeLessThan(24_000);
    expect(Math.min(...times)).toBeLessThan(2000);
  });

  it('does not come while it sleeps', () => {
    const made = up({ crash: { everySeconds: 1e6, downSeconds: 1 }, sleep: { awakeSeconds: 1, asleepSeconds: 1e8 } });
    until(made, 'asleep');
    made.timers.advance(5e7);
    expect(stateOf(made)).toBe('asleep');
    expect(made.noted('crashed')).toBe(0);
  });
});

describe('leaving', () => {
  it('says offline, waits for the broker, and never comes back', () => {
    const made = up({ ...life, leaveAfterSeconds: 10 });
    made.agent.take();
    until(made, 'left');
    expect(made.agent.takeJson().at(-1)).toEqual(['p/things-0/state', { device: 'things-0', state: 'offline' }]);
    expect(made.agent.calls).toEqual(['start', 'leave']);
    expect(made.noted('left')).toBe(1);
    made.timers.advance(100_000);
    made.device.drain();
    made.device.storm();
    expect(made.agent.calls).toEqual(['start', 'leave']);
    expect(made.agent.take()).toEqual([]);
  });

  it('waits for the next connection where there is none', () => {
    const made = up({ leaveAfterSeconds: 10, sleep: { awakeSeconds: 6, asleepSeconds: 60 } });
    until(made, 'asleep');
    made.timers.advance(59_999);
    expect(stateOf(made)).toBe('asleep');
    made.timers.advance(1);
    made.agent.up();
    until(made, 'left', 1000);
  });
});

describe('a storm', () => {
  it('drops the connection of who has one, and of nobody else', () => {
    const made = start({ sleep: { awakeSeconds: 10, asleepSeconds: 10 } });
    made.device.storm();
    expect(made.agent.calls).toEqual(['start']);
    made.agent.up();
    made.device.storm();
    expect(made.agent.calls).toEqual(['start', 'drop 0']);
    until(made, 'asleep');
    made.device.storm();
    expect(made.agent.calls).toEqual(['start', 'drop 0', 'sleep']);
  });
});

describe('the drain', () => {
  it('wakes who sleeps, and nobody sleeps any more', () => {
    const made = up({ sleep: { awakeSeconds: 10, asleepSeconds: 1e6 } });
    until(made, 'asleep');
    made.device.drain();
    expect(stateOf(made)).toBe('booting');
    made.agent.take();
    made.agent.up(true);
    made.timers.advance(1e7);
    expect(stateOf(made)).toBe('reporting');
    expect(made.agent.take()).toEqual([]);
  });

  it('boots who has crashed, and nobody crashes or leaves any more', () => {
    const made = up({ crash: { everySeconds: 10, downSeconds: 1e6 }, leaveAfterSeconds: 1000 });
    until(made, 'crashed');
    made.device.drain();
    expect(stateOf(made)).toBe('booting');
    made.agent.up();
    made.timers.advance(1e7);
    expect(stateOf(made)).toBe('reporting');
  });

  it('keeps awake who was about to sleep, and online', () => {
    const made = up({ ...life, sleep: { awakeSeconds: 10, asleepSeconds: 10 } });
    untilClosing(made);
    made.agent.take();
    made.device.drain();
    run(made, 1000);
    expect(stateOf(made)).toBe('reporting');
    expect(made.agent.takeJson().at(-1)?.[1]).toMatchObject({ state: 'online' });
    expect(made.device.pending).toBe(0);
  });

  it('lets nobody leave whose time came while it was away', () => {
    const made = up({ leaveAfterSeconds: 10 });
    made.agent.down();
    made.timers.advance(20_000);
    made.device.drain();
    made.agent.up();
    run(made, 1000);
    expect(stateOf(made)).toBe('reporting');
  });
});

describe('stop', () => {
  it('leaves, and nothing comes any more', () => {
    const made = up({
      ...life,
      crash: { everySeconds: 1, downSeconds: 1 },
      sleep: { awakeSeconds: 5, asleepSeconds: 5 },
    });
    made.device.stop();
    made.agent.take();
    made.timers.advance(1e6);
    expect(made.agent.calls).toEqual(['start', 'leave']);
    expect(made.agent.take()).toEqual([]);
    expect(made.timers.pending).toBe(0);
  });

  it('ends sleep as well', () => {
    const made = up({ sleep: { awakeSeconds: 5, asleepSeconds: 5 } });
    until(made, 'asleep');
    made.device.stop();
    made.timers.advance(1e6);
    expect(made.agent.calls.at(-1)).toBe('leave');
    expect(stateOf(made)).toBe('left');
  });
});
