import { describe, expect, it } from 'vitest';
import { actuatorClass, connection, operatorClass, quietLife, run, scene, type Scene, sensorClass } from './scene.ts';

const commands = { to: 'valves', everySeconds: 1, qos: 2 } as const;

function up(
  more: Parameters<typeof operatorClass>[0],
  peers: Parameters<typeof scene>[1] = { peers: [actuatorClass({ count: 3 })] },
): Scene {
  const made = scene(operatorClass(more), peers);
  made.device.start();
  made.agent.up();
  return made;
}

/** Answers what was commanded so far as an actuator of MQTT 5 does. */
function answer({ agent }: Scene): number {
  const published = agent.take();
  for (const { options } of published) {
    const { responseTopic, correlationData } = options.properties ?? {};
    agent.receive(responseTopic ?? '', {}, correlationData === undefined ? {} : { properties: { correlationData } });
  }
  return published.length;
}

describe('commands', () => {
  it('go to the actuators in turns, in an open loop, with response topic and correlation data', () => {
    const { agent, timers } = up({ commands });
    timers.advance(6000);
    const published = agent.take();
    expect(published.map(({ topicName }) => topicName)).toEqual(
      [0, 1, 2, 0, 1, 2].map((index) => `p/valves/valves-${index}/set`),
    );
    for (const [at, { options, payload }] of published.entries()) {
      expect(options).toMatchObject({
        qos: 2,
        retain: false,
        properties: { responseTopic: 'p/office/office-0/answers' },
      });
      expect(options.properties?.correlationData?.toString()).toBe(`office-0:${at + 1}`);
      expect(JSON.parse(payload.toString())).toMatchObject({ command: 'set', correlation: `office-0:${at + 1}` });
      expect((options.dueAt as number) - (published[0]?.options.dueAt as number)).toBeCloseTo(at * 1000, 6);
    }
    expect(agent.subscriptions.get('p/office/office-0/answers')).toMatchObject({ qos: 2 });
  });

  it('have a round trip from when they were due to their answer', () => {
    const made = up({ commands });
    made.timers.advance(1000);
    const dueAt = made.agent.published[0]?.options.dueAt as number;
    expect(made.device.pending).toBeGreaterThan(0);
    made.timers.advance(250);
    expect(made.metrics.roundTrip.count).toBe(0);
    const answered = answer(made);
    expect(made.metrics.roundTrip.count).toBe(answered);
    expect(made.noted('answered')).toBe(answered);
    expect(made.metrics.roundTrip.at(100) / (made.timers.now() - dueAt)).toBeCloseTo(1, 2);
  });

  it('are answered once', () => {
    const made = up({ commands });
    made.timers.advance(1000);
    const [command] = made.agent.published;
    answer(made);
    const { correlationData } = command?.options.properties ?? {};
    made.agent.receive('p/office/office-0/answers', {}, { properties: { correlationData: correlationData as Buffer } });
    expect(made.noted('answered')).toBe(1);
  });

  it('are answered in JSON by actuators of MQTT 3.x, beside the command topic', () => {
    const actuators = actuatorClass({ count: 3, connection: { ...connection, versions: [3, 4] } });
    const made = up({ commands }, { peers: [actuators] });
    expect(made.agent.subscriptions.has('p/valves/+/set/answer')).toBe(true);
    made.timers.advance(1000);
    made.agent.receive('p/valves/valves-0/set/answer', { device: 'valves-0', correlation: 'office-0:1' });
    expect(made.noted('answered')).toBe(1);
  });

  it('need no subscription beside the command topic where everybody speaks MQTT 5', () => {
    const made = up({ commands });
    expect([...made.agent.subscriptions.keys()]).toEqual(['p/office/office-0/answers']);
  });

  it('do not take answers of other operators, or what is none, for their own', () => {
    const made = up({ commands });
    made.timers.advance(1000);
    for (const correlation of ['office-1:1', 'office-0:2', 'office-0:x', 7, null]) {
      made.agent.receive('p/office/office-0/answers', { correlation });
    }
    made.agent.receive('p/office/office-0/answers', Buffer.from([1, 2, 3]));
    expect(made.noted('answered')).toBe(0);
  });

  it('count as unanswered after a while, and are under way no more', () => {
    const made = up({ commands });
    made.timers.advance(1000);
    made.agent.acknowledge();
    made.device.drain();
    expect(made.device.pending).toBe(1);
    made.timers.advance(9400);
    expect(made.noted('unanswered')).toBe(0);
    made.timers.advance(1200);
    expect(made.noted('unanswered')).toBe(1);
    expect(made.device.pending).toBe(0);
    answer(made);
    expect(made.noted('answered')).toBe(0);
  });

  it('end with the drain, and answers still count', () => {
    const made = up({ commands });
    made.timers.advance(3000);
    made.device.drain();
    const sent = made.agent.published.length;
    made.timers.advance(5000);
    expect(made.agent.published).toHaveLength(sent);
    expect(answer(made)).toBe(sent);
    expect(made.noted('answered')).toBe(sent);
  });

  it('go only to those that are online, where births and wills tell', () => {
    const life = { ...quietLife, birthTopic: '{prefix}/{device}/birth', willTopic: '{prefix}/{device}/will' };
    const made = up({ commands }, { peers: [actuatorClass({ count: 3, life })] });
    expect(made.agent.subscriptions.has('p/+/birth')).toBe(true);
    expect(made.agent.subscriptions.has('p/+/will')).toBe(true);
    made.timers.advance(3000);
    expect(made.agent.take()).toEqual([]);
    made.agent.receive('p/valves-1/birth', { device: 'valves-1', state: 'online', firmware: 1 });
    made.agent.receive('p/valves-2/birth', { device: 'valves-2', state: 'online', firmware: 1 });
    made.agent.receive('p/valves-9/birth', { device: 'valves-9', state: 'online', firmware: 1 });
    made.timers.advance(4000);
    expect(made.agent.take().map(({ topicName }) => topicName)).toEqual(
      [1, 2, 1, 2].map((index) => `p/valves/valves-${index}/set`),
    );
    made.agent.receive('p/valves-1/will', { device: 'valves-1', state: 'offline' });
    made.agent.receive('p/valves-2/will', { device: 'valves-2', state: 'asleep' });
    made.agent.receive('p/valves-2/birth', Buffer.from('{'));
    made.timers.advance(3000);
    expect(made.agent.take()).toEqual([]);
  });
});

describe('commands to actuators that sleep', () => {
  const sleepers = actuatorClass({
    count: 2,
    connection: { ...connection, session: 'persistent' },
    life: { ...quietLife, birthTopic: '{prefix}/{device}/s', sleep: { awakeSeconds: 10, asleepSeconds: 60 } },
  });

  it('are sent: a session waits for them', () => {
    const made = up({ commands }, { peers: [sleepers] });
    made.agent.receive('p/valves-1/s', { device: 'valves-1', state: 'asleep' });
    made.timers.advance(2000);
    expect(made.agent.take().map(({ topicName }) => topicName)).toEqual([
      'p/valves/valves-1/set',
      'p/valves/valves-1/set',
    ]);
    made.agent.receive('p/valves-1/s', { device: 'valves-1', state: 'offline' });
    made.timers.advance(2000);
    expect(made.agent.take()).toEqual([]);
  });

  it('may be answered when they wake', () => {
    const made = up({ commands }, { peers: [sleepers] });
    made.agent.receive('p/valves-1/s', { device: 'valves-1', state: 'online' });
    made.timers.advance(1000);
    made.device.drain();
    made.timers.advance(65_000);
    expect(made.noted('unanswered')).toBe(0);
    expect(answer(made)).toBe(1);
    expect(made.noted('answered')).toBe(1);
  });
});

describe('configuration', () => {
  const trackers = sensorClass({
    name: 'trackers',
    count: 10,
    life: { ...quietLife, configTopic: '{prefix}/{device}/cfg' },
  });

  it('is written retained for each device, a window at a time', () => {
    const made = up({ configures: { to: 'trackers', everySeconds: 0 } }, { peers: [trackers] });
    expect(made.agent.published).toHaveLength(connection.window);
    expect(made.device.pending).toBeGreaterThanOrEqual(10);
    run(made, 100);
    expect(made.agent.published.every(({ options }) => options.retain && options.qos === 1)).toBe(true);
    expect(made.agent.takeJson()).toEqual(
      Array.from({ length: 10 }, (_, at) => [`p/trackers-${at}/cfg`, { device: `trackers-${at}`, revision: 1 }]),
    );
    run(made, 100_000, 1000);
    expect(made.agent.take()).toEqual([]);
    expect(made.device.pending).toBe(0);
  });

  it('is written again every so often, until the drain', () => {
    const made = up({ configures: { to: 'trackers', everySeconds: 30 } }, { peers: [trackers] });
    run(made, 65_000);
    expect(made.agent.takeJson().map(([, { revision }]) => revision)).toEqual(
      [1, 2, 3].flatMap((revision) => Array.from({ length: 10 }, () => revision)),
    );
    made.device.drain();
    run(made, 100_000, 1000);
    expect(made.agent.take()).toEqual([]);
  });

  it('goes on after the connection was gone, and does not begin anew', () => {
    const made = up({ configures: { to: 'trackers', everySeconds: 0 } }, { peers: [trackers] });
    made.agent.down();
    made.agent.acknowledge();
    expect(made.agent.take()).toHaveLength(4);
    made.agent.up();
    run(made, 100);
    expect(made.agent.take()).toHaveLength(6);
  });

  it('is written later where the agent does not take it', () => {
    const made = scene(operatorClass({ configures: { to: 'trackers', everySeconds: 0 } }), { peers: [trackers] });
    made.agent.isTaking = false;
    made.device.start();
    made.agent.up();
    made.agent.isTaking = true;
    run(made, 100);
    expect(made.agent.take()).toHaveLength(10);
  });

  it('is the first operator’s alone', () => {
    const made = up({ configures: { to: 'trackers', everySeconds: 0 } }, { peers: [trackers], index: 1 });
    expect(made.agent.take()).toEqual([]);
  });
});

describe('an operator', () => {
  it('takes part in storms while it is connected, and leaves at the end', () => {
    const made = scene(operatorClass({ commands }), { peers: [actuatorClass()] });
    made.device.storm();
    made.device.start();
    made.device.start();
    made.agent.up();
    made.device.storm();
    made.device.stop();
    expect(made.agent.calls).toEqual(['start', 'drop 0', 'leave']);
  });
});
