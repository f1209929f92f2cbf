import { describe, expect } from 'vitest';
import type { HookMessage } from '../../src/hooks/hooks.ts';
import { type Broker, ConfigError, createBroker, ReasonCode } from '../../src/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { HeldStore } from '../session/held-store.ts';
import { openTcp } from '../support/client-socket.ts';
import { RawClient } from '../support/raw-client.ts';
import { test, until } from './scene.ts';

const LISTENERS = { tcp: { port: 0 }, websocket: { port: 'off' } } as const;
const VERSIONS = [3, 4, 5] as const;
/** Everything a subscription from inside hears. */
function listen(broker: Broker, topicFilter: string, options: { qos?: 0 | 1 } = {}): HookMessage[] {
  const heard: HookMessage[] = [];
  broker.subscribe(topicFilter, (message) => void heard.push(message), options);
  return heard;
}

function textsOf(messages: readonly HookMessage[]): string[] {
  return messages.map(({ payload }) => Buffer.from(payload).toString());
}

/** A client of a broker that was made by `createBroker`. */
async function clientOf(broker: Broker, name: string): Promise<RawClient> {
  const client = new RawClient(name, 5);
  client.attach(await openTcp('127.0.0.1', broker.listeners[0]?.port ?? 0, client));
  await client.connect();
  return client;
}

describe('createBroker', () => {
  test('runs several brokers side by side that know nothing of each other', async () => {
    const brokers = await Promise.all([1, 2, 3].map(() => createBroker({ listeners: LISTENERS })));
    const clients = await Promise.all(brokers.map((broker) => clientOf(broker, 'same')));
    for (const client of clients) await client.subscribe('a', 1);
    for (const [index, broker] of brokers.entries()) {
      await broker.publish({ topicName: 'a', payload: `${index}`, qos: 1, retain: true });
      await clients[index]?.expectMessage({ payload: `${index}`, qos: 1 });
    }
    for (const client of clients) await client.expectNothing();
    await brokers[0]?.close();
    await clients[0]?.expectDisconnect(ReasonCode.serverShuttingDown);
    await clients[1]?.expectNothing();
    expect(brokers.map((broker) => broker.counters().connections.clients)).toEqual([0, 1, 1]);
    await Promise.all(brokers.map((broker) => broker.close()));
  });

  test('refuses a wrong configuration, a port in use, and to be reachable by strangers', async () => {
    await expect(createBroker({ limits: { receiveMaximum: 0 } })).rejects.toThrow(ConfigError);
    const broker = await createBroker({ listeners: LISTENERS });
    const port = broker.listeners[0]?.port ?? 0;
    await expect(createBroker({ listeners: { tcp: { port }, websocket: { port: 'off' } } })).rejects.toThrow(
      /EADDRINUSE/,
    );
    await broker.close();
    const exposed = { tcp: { host: '0.0.0.0', port: 0 }, websocket: { port: 'off' } } as const;
    await expect(createBroker({ listeners: exposed })).rejects.toThrow(ConfigError);
    const decided = await createBroker({ listeners: exposed, hooks: { authenticate: () => ({ allow: true }) } });
    await decided.close();
    // What failed has let go of everything: the port is free.
    const again = await createBroker({ listeners: { tcp: { port }, websocket: { port: 'off' } } });
    await again.close();
  });
});

describe('publish and subscribe from inside', () => {
  test.for([0, 1] as const)('a message goes through in both directions, QoS %s', async (qos, { start }) => {
    const scene = await start();
    const { broker } = scene.broker;
    const heard = listen(broker, 'inside/#', { qos });
    for (const version of VERSIONS) {
      const client = await scene.broker.connect({ version });
      await client.subscribe('inside/#', 2);
      await broker.publish({ topicName: 'inside/a', payload: 'from inside', qos });
      await client.expectMessage({ topicName: 'inside/a', payload: 'from inside', qos });
      await client.publish('inside/b', 'from outside', { qos });
      await client.expectMessage({ topicName: 'inside/b' });
      await client.disconnect();
    }
    expect(textsOf(heard)).toEqual(VERSIONS.flatMap(() => ['from inside', 'from outside']));
    expect(heard.every((message) => message.qos === qos && !message.retain)).toBe(true);
    expect(broker.counters().messages.queued).toBe(0);
  });

  test('retained messages are kept, replayed and removed, and properties go along', async ({ start }) => {
    const scene = await start({ clock: new FakeClock() });
    const { broker } = scene.broker;
    const properties = {
      contentType: 'text/plain',
      messageExpiryInterval: 60,
      userProperties: [['k', 'v']] as [string, string][],
    };
    await broker.publish({ topicName: 'kept', payload: Buffer.from('x'), qos: 1, retain: true, properties });
    const heard = listen(broker, 'kept');
    const client = await scene.broker.connect();
    await client.subscribe('kept', 1);
    expect((await client.expectMessage({ payload: 'x', retain: true })).properties).toEqual(properties);
    scene.broker.advance(20_000);
    await client.subscribe('kept', 1);
    expect((await client.expectMessage({ payload: 'x' })).properties.messageExpiryInterval).toBe(40);
    await scene.expectUnharmed();
    expect(heard).toEqual([
      { topicName: 'kept', payload: new Uint8Array(Buffer.from('x')), qos: 0, retain: true, properties },
    ]);
    await broker.publish({ topicName: 'kept', payload: '', retain: true });
    expect(broker.counters().retained.count).toBe(0);
  });

  test('the buffer of a message is free for other use once publish was called', async ({ start }) => {
    const scene = await start();
    const { broker } = scene.broker;
    const away = { clientId: 'away', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    const before = await scene.broker.connect(away);
    await before.subscribe('a', 1);
    await before.disconnect();
    const payload = Buffer.alloc(4000, 'a');
    const published = broker.publish({ topicName: 'a', payload, qos: 1, retain: true });
    payload.fill('b');
    await published;
    const after = await scene.broker.connect(away);
    await after.expectMessage({ payload: Buffer.alloc(4000, 'a') });
    await after.subscribe('a', 1);
    await after.expectMessage({ payload: Buffer.alloc(4000, 'a'), retain: true });
  });

  test('a publish with QoS 1 resolves when it is durable, not before', async ({ start }) => {
    const store = new HeldStore();
    const scene = await start({ store });
    const away = await scene.broker.connect({ clientId: 'away', properties: { sessionExpiryInterval: 60 } });
    await away.subscribe('a', 1);
    await away.disconnect();
    store.isHeld = true;
    let isDone = false;
    const published = scene.broker.broker.publish({ topicName: 'a', payload: 'x', qos: 1 }).then(() => (isDone = true));
    await until(() => store.waiting === 1, 'the commit');
    expect(isDone).toBe(false);
    store.isHeld = false;
    store.release();
    await published;
    expect(store.applied.some(({ kind }) => kind === 'queue-put')).toBe(true);
  });

  test('what cannot be published or subscribed to is an error of the caller', async ({ start }) => {
    const scene = await start({ config: { retained: { messagesMax: 1 } } });
    const { broker } = scene.broker;
    for (const topicName of ['', 'a/#', '+', 'nul\0', '\ud800', 'x'.repeat(65_536)]) {
      await expect(broker.publish({ topicName, payload: 'x' })).rejects.toThrow(RangeError);
    }
    for (const topicFilter of ['', 'a#', 'a/#/b', 'b+', '$share/a', '$share//a', '$share/a+/b', 'nul\0']) {
      expect(() => broker.subscribe(topicFilter, () => undefined), topicFilter).toThrow(RangeError);
    }
    await broker.publish({ topicName: 'one', payload: 'x', qos: 1, retain: true });
    await expect(broker.publish({ topicName: 'two', payload: 'x', qos: 1, retain: true })).rejects.toThrow(RangeError);
    await expect(broker.publish({ topicName: 'a', payload: 'x', properties: { contentType: '\0' } })).rejects.toThrow(
      RangeError,
    );
    expect(broker.counters().sessions).toBe(2);
  });

  test('a broker that is closed takes nothing more', async () => {
    const broker = await createBroker({ listeners: LISTENERS });
    await broker.close();
    await expect(broker.publish({ topicName: 'a', payload: 'x' })).rejects.toThrow('not running');
    expect(() => broker.subscribe('a', () => undefined)).toThrow('not running');
    expect(broker.disconnect('a')).toBe(false);
    expect(broker.counters().sessions).toBe(0);
  });

  test('a listener that throws, rejects or takes forever harms nobody, and loses nothing of QoS 1', async ({
    start,
  }) => {
    const scene = await start();
    const { broker } = scene.broker;
    const release = Promise.withResolvers<void>();
    let calls = 0;
    broker.subscribe(
      'a',
      () => {
        calls += 1;
        throw new Error('thrown');
      },
      { qos: 1 },
    );
    broker.subscribe(
      'a',
      () => {
        calls += 1;
        return Promise.reject(new Error('rejected'));
      },
      { qos: 1 },
    );
    broker.subscribe(
      'a',
      () => {
        calls += 1;
        return release.promise;
      },
      { qos: 1 },
    );
    const heard = listen(broker, 'a', { qos: 1 });
    const publisher = await scene.broker.connect();
    // The one that never ends takes 1024 messages, the rest is kept for it.
    for (let i = 0; i < 1100; i++) await publisher.publish('a', `${i}`, { qos: 1 });
    await until(() => calls === 1100 + 1100 + 1024 && heard.length === 1100, 'all heard');
    expect(broker.counters().messages.queued).toBe(1100);
    release.resolve();
    await until(() => calls === 3300, 'the rest');
    await until(() => broker.counters().messages.queued === 0, 'all acknowledged');
  });

  test('a subscription ends when it is told so, also from within its listener, and only once', async ({ start }) => {
    const scene = await start();
    const { broker } = scene.broker;
    const heard: string[] = [];
    const end = broker.subscribe('a', ({ payload }) => {
      heard.push(Buffer.from(payload).toString());
      end();
      end();
    });
    const endShared = broker.subscribe('$share/group/a', () => void heard.push('shared'));
    endShared();
    for (const text of ['one', 'two']) {
      await broker.publish({ topicName: 'a', payload: text });
      await scene.expectUnharmed();
    }
    expect(heard).toEqual(['one']);
    expect(broker.counters()).toMatchObject({ sessions: 2, subscriptions: 1 });
  });
});
