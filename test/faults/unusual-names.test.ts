import { describe, expect } from 'vitest';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { test } from './scene.ts';

const VERSIONS = [3, 4, 5] as const;
/** Client ids and topic levels that trip up those who keep them as keys of objects, or tidy them up. */
const UNUSUAL: readonly string[] = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '$SYS',
  '\u{1f980}\u{1f9a0}',
  '\ufeff',
  '\ufeffbom',
  'caf\u00e9',
  'cafe\u0301',
  '\u0085\u2028\u2029',
  ' ',
  "'; drop table sessions; --",
  '%s%n${x}{{x}}',
  '\ud7ff\ue000\uffff',
  'x'.repeat(60_000),
];

describe.each(VERSIONS)('client ids and topics that trip up the careless, version %s', (version) => {
  const kept = version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {};

  test('each is a client, a user and a topic of its own', async ({ start }) => {
    const scene = await start();
    const publisher = await scene.broker.connect({ clientId: 'publisher' });
    for (const name of UNUSUAL) {
      const connect = { version, clientId: name, username: name.slice(0, 100), cleanStart: false, ...kept };
      const client = await scene.broker.connect(connect);
      expect(client.connack.sessionPresent).toBe(false);
      await client.subscribe(`names/${name}`, 1);
      await client.disconnect();
    }
    for (const name of UNUSUAL) await publisher.publish(`names/${name}`, name, { qos: 1, retain: true });
    for (const name of UNUSUAL) {
      const connect = { version, clientId: name, username: name.slice(0, 100), cleanStart: false, ...kept };
      const client = await scene.broker.connect(connect);
      expect(client.connack.sessionPresent).toBe(version !== 3);
      await client.expectMessage({ topicName: `names/${name}`, payload: name, qos: 1 });
      await client.expectNothing();
      await client.unsubscribe(`names/${name}`);
      await client.disconnect();
    }
    const { sessions, retained, subscriptions } = scene.broker.broker.counters();
    expect({ sessions, retained: retained.count, subscriptions }).toEqual({
      sessions: UNUSUAL.length + 3,
      retained: UNUSUAL.length,
      subscriptions: 1,
    });
  });

  test('each as a level of its own, and as a share name', async ({ start }) => {
    const scene = await start();
    const publisher = await scene.broker.connect();
    const short = UNUSUAL.filter((name) => name.length < 100);
    for (const name of short) {
      const client = await scene.broker.connect({ version });
      const shareName = name.replaceAll(/[/+#]/g, '-');
      await client.subscribe([`+/${name}/x`, `$share/${shareName}/shared/${name}/#`], 1);
      for (const other of short) {
        await publisher.publish(`levels/${other}/x`, other);
        await publisher.publish(`shared/${other}`, other);
      }
      await client.expectMessage({ topicName: `levels/${name}/x`, payload: name });
      await client.expectMessage({ topicName: `shared/${name}`, payload: name });
      await client.expectNothing();
      await client.disconnect();
    }
  });
});

describe('client ids of the broker itself', () => {
  test.for(VERSIONS)('cannot be had by clients, version %s', async (version, { start }) => {
    const scene = await start();
    const heard: string[] = [];
    scene.broker.broker.subscribe('a', ({ payload }) => void heard.push(Buffer.from(payload).toString()), { qos: 1 });
    for (const cleanStart of [false, true]) {
      const client = await scene.broker.open({ version });
      client.sendConnect({ clientId: '$local/1', cleanStart });
      await client.expectConnack(version === 5 ? ReasonCode.clientIdentifierNotValid : 2);
      await client.expectClose();
    }
    await scene.broker.broker.publish({ topicName: 'a', payload: 'x', qos: 1 });
    await scene.expectUnharmed();
    expect(heard).toEqual(['x']);
    await scene.expectEnded({ refused: 2 });
  });
});
