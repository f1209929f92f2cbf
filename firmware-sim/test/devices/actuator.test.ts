import { describe, expect, it } from 'vitest';
import { actuatorClass, quietLife, run, scene, type Scene } from './scene.ts';

const topic = 'p/valves/valves-0/set';

function up(more: Parameters<typeof actuatorClass>[0] = {}): Scene {
  const made = scene(actuatorClass(more));
  made.device.start();
  made.agent.up();
  return made;
}

describe('an actuator', () => {
  it('subscribes to its commands at QoS 2, so that the operator decides', () => {
    const { agent } = up();
    expect(agent.subscriptions.get(topic)).toMatchObject({ qos: 2 });
  });

  it('answers to the response topic with the correlation data, at the QoS of the command, when its work is done', () => {
    const { agent, timers, device } = up();
    const correlationData = Buffer.from([0, 255, 1]);
    agent.receive(topic, { command: 'set' }, { qos: 2, properties: { responseTopic: 'r/1', correlationData } });
    correlationData.fill(9); // the buffer was the handler's only until it returned
    timers.advance(499);
    expect(agent.take()).toEqual([]);
    expect(device.pending).toBe(1);
    timers.advance(1);
    const [answer] = agent.published;
    expect(answer?.options).toMatchObject({
      qos: 2,
      retain: false,
      properties: { correlationData: Buffer.from([0, 255, 1]) },
    });
    expect(agent.takeJson()).toEqual([['r/1', { device: 'valves-0', done: true }]]);
  });

  it('answers beside the command topic, with the correlation of the JSON, where there is no response topic', () => {
    const { agent, timers } = up();
    agent.receive(topic, { command: 'set', correlation: 'op:7' });
    agent.receive(topic, Buffer.from('no JSON'));
    timers.advance(500);
    expect(agent.published.every(({ options }) => options.properties === undefined)).toBe(true);
    expect(agent.takeJson()).toEqual([
      [`${topic}/answer`, { device: 'valves-0', done: true, correlation: 'op:7' }],
      [`${topic}/answer`, { device: 'valves-0', done: true }],
    ]);
  });

  it('works on several commands at once and answers in their order', () => {
    const { agent, timers } = up();
    for (let at = 0; at < 5; at++) {
      agent.receive(topic, {}, { properties: { responseTopic: `r/${at}` } });
      timers.advance(200);
    }
    timers.advance(500);
    expect(agent.take().map(({ topicName, options }) => [topicName, options.dueAt])).toEqual(
      [0, 1, 2, 3, 4].map((at) => [`r/${at}`, undefined]),
    );
  });

  it('answers at once where the work takes no time', () => {
    const { agent, timers } = up({ workSeconds: 0 });
    agent.receive(topic, {}, { properties: { responseTopic: 'r' } });
    timers.advance(0);
    expect(agent.take()).toHaveLength(1);
  });

  it('does not answer to topics that are none, nor to what is no command', () => {
    const { agent, timers } = up();
    for (const responseTopic of ['', 'a/#', '+', 'a\0']) agent.receive(topic, {}, { properties: { responseTopic } });
    agent.receive('p/valves/valves-0/other', {}, { properties: { responseTopic: 'r' } });
    timers.advance(1000);
    expect(agent.take()).toEqual([]);
  });

  it('takes no more than a thousand commands at once', () => {
    const { agent, timers } = up();
    for (let at = 0; at < 1500; at++) agent.receive(topic, {}, { properties: { responseTopic: 'r' } });
    timers.advance(500);
    expect(agent.take()).toHaveLength(1000);
  });

  it('answers before it goes to sleep, and forgets its work in a crash', () => {
    const sleeper = up({ life: { ...quietLife, sleep: { awakeSeconds: 10, asleepSeconds: 10 } } });
    while (sleeper.agent.state === 'up' && sleeper.device.pending === 0) sleeper.timers.advance(10);
    expect(sleeper.agent.state).toBe('up'); // says farewell
    sleeper.agent.receive(topic, {}, { properties: { responseTopic: 'r' } });
    run(sleeper, 600);
    expect(sleeper.agent.state).toBe('off');
    expect(sleeper.agent.take()).toHaveLength(1);

    const crasher = up({ life: { ...quietLife, crash: { everySeconds: 5, downSeconds: 5 } }, workSeconds: 1e5 });
    crasher.agent.receive(topic, {}, { properties: { responseTopic: 'r' } });
    while (crasher.noted('crashed') === 0) crasher.timers.advance(100);
    expect(crasher.device.pending).toBe(0);
    crasher.device.drain();
    crasher.agent.up();
    crasher.timers.advance(2e8);
    expect(crasher.agent.take()).toEqual([]);
  });
});
