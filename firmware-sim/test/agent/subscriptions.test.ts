import { expect, it } from 'vitest';
import { AgentScene } from './scene.ts';

const filter = { topicFilter: 'a/#', qos: 1 as const };

it('subscribes when it is up, tells the witness first, and tells what the broker granted', () => {
  const scene = new AgentScene();
  scene.agent.subscribe([filter]);
  scene.agent.start();
  expect(scene.client.subscribed).toEqual([]);
  scene.client.accept();
  expect(scene.client.subscribed).toEqual([[filter]]);
  scene.client.handler.onSubscribed(['a/#'], [1]);
  expect(scene.facts.slice(-3).map(([name, , ...rest]) => [name, ...rest])).toEqual([
    ['connected', false],
    ['subscribing', 'a/#'],
    ['subscribed', 'a/#', 1],
  ]);
});

it('subscribes again exactly where the session was not there, or the broker had not answered', () => {
  const scene = AgentScene.up();
  const reconnect = (sessionPresent: boolean): unknown[] => {
    scene.client.end({ cause: 'peer', text: 'closed' });
    scene.timers.advanceToNext();
    scene.client.subscribed.length = 0;
    scene.client.accept({ sessionPresent });
    return scene.client.subscribed.flat().map(({ topicFilter }) => topicFilter);
  };
  scene.agent.subscribe([filter, { topicFilter: 'b', qos: 0 }]);
  scene.client.handler.onSubscribed(['a/#'], [1]);
  expect(reconnect(true)).toEqual(['b']);
  scene.client.handler.onSubscribed(['b'], [0x87]);
  expect(reconnect(true)).toEqual([]);
  expect(reconnect(false)).toEqual(['a/#', 'b']);
});

it('subscribes on every connection of a clean session, whatever the broker says of a session', () => {
  const scene = new AgentScene({ session: 'clean' });
  scene.agent.subscribe([filter]);
  scene.agent.start();
  scene.client.accept({ sessionPresent: true });
  scene.client.handler.onSubscribed(['a/#'], [1]);
  scene.client.end({ cause: 'peer', text: 'closed' });
  scene.timers.advanceToNext();
  scene.client.accept({ sessionPresent: true });
  expect(scene.client.subscribed.length).toBe(2);
  expect(scene.told('connected')).toEqual([[true], [true]]);
  expect(scene.events[0]).toEqual(['up', false]);
});

it('subscribes on every connection of MQTT 3.1, which has no session present, and says that a session is there', () => {
  const scene = new AgentScene({ version: 3 });
  scene.agent.subscribe([filter]);
  scene.agent.start();
  scene.client.accept();
  scene.client.handler.onSubscribed(['a/#'], [1]);
  scene.client.end({ cause: 'peer', text: 'closed' });
  scene.timers.advanceToNext();
  scene.client.accept();
  expect(scene.client.subscribed.length).toBe(2);
  expect(scene.told('connected')).toEqual([[true], [true]]);
  expect(scene.events.filter(([name]) => name === 'up')).toEqual([
    ['up', false],
    ['up', true],
  ]);
});

it('unsubscribes now, or when it is up again if the broker may still have the subscription', () => {
  const scene = AgentScene.up();
  scene.agent.subscribe([filter, { topicFilter: 'b', qos: 0 }]);
  scene.client.handler.onSubscribed(['a/#', 'b'], [1, 0]);
  scene.agent.unsubscribe(['b', 'never']);
  expect(scene.client.unsubscribed).toEqual([['b']]);
  scene.client.handler.onUnsubscribed(['b'], [0]);
  scene.client.end({ cause: 'peer', text: 'closed' });
  scene.agent.unsubscribe(['a/#']);
  scene.agent.subscribe([{ topicFilter: 'c', qos: 0 }]);
  scene.agent.unsubscribe(['c']);
  scene.timers.advanceToNext();
  scene.client.accept({ sessionPresent: true });
  expect(scene.client.unsubscribed).toEqual([['b'], ['a/#']]);
  expect(scene.client.subscribed.length).toBe(1);
  expect(scene.told('unsubscribing')).toEqual([['b'], ['a/#']]);
  expect(scene.told('unsubscribed')).toEqual([['b']]);
});

it('does not forget a subscription that is made again before the broker has answered its end', () => {
  const scene = AgentScene.up();
  scene.agent.subscribe([filter]);
  scene.client.handler.onSubscribed(['a/#'], [1]);
  scene.agent.unsubscribe(['a/#']);
  scene.agent.subscribe([filter]);
  scene.client.handler.onUnsubscribed(['a/#'], [0]);
  scene.client.handler.onSubscribed(['a/#'], [1]);
  expect(scene.client.subscribed.length).toBe(2);
  scene.client.end({ cause: 'peer', text: 'closed' });
  scene.timers.advanceToNext();
  scene.client.accept({ sessionPresent: false });
  expect(scene.client.subscribed.length).toBe(3);
});

it('keeps a subscription for the next connection when the client knows already that this one is over', () => {
  const scene = AgentScene.up();
  scene.client.state = 'closing';
  scene.agent.subscribe([filter]);
  expect(scene.client.subscribed).toEqual([]);
  expect(scene.told('subscribing')).toEqual([]);
  scene.client.end({ cause: 'disconnected-by-broker', text: 'server busy' });
  scene.timers.advanceToNext();
  scene.client.accept({ sessionPresent: true });
  expect(scene.client.subscribed).toEqual([[filter]]);
});
