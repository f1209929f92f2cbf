import { expect, it } from 'vitest';
import { binaryPayload } from '../../src/checker/stamp.ts';
import { AgentScene, stampOf } from './scene.ts';

it('tells the witness of each step of a connection in its order', () => {
  const scene = new AgentScene({ sessionExpirySeconds: 30 });
  expect(scene.facts).toEqual([['client', 7, 'sensor-7', 'sensor']]);
  expect(scene.agent.state).toBe('off');
  scene.agent.start();
  scene.agent.start();
  expect(scene.agent.state).toBe('connecting');
  scene.client.accept({ sessionPresent: true });
  expect(scene.agent.state).toBe('up');
  scene.agent.sleep();
  expect(scene.agent.state).toBe('off');
  expect(scene.facts.slice(1)).toEqual([
    ['connecting', 7, { cleanStart: false, expirySeconds: 30, keepAliveSeconds: 60 }, undefined],
    ['connected', 7, true],
    ['disconnecting', 7, false, undefined],
    ['ended', 7, 'closed'],
  ]);
  expect(scene.events).toEqual([
    ['up', true],
    ['down', 'ended'],
  ]);
  expect(scene.metrics).toMatchObject({ connects: 1, disconnects: 1, connectFailures: 0 });
});

it.each([
  [5, 'clean', 600, { cleanStart: true, expirySeconds: 0 }],
  [5, 'persistent', 600, { cleanStart: false, expirySeconds: 600 }],
  [5, 'persistent', 0xffff_ffff, { cleanStart: false, expirySeconds: Number.POSITIVE_INFINITY }],
  [4, 'clean', 600, { cleanStart: true, expirySeconds: 0 }],
  [4, 'persistent', 600, { cleanStart: false, expirySeconds: Number.POSITIVE_INFINITY }],
  [3, 'persistent', 600, { cleanStart: false, expirySeconds: Number.POSITIVE_INFINITY }],
] as const)('says for version %i and a %s session of %i s how long it lives', (version, session, seconds, terms) => {
  const scene = new AgentScene({ version, session, sessionExpirySeconds: seconds });
  scene.agent.start();
  expect(scene.told('connecting')).toEqual([[{ ...terms, keepAliveSeconds: 60 }, undefined]]);
  expect(scene.client.connects[0]?.cleanStart).toBe(terms.cleanStart);
});

it('measures the time to CONNACK', () => {
  const scene = new AgentScene();
  scene.agent.start();
  scene.timers.advance(25);
  scene.client.accept();
  expect(scene.metrics.connect.percentiles().max).toBeCloseTo(25, 0);
});

it('tells the witness when the broker was not told that a connection is gone', () => {
  const scene = AgentScene.up();
  scene.client.end({ cause: 'cut', text: 'handed over', silent: true });
  expect(scene.told('ended')).toEqual([['silent']]);
  expect(scene.agent.state).toBe('waiting');
});

it('comes back after a lost connection, waiting longer after each failure up to the limit, and anew once it was up', () => {
  const scene = AgentScene.up();
  const waits: number[] = [];
  const fail = (): void => {
    const before = scene.timers.now();
    scene.client.end({ cause: 'refused', text: 'nobody there' });
    scene.timers.advanceToNext();
    waits.push((scene.timers.now() - before) / 1000);
  };
  for (let attempt = 0; attempt < 6; attempt++) fail();
  for (const [place, most] of [1, 1, 2, 4, 8, 8].entries()) {
    expect(waits[place]).toBeLessThanOrEqual(most);
    expect(waits[place]).toBeGreaterThanOrEqual(most / 2);
  }
  expect(new Set(waits).size).toBe(6);
  scene.client.accept();
  fail();
  expect(waits.at(-1)).toBeLessThanOrEqual(1);
  expect(scene.metrics).toMatchObject({ connects: 2, disconnects: 2, connectFailures: 5 });
  expect(scene.failures.length).toBe(5);
  expect(scene.events.filter(([name]) => name === 'down').length).toBe(2);
});

it('connects with a will of its own number each time, without a due time, and the delay only in MQTT 5', () => {
  for (const version of [4, 5] as const) {
    const will = {
      topicName: 'gone',
      qos: 1 as const,
      retain: true,
      delaySeconds: 9,
      payload: () => binaryPayload(Buffer.from('w')),
    };
    const scene = AgentScene.up({ will, version });
    scene.publish('1');
    scene.client.end({ cause: 'cut', text: 'cut' });
    scene.timers.advanceToNext();
    const stamps = scene.client.connects.map((connect) => stampOf(connect.will!.payload));
    expect(stamps).toEqual([
      { kind: 'intact', client: 7, sequence: 1, dueAt: 0, qos: 1 },
      { kind: 'intact', client: 7, sequence: 3, dueAt: 0, qos: 1 },
    ]);
    const delaySeconds = version === 5 ? 9 : 0;
    const told = { topicName: 'gone', qos: 1, retain: true, isEmpty: false, delaySeconds };
    expect(scene.told('connecting').map(([, message]) => message)).toEqual([
      { ...told, sequence: 1 },
      { ...told, sequence: 3 },
    ]);
    expect(scene.client.connects[0]?.will?.delaySeconds).toBe(version === 5 ? 9 : undefined);
  }
});

// ---- off

it('goes off without DISCONNECT in a crash, and stays off until it is started', () => {
  const scene = AgentScene.up();
  scene.agent.crash();
  expect(scene.agent.state).toBe('off');
  expect(scene.told('disconnecting')).toEqual([]);
  expect(scene.told('ended')).toEqual([['closed']]);
  expect(scene.timers.pending).toBe(0);
  scene.agent.start();
  expect(scene.client.connects.length).toBe(2);
});

it('ends the session when it leaves, where the version can say so, and forgets what the broker never had', () => {
  const five = AgentScene.up();
  five.publish('1', { reference: 4 });
  five.agent.leave();
  expect(five.client.disconnects).toEqual([{ sessionExpirySeconds: 0 }]);
  expect(five.told('disconnecting')).toEqual([[false, 0]]);
  expect(five.told('abandoned')).toEqual([[1]]);
  const four = AgentScene.up({ version: 4 });
  four.publish('1');
  four.agent.leave();
  expect(four.client.disconnects).toEqual([{}]);
  expect(four.client.forgets).toBe(0);
  expect(four.told('disconnecting')).toEqual([[false, undefined]]);
});

it('drops its connection and comes back at once, or after the time named', () => {
  const scene = AgentScene.up();
  scene.agent.drop(0);
  expect(scene.agent.state).toBe('waiting');
  scene.timers.advance(0);
  expect(scene.agent.state).toBe('connecting');
  scene.client.accept();
  scene.agent.drop(5);
  scene.timers.advance(4999);
  expect(scene.agent.state).toBe('waiting');
  scene.timers.advance(1);
  expect(scene.agent.state).toBe('connecting');
  expect(scene.told('disconnecting')).toEqual([]);
});

it('waits for the end of the last connection when it is started meanwhile', () => {
  const scene = AgentScene.up();
  scene.client.endsAtOnce = false;
  scene.agent.sleep();
  scene.agent.start();
  expect(scene.agent.state).toBe('waiting');
  expect(scene.client.connects.length).toBe(1);
  scene.client.end({ cause: 'ended', text: 'ended' });
  scene.timers.advance(0);
  expect(scene.agent.state).toBe('connecting');
});

it('gives an attempt up when it is told to sleep, and does not count it as a failure', () => {
  const scene = new AgentScene();
  scene.agent.start();
  scene.agent.sleep();
  expect(scene.agent.state).toBe('off');
  expect(scene.client.crashes).toBe(1);
  expect(scene.told('ended')).toEqual([['closed']]);
  expect(scene.metrics).toMatchObject({ connectFailures: 0, disconnects: 0 });
  expect(scene.events).toEqual([]);
  expect(scene.timers.pending).toBe(0);
});

it('stays off when it is told so while it waits for the next attempt', () => {
  const scene = AgentScene.up();
  scene.client.end({ cause: 'peer', text: 'closed' });
  scene.agent.sleep();
  scene.timers.advance(100_000);
  expect(scene.client.connects.length).toBe(1);
});

it('ends well when its owner sends it to sleep from within onUp', () => {
  const scene = new AgentScene();
  scene.publish('1');
  scene.reactions.onUp = () => scene.agent.sleep();
  scene.agent.start();
  scene.client.accept();
  expect(scene.agent.state).toBe('off');
  expect(scene.client.published).toEqual([]);
  expect(scene.agent.pending).toBe(1);
});

it('says of a DISCONNECT that went down with its connection that the broker may not have heard it', () => {
  const scene = AgentScene.up();
  scene.client.endsAtOnce = false;
  scene.agent.sleep();
  scene.client.end({ cause: 'cut', text: 'cut' });
  expect(scene.told('ended')).toEqual([['silent']]);
});

it('does not say that it wrote DISCONNECT where the client could not any more', () => {
  const scene = AgentScene.up();
  scene.client.state = 'closing';
  scene.agent.sleep();
  expect(scene.told('disconnecting')).toEqual([]);
  expect(scene.told('ended')).toEqual([['closed']]);
});
