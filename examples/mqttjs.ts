// MQTT.js in Node: publish, subscribe, and a question with its answer. Run: npx node examples/mqttjs.ts [URL]
import mqtt from 'mqtt';

const url = process.argv[2] ?? 'mqtt://127.0.0.1:1883';
const service = await mqtt.connectAsync(url, { protocolVersion: 5 });
const asker = await mqtt.connectAsync(url, { protocolVersion: 5 });

// The service answers where the question says, with the correlation data that came with it.
service.on('message', (_topic, payload, { properties }) => {
  if (properties?.responseTopic === undefined) return;
  const answer = String(Number(payload) ** 2);
  const { correlationData } = properties;
  service.publish(properties.responseTopic, answer, {
    qos: 1,
    properties: correlationData === undefined ? {} : { correlationData },
  });
});
await service.subscribeAsync('demo/square', { qos: 1 });

const answered = new Promise<string>((resolve) => {
  asker.on('message', (topic, payload, { properties }) => {
    resolve(`${topic}: the square of ${String(properties?.correlationData)} is ${String(payload)}`);
  });
});
await asker.subscribeAsync('demo/answers', { qos: 1 });
await asker.publishAsync('demo/square', '12', {
  qos: 1,
  properties: { responseTopic: 'demo/answers', correlationData: Buffer.from('12') },
});
console.log(await answered);

await asker.endAsync();
await service.endAsync();
