// A publisher and a subscriber in a process of their own, so that what the attackers take of theirs does not count: 50
// messages a second with QoS 1, each with its number and the time it was sent. Argument: the port of the broker. Each
// message from the parent is a number: once so many have come in this lap it ends. Publishing stops until all is delivered
// or 60 s have passed, and a report follows.
import { connect, type Socket } from 'node:net';
import { decodePacket, encodePacket } from '../../src/protocol/codec.ts';
import { Framer } from '../../src/protocol/framer.ts';
import { type Packet, PacketType } from '../../src/protocol/packets.ts';
import { connectPacket } from '../support/connect-packet.ts';
import type { CanaryReport } from './canary-report.ts';
import { CANARY_PASSWORD } from './canary-password.ts';

const INTERVAL_MS = 20;
const PATIENCE_MS = 60_000;
const TOPIC = 'canary/song';

class Bird {
  readonly #socket: Socket;
  readonly #framer = new Framer(1_000_000);
  readonly #awaited = new Map<number, () => void>();
  onPacket: (packet: Packet) => void = () => {};
  isGone = false;

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => (this.isGone = true));
    this.#socket.on('data', (chunk: Buffer) => {
      this.#framer.push(chunk);
      while (this.#framer.next()) {
        const packet = decodePacket(this.#framer, 5);
        this.#awaited.get(packet.type)?.();
        this.onPacket(packet);
      }
    });
  }

  send(packet: Packet): void {
    this.#socket.write(encodePacket(packet, 5));
  }

  async ask(packet: Packet, answer: PacketType): Promise<void> {
    const answered = new Promise<void>((resolve) => this.#awaited.set(answer, resolve));
    this.send(packet);
    await answered;
  }
}

const port = Number(process.argv[2]);
const publisher = new Bird(port);
const subscriber = new Bird(port);
const login = { username: 'canary', password: CANARY_PASSWORD };
await publisher.ask(connectPacket(5, 'canary-publisher', login), PacketType.connack);
await subscriber.ask(connectPacket(5, 'canary-subscriber', login), PacketType.connack);
const subscription = {
  topicFilter: TOPIC,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
} as const;
await subscriber.ask(
  { type: PacketType.subscribe, packetId: 1, subscriptions: [subscription], properties: {} },
  PacketType.suback,
);

let sent = 0;
let received = 0;
let acknowledged = 0;
let disorders = 0;
let latencies: number[] = [];

publisher.onPacket = (packet) => {
  if (packet.type === PacketType.puback && packet.reasonCode < 0x80) acknowledged += 1;
};
subscriber.onPacket = (packet) => {
  if (packet.type !== PacketType.publish) return;
  const payload = Buffer.from(packet.payload);
  if (payload.readUInt32BE(0) !== received) disorders += 1;
  received += 1;
  latencies.push(performance.now() - payload.readDoubleBE(4));
  subscriber.send({ type: PacketType.puback, packetId: packet.packetId, reasonCode: 0, properties: {} });
};

function publish(): void {
  const payload = Buffer.alloc(12);
  payload.writeUInt32BE(sent, 0);
  payload.writeDoubleBE(performance.now(), 4);
  const packetId = (sent % 65_535) + 1;
  sent += 1;
  publisher.send({
    type: PacketType.publish,
    dup: false,
    qos: 1,
    retain: false,
    topicName: TOPIC,
    packetId,
    payload,
    properties: {},
  });
}

let timer = setInterval(publish, INTERVAL_MS);

async function until(isDone: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isDone() && performance.now() < deadline)
    await new Promise((resolve) => {
      setTimeout(resolve, INTERVAL_MS);
    });
}

async function finishLap(messagesMin: number): Promise<CanaryReport> {
  await until(() => latencies.length >= messagesMin);
  clearInterval(timer);
  await until(() => received === sent && acknowledged === sent);
  const sorted = latencies.sort((a, b) => a - b);
  latencies = [];
  const at = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
  timer = setInterval(publish, INTERVAL_MS);
  const isGone = publisher.isGone || subscriber.isGone;
  const messages = sorted.length;
  return {
    messages,
    lost: sent - received,
    unacknowledged: sent - acknowledged,
    disorders,
    isGone,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

process.on('message', (messagesMin: number) => void finishLap(messagesMin).then((report) => process.send?.(report)));
process.on('disconnect', () => process.exit(0));
process.send?.({ kind: 'singing' });
