import { connect } from 'node:net';
import { generate, parser as newParser } from 'mqtt-packet';

/** Retained by the reader itself while it reads; nobody subscribes to it. */
const MARK = 'kept/mark';

/** What a client that subscribes afresh finds retained, by topic name; undefined for nothing. */
export function readRetained(port: number, topicNames: readonly string[]): Promise<Map<string, string | undefined>> {
  const found: Map<string, string | undefined> = new Map(topicNames.map((topicName) => [topicName, undefined]));
  // What is retained comes in the order of the filters, sooner or later behind SUBACK: the mark is the end.
  const subscriptions = [...topicNames, MARK].map((topic) => ({ topic, qos: 0 as const }));
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const parser = newParser();
  const send = (packet: Parameters<typeof generate>[0]): void => void socket.write(generate(packet));
  const mark = (messageId: number, payload: string): void =>
    send({ cmd: 'publish', topic: MARK, messageId, payload, qos: 1, retain: true, dup: false });
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the broker closed the connection')));
    socket.on('data', (chunk) => parser.parse(chunk as Buffer));
    socket.on('connect', () => {
      send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'reader', keepalive: 0 });
      mark(1, 'mark');
    });
    parser.on('packet', (packet) => {
      if (packet.cmd === 'puback' && packet.messageId === 1) send({ cmd: 'subscribe', messageId: 2, subscriptions });
      if (packet.cmd === 'publish' && packet.retain) {
        if (packet.topic === MARK) mark(3, '');
        else found.set(packet.topic, packet.payload.toString());
      }
      if (packet.cmd !== 'puback' || packet.messageId !== 3) return;
      resolve(found);
      socket.destroy();
    });
  });
}
