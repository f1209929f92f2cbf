// A broker inside a program, with rules of its own. Run: npx node examples/embedding.ts
import mqtt from 'mqtt';
import { createBroker, ReasonCode } from 'trellis-mqtt';

const broker = await createBroker({
  // Port 0 takes any free one. Everything is in memory unless `store` says otherwise.
  listeners: { tcp: { port: 0 }, websocket: { port: 'off' } },
  admin: { sysIntervalSeconds: 0 },
  hooks: {
    authenticate(client, connect) {
      const password = Buffer.from(connect.password ?? []).toString();
      if (client.username === 'kitchen' && password === 'salt') return { allow: true };
      return { allow: false, reasonCode: ReasonCode.badUserNameOrPassword };
    },
    // For each publish, topic filter and will: who may do what.
    authorize: (client, { action, topic }) => action === 'subscribe' || topic.startsWith(`${client.username}/`),
    onPublish(_client, message) {
      const text = Buffer.from(message.payload).toString();
      return { ...message, payload: Buffer.from(text.trim()) };
    },
  },
});
broker.on('clientConnected', (client) => console.log(`${client.username} is here`));
broker.on('messageDropped', (clientId, topicName, reason) => console.log(`${clientId} missed ${topicName}: ${reason}`));

const heard = new Promise<void>((resolve) => {
  broker.subscribe('kitchen/#', ({ topicName, payload }) => {
    console.log(`${topicName} is ${JSON.stringify(Buffer.from(payload).toString())}`);
    resolve();
  });
});

const url = broker.listeners[0]?.url ?? '';
const client = await mqtt.connectAsync(url, { protocolVersion: 5, username: 'kitchen', password: 'salt' });
await client.publishAsync('kitchen/temperature', ' 21.5 ', { qos: 1 });
await client.publishAsync('cellar/door', 'open', { qos: 1 }).catch((error: Error) => console.log(error.message));
await heard;
await client.endAsync();

const { received, refused } = broker.counters().messages;
console.log(`${received} received, ${refused} refused`);
await broker.close();
