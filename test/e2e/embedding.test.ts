import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { createBroker, NodeStream, ReasonCode } from '../../src/index.ts';
import { MqttJs } from './mqttjs-client.ts';

const NO_LISTENERS = { tcp: { port: 'off' }, websocket: { port: 'off' } } as const;
const FREE_PORT = { tcp: { port: 0 }, websocket: { port: 'off' } } as const;

test('sockets of a server of the program itself are connections like any other', async () => {
  const broker = await createBroker({ listeners: NO_LISTENERS });
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
    broker.accept(new NodeStream(socket, 'own', '')),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transports: string[] = [];
  broker.on('clientConnected', ({ transport }) => transports.push(transport));
  const client = new MqttJs(`mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`, { protocolVersion: 4 });
  await client.connect();
  await client.client.subscribeAsync('a', { qos: 2 });
  await client.client.publishAsync('a', 'x', { qos: 2 });
  expect((await client.until(1)).map(({ text }) => text)).toEqual(['x']);
  expect(transports).toEqual(['own']);
  await client.client.endAsync();
  server.close();
  await broker.close();
});

test('two brokers in one process know nothing of each other', async () => {
  const brokers = [await createBroker({ listeners: FREE_PORT }), await createBroker({ listeners: FREE_PORT })];
  const clients = brokers.map(({ listeners }) => new MqttJs(listeners[0]?.url ?? '', { clientId: 'same' }));
  for (const client of clients) {
    await client.connect();
    await client.client.subscribeAsync('#', { qos: 1 });
  }
  await brokers[0]?.publish({ topicName: 'to/first', payload: '1', qos: 1 });
  await brokers[1]?.publish({ topicName: 'to/second', payload: '2', qos: 1 });
  for (const client of clients) await client.until(1);
  expect(clients.map(({ heard }) => heard.map(({ topic }) => topic))).toEqual([['to/first'], ['to/second']]);
  for (const client of clients) await client.client.endAsync();
  for (const broker of brokers) await broker.close();
});

test('hooks decide who comes in, what they may do, and what a message becomes', async () => {
  const broker = await createBroker({
    listeners: FREE_PORT,
    hooks: {
      authenticate: ({ username }) =>
        username === 'kitchen' ? { allow: true } : { allow: false, reasonCode: ReasonCode.badUserNameOrPassword },
      authorize: (client, { topic }) => topic.startsWith(`${client.username}/`),
      onPublish: (_client, message) => ({ ...message, payload: Buffer.from('changed') }),
    },
  });
  const url = broker.listeners[0]?.url ?? '';
  const stranger = new MqttJs(url, { protocolVersion: 5, username: 'cellar' });
  const refused = new Promise<number | undefined>((resolve) => {
    stranger.client.once('packetreceive', (packet) => resolve('reasonCode' in packet ? packet.reasonCode : undefined));
  });
  stranger.client.connect();
  expect(await refused).toBe(ReasonCode.badUserNameOrPassword);
  await stranger.abandon();
  const client = new MqttJs(url, { protocolVersion: 5, username: 'kitchen' });
  await client.connect();
  await client.client.subscribeAsync('kitchen/#', { qos: 1 });
  await expect(client.client.publishAsync('cellar/door', 'open', { qos: 1 })).rejects.toThrow('Not authorized');
  await client.client.publishAsync('kitchen/door', 'open', { qos: 1 });
  expect((await client.until(1)).map(({ topic, text }) => `${topic} ${text}`)).toEqual(['kitchen/door changed']);
  await client.client.endAsync();
  const { received, refused: publishesRefused } = broker.counters().messages;
  expect(publishesRefused).toBe(1);
  expect(received).toBeGreaterThan(0);
  await broker.close();
});
