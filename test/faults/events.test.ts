import { describe, expect } from 'vitest';
import type { BrokerEvents, ClientInfo } from '../../src/hooks/hooks.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { type Scene, test } from './scene.ts';

/** Records events by name with their arguments. */
function record(scene: Scene, names: readonly (keyof BrokerEvents)[]): unknown[][] {
  const events: unknown[][] = [];
  for (const name of names) scene.broker.broker.on(name, (...args) => void events.push([name, ...args]));
  return events;
}

const LIFE = ['clientConnected', 'clientDisconnected', 'connectionRefused', 'sessionCreated', 'sessionEnded'] as const;
const TRAFFIC = ['subscribed', 'unsubscribed', 'published', 'willPublished', 'messageDropped'] as const;

describe('events', () => {
  test('tell the life of a client with their arguments', async ({ start }) => {
    const scene = await start();
    const events = record(scene, [...LIFE, ...TRAFFIC]);
    const will = { topicName: 'will', payload: 'gone' };
    const client = await scene.broker.connect({ version: 4, name: 'ann', username: 'Ann', will });
    await client.subscribe(['a/+', 'b'], 1);
    await client.unsubscribe('b');
    await client.publish('a/x', 'x', { qos: 2, retain: true });
    client.destroy();
    await scene.expectEnded({ 'connection-lost': 1 });
    const info: ClientInfo = expect.objectContaining({
      clientId: 'ann',
      username: 'Ann',
      protocolVersion: 4,
      transport: 'tcp',
    });
    const message = { topicName: 'a/x', payload: expect.anything(), qos: 2, retain: true, properties: {} };
    expect(events).toEqual([
      ['sessionCreated', 'ann'],
      ['clientConnected', info, false],
      ['subscribed', info, 'a/+', 1],
      ['subscribed', info, 'b', 1],
      ['unsubscribed', info, 'b'],
      ['published', info, message],
      ['sessionEnded', 'ann', 'connection closed'],
      ['willPublished', 'ann', expect.objectContaining({ topicName: 'will', qos: 0, retain: false })],
      ['clientDisconnected', info, 'connection-lost'],
    ]);
  });

  test('tell of publishes from inside, of drops, and of connections that were refused', async ({ start }) => {
    const scene = await start({
      hooks: { authenticate: ({ clientId }) => ({ allow: clientId !== 'bob', reasonCode: 0x87 }) },
    });
    const away = await scene.broker.connect({ name: 'ann', properties: { sessionExpiryInterval: 60 } });
    await away.subscribe('a');
    await away.disconnect();
    const events = record(scene, ['published', 'messageDropped', 'connectionRefused']);
    await scene.broker.broker.publish({ topicName: 'a', payload: 'x' });
    const bob = await scene.broker.open();
    bob.sendConnect({ clientId: 'bob' });
    await bob.expectConnack(ReasonCode.notAuthorized);
    await bob.expectClose();
    expect(events).toEqual([
      ['messageDropped', 'ann', 'a', 'offline'],
      ['published', undefined, expect.objectContaining({ topicName: 'a', qos: 0 })],
      ['connectionRefused', expect.stringMatching(/^127\.0\.0\.1:\d+$/), expect.stringMatching(/^refused: /)],
    ]);
  });

  test('listeners that throw or reject harm nothing, and off ends one', async ({ start }) => {
    const scene = await start();
    let calls = 0;
    const throwing = (): never => {
      calls += 1;
      throw new Error('a listener failed');
    };
    const rejecting = async (): Promise<never> => Promise.reject(new Error('a listener failed later'));
    for (const name of [...LIFE, ...TRAFFIC]) {
      // oxlint-disable-next-line typescript/no-misused-promises -- what programs do, and what has to be survived
      scene.broker.broker.on(name, rejecting);
      scene.broker.broker.on(name, throwing);
    }
    const client = await scene.broker.connect({ will: { topicName: 'a' } });
    await client.subscribe('a', 1);
    await client.publish('a', 'x', { qos: 1 });
    await client.expectMessage({ payload: 'x' });
    client.destroy();
    await scene.expectEnded({ 'connection-lost': 1 });
    expect(calls).toBeGreaterThan(6);
    for (const name of [...LIFE, ...TRAFFIC]) scene.broker.broker.off(name, throwing);
    const before = calls;
    await scene.broker.connect();
    expect(calls).toBe(before);
  });
});
