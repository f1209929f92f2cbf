import { connect } from 'node:net';
import { generate, parser as newParser } from 'mqtt-packet';

/** What a client that subscribes afresh finds retained, by topic name; undefined for nothing. */
export function readRetained(port: number, topicNames: readonly string[]): Promise<Map<string, string | undefined>> {
  const found: Map<string, string | undefined> = new Map(topicNames.map((topicName) => [topicName, undefined]));
  const subscriptions = topicNames.map((topic) => ({ topic, qos: 0 as const }));
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const parser = newParser();
  const send = (packet: Parameters<typeof generate>[0]): void => void socket.write(generate(packet));
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the broker closed the connection')));
    socket.on('data', (chunk) => parser.parse(chunk as Buffer));
    socket.on('connect', () => {
      send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'reader', keepalive: 0 });
      send({ cmd: 'subscribe', messageId: 1, subscriptions });
      send({ cmd: 'pingreq' });
    });
    parser.on('packet', (packet) => {
      if (packet.cmd === 'publish' && packet.retain) found.set(packet.topic, packet.payload.toString());
      // Retained messages of few topics follow SUBACK at once, and so are before the answer to what came behind.
      if (packet.cmd !== 'pingresp') return;
      resolve(found);
      socket.destroy();
    });
  });
}
