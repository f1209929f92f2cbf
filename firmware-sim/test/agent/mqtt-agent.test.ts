import { expect, it } from 'vitest';
import { AgentScene, bodyOf, stampOf } from './scene.ts';

// ---- publishing

it('stamps a message with run, client, the next number, its due time and QoS before the client gets it', () => {
  const scene = AgentScene.up();
  expect(scene.publish('one', { qos: 2, dueAt: 5000.25 })).toBe(true);
  scene.publish('two', { qos: 0 });
  const [one, two] = scene.client.published;
  expect(stampOf(one!.payload)).toEqual({ kind: 'intact', client: 7, sequence: 1, dueAt: 5000.25, qos: 2 });
  expect(stampOf(two!.payload)).toMatchObject({ sequence: 2, dueAt: scene.timers.now(), qos: 0 });
  expect(one).toMatchObject({ topicName: 't', qos: 2, retain: false, token: 1 });
});

it('tells the witness of a message when the client has sent it, and of its acknowledgement, once each', () => {
  const scene = AgentScene.up();
  scene.client.writesAtOnce = false;
  scene.publish('one', { properties: { messageExpiryInterval: 30 } });
  scene.takeFactNames();
  scene.client.handler.onSent(1);
  scene.client.handler.onSent(1);
  expect(scene.facts).toEqual([
    ['sent', 7, { sequence: 1, topicName: 't', qos: 1, retain: false, isEmpty: false }, 30],
  ]);
  scene.takeFactNames();
  scene.client.handler.onAcknowledged(1, 0x10);
  scene.client.handler.onAcknowledged(1, 0);
  expect(scene.facts).toEqual([['acknowledged', 7, 1]]);
  expect(scene.metrics).toMatchObject({ sent: [0, 1, 0], acknowledged: [0, 1, 0], sentBytes: 3 + 47 });
});

it('counts the wait for an acknowledgement from when the message was due', () => {
  const scene = AgentScene.up();
  scene.publish('one', { dueAt: scene.timers.now() - 40 });
  scene.timers.advance(60);
  scene.client.acknowledge(1);
  expect(scene.metrics.acknowledgement.percentiles().max).toBeCloseTo(100, 0);
});

it('sends a message without a payload as it is, and says so', () => {
  const scene = AgentScene.up();
  scene.agent.publish('t', undefined, { qos: 1, retain: true });
  expect(scene.client.published[0]?.payload.length).toBe(0);
  expect(scene.told('sent')).toEqual([
    [{ sequence: 1, topicName: 't', qos: 1, retain: true, isEmpty: true }, undefined],
  ]);
});

it('tells of a refusal as such, to witness, metrics and owner', () => {
  const scene = AgentScene.up();
  scene.publish('one', { reference: 11 });
  scene.client.acknowledge(1, 0x87);
  expect(scene.told('refused')).toEqual([[1, 0x87]]);
  expect(scene.told('acknowledged')).toEqual([]);
  expect(scene.events.at(-1)).toEqual(['published', 11, 0x87]);
  expect(scene.metrics).toMatchObject({ refused: 1, acknowledged: [0, 0, 0] });
});

it('tells the owner that a message is complete only when its place in the window is free', () => {
  const scene = AgentScene.up();
  scene.publish('one', { qos: 2, reference: 0 });
  scene.client.handler.onAcknowledged(1, 0);
  expect(scene.events).toEqual([['up', false]]);
  expect(scene.told('completed')).toEqual([]);
  scene.client.complete(1);
  expect(scene.events.at(-1)).toEqual(['published', 0, 0]);
  expect(scene.told('completed')).toEqual([[1]]);
});

it('keeps messages beyond the window and numbers them when their turn comes, in the order they were given', () => {
  const scene = AgentScene.up();
  for (const text of ['1', '2', '3', '4']) scene.publish(text);
  scene.publish('0', { qos: 0 });
  expect(scene.client.published.map(({ qos, token }) => [qos, token])).toEqual([
    [1, 1],
    [1, 2],
    [0, 3],
  ]);
  expect(scene.agent.pending).toBe(4);
  scene.client.acknowledge(1);
  scene.client.acknowledge(2);
  expect(scene.client.published.slice(3).map(({ payload, token }) => [bodyOf(payload), token])).toEqual([
    ['3', 4],
    ['4', 5],
  ]);
  expect(stampOf(scene.client.published[4]!.payload).sequence).toBe(5);
});

it('has no more under way than the broker takes', () => {
  const scene = new AgentScene({ window: 10 });
  scene.agent.start();
  scene.client.accept({ receiveMaximum: 1 });
  scene.publish('1');
  scene.publish('2');
  expect(scene.client.published.length).toBe(1);
});

it('does not let a new message overtake one that waits, even when its owner publishes while an old one completes', () => {
  const scene = AgentScene.up({ window: 1 });
  scene.reactions.onPublished = () => void scene.publish('new');
  scene.publish('1', { reference: 1 });
  scene.publish('2');
  scene.client.acknowledge(1);
  scene.client.acknowledge(2);
  expect(scene.client.published.map(({ payload }) => bodyOf(payload))).toEqual(['1', '2', 'new']);
});

it('does not take QoS 0 while too much waits for the network', () => {
  const scene = AgentScene.up();
  scene.client.bufferedBytes = 2 << 20;
  expect(scene.publish('one', { qos: 0 })).toBe(false);
  expect(scene.metrics.unsent).toBe(1);
  scene.client.bufferedBytes = 0;
  expect(scene.publish('one', { qos: 0 })).toBe(true);
  expect(scene.told('sent')).toEqual([[expect.objectContaining({ sequence: 1 }), undefined]]);
});

it('counts QoS 0 as unsent when the connection goes before the client has written it', () => {
  const scene = AgentScene.up();
  scene.client.writesAtOnce = false;
  scene.publish('one', { qos: 0 });
  scene.client.end({ cause: 'cut', text: 'cut' });
  scene.client.handler.onSent(1);
  expect(scene.told('sent')).toEqual([]);
  expect(scene.metrics).toMatchObject({ sent: [0, 0, 0], unsent: 1 });
});

// ---- without a connection

it('keeps messages without a connection and sends them in order once it is up', () => {
  const scene = new AgentScene();
  for (const [text, qos] of [
    ['1', 1],
    ['2', 0],
    ['3', 2],
  ] as const)
    expect(scene.publish(text, { qos })).toBe(true);
  expect(scene.client.published).toEqual([]);
  expect(scene.agent.pending).toBe(3);
  scene.agent.start();
  scene.reactions.onUp = () => void scene.publish('4');
  scene.client.accept();
  scene.client.acknowledge(1);
  expect(scene.client.published.map(({ payload, token }) => [bodyOf(payload), token])).toEqual([
    ['1', 1],
    ['2', 2],
    ['3', 3],
    ['4', 4],
  ]);
});

it('gives up the oldest QoS 0 for room, and then takes nothing more', () => {
  const scene = new AgentScene();
  for (const [text, qos] of [
    ['a', 1],
    ['b', 0],
    ['c', 0],
  ] as const)
    scene.publish(text, { qos });
  expect([scene.publish('d'), scene.publish('e'), scene.publish('f'), scene.publish('g', { qos: 0 })]).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(scene.metrics.unsent).toBe(4);
  scene.agent.start();
  scene.client.accept();
  scene.client.acknowledge(1);
  expect(scene.client.published.map(({ payload }) => bodyOf(payload))).toEqual(['a', 'd', 'e']);
});

it('takes nothing without a connection where it may keep nothing, and still waits for the window when it is up', () => {
  const scene = new AgentScene({ offlineMax: 0, window: 1 });
  expect(scene.publish('a')).toBe(false);
  scene.agent.start();
  scene.client.accept();
  expect([scene.publish('b'), scene.publish('c')]).toEqual([true, true]);
});

it('leaves messages under way to the client when a connection is lost, and tells only what was abandoned', () => {
  const scene = AgentScene.up();
  scene.publish('1', { reference: 1 });
  scene.publish('2', { reference: 2, qos: 2 });
  scene.client.handler.onAcknowledged(2, 0);
  scene.client.end({ cause: 'peer', text: 'closed' });
  expect(scene.agent.pending).toBe(2);
  scene.timers.advanceToNext();
  // The broker lost the session: the client gives up the first, and forgets the second, which the broker has.
  scene.client.inFlight = 0;
  scene.client.handler.onAbandoned(1);
  scene.client.accept({ sessionPresent: false });
  expect(scene.told('abandoned')).toEqual([[1]]);
  expect(scene.events.filter(([name]) => name === 'published')).toEqual([
    ['published', 1, 0x80],
    ['published', 2, 0],
  ]);
});

// ---- receiving

it('tells the witness what a delivery says before its owner gets it, and measures from when it was due', () => {
  const scene = AgentScene.up();
  scene.reactions.onMessage = () => expect(scene.told('delivered').length).toBe(1);
  const dueAt = scene.timers.now() - 12;
  scene.deliver({ client: 3, sequence: 9, dueAt });
  expect(scene.told('delivered')).toEqual([
    [
      { topicName: 'in', qos: 1, retain: false, dup: false, length: 48 },
      { kind: 'intact', client: 3, sequence: 9, dueAt, qos: 1 },
    ],
  ]);
  expect(scene.events.at(-1)?.slice(0, 2)).toEqual(['message', 'in']);
  expect(scene.metrics).toMatchObject({ delivered: [0, 1, 0], deliveredBytes: 48 });
  expect(scene.metrics.delivery.percentiles().max).toBeCloseTo(12, 0);
});

it('does not measure wills and retained messages, which waited for their time', () => {
  const scene = AgentScene.up();
  scene.deliver({ client: 3, sequence: 1, dueAt: 0 });
  scene.deliver({ client: 3, sequence: 2, dueAt: scene.timers.now() - 5 }, { retain: true });
  expect(scene.metrics.delivery.count).toBe(0);
  expect(scene.told('delivered').length).toBe(2);
});

it('does not take it for the end of an exchange that a client forgets it', () => {
  const scene = AgentScene.up();
  scene.publish('1', { qos: 2, reference: 1 });
  scene.client.handler.onAcknowledged(1, 0);
  scene.client.end({ cause: 'peer', text: 'closed' });
  scene.client.complete(1);
  expect(scene.told('completed')).toEqual([]);
  expect(scene.events.at(-1)).toEqual(['published', 1, 0]);
});
