import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, ClientFactory, ConnectOptions } from '../../src/client/client.ts';
import { MqttJsClients } from '../../src/client/mqttjs-client.ts';
import { PacketClients } from '../../src/client/packet-client.ts';
import { Random } from '../../src/lib/random.ts';
import { SystemTimers } from '../../src/lib/timers.ts';
import { Links } from '../../src/wire/links.ts';
import { hasMosquitto, type RealBroker, startMosquitto, startTrellis } from './real-broker.ts';
import { RecordingClientHandler } from './recording-client-handler.ts';

const messages = 300;
const timers = new SystemTimers();
const links = new Links(timers, new Random(1));
const kinds: Readonly<Record<string, ClientFactory>> = {
  packet: new PacketClients(timers, links),
  mqttjs: new MqttJsClients(timers, links),
};
const combinations = Object.keys(kinds).flatMap((kind) => ([3, 4, 5] as const).map((version) => ({ kind, version })));

/** A client that comes back whenever its connection ends, until it is stopped. */
class Stubborn {
  readonly handler: RecordingClientHandler = new RecordingClientHandler();
  readonly client: Client;
  readonly #connect: () => void;
  #isStopped = false;

  constructor(factory: ClientFactory, port: number, options: Pick<ConnectOptions, 'clientId' | 'version'>) {
    this.client = factory.create(this.handler, { window: 20 });
    const endpoint = { transport: 'tcp', host: '127.0.0.1', port, path: '/mqtt' } as const;
    const rest = { cleanStart: false, sessionExpirySeconds: 600, keepAliveSeconds: 30 };
    this.#connect = () =>
      this.client.connect(endpoint, { profile: {}, localAddress: undefined }, { ...options, ...rest });
    for (const cause of ['peer', 'error', 'destroyed', 'ended', 'malformed', 'disconnected-by-broker', 'timeout']) {
      this.handler.reactions.set(`end ${cause}`, () => {
        if (!this.#isStopped) setImmediate(this.#connect);
      });
    }
    this.#connect();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.client.state === 'idle') return;
    const ended = new Promise<void>((resolve) => {
      for (const cause of ['ended', 'destroyed']) this.handler.reactions.set(`end ${cause}`, resolve);
    });
    this.client.disconnect();
    await ended;
  }
}

function describeBroker(start: () => Promise<RealBroker>): void {
  let broker: RealBroker;

  beforeAll(async () => {
    broker = await start();
  });

  afterAll(async () => {
    await broker.stop();
    links.close();
    timers.clear();
  });

  it.each(combinations)('nothing is lost over cuts, and QoS 2 comes once: $kind, version $version', async (which) => {
    const { kind, version } = which;
    const factory = kinds[kind] as ClientFactory;
    const random = new Random(version);
    const topicName = `cuts/${kind}/${version}`;
    const taker = new Stubborn(factory, broker.port, { clientId: `taker${kind}${version}`, version });
    await until(() => taker.client.state === 'connected');
    taker.client.subscribe([{ topicFilter: topicName, qos: 2 }]);
    await taker.handler.until(`subscribed ${topicName} 2`);
    const sender = new Stubborn(factory, broker.port, { clientId: `sender${kind}${version}`, version });
    const told = (): number => new Set(taker.handler.messages.map(({ text }) => text)).size;
    for (let token = 1; token <= messages; token++) {
      const qos = token % 2 === 0 ? 2 : 1;
      sender.client.publish({ topicName, payload: Buffer.from(`${token}`), qos, retain: false, token });
      if (token % 20 !== 0) continue;
      // In the middle of this, and not while it connects: Mosquitto 2.0.11 sends a QoS 2 message again after its PUBREL
      // when PUBCOMP got lost and the connection after that one is cut before it got CONNACK.
      const enough = token - random.below(20);
      await until(() => told() >= enough && sender.client.state === 'connected' && taker.client.state === 'connected');
      if (random.chance(0.7)) sender.client.crash();
      if (random.chance(0.7)) taker.client.crash();
    }
    await until(() => sender.client.inFlight === 0 && told() === messages);
    await sender.stop();
    await taker.stop();

    const ofTwo = taker.handler.messages.map(({ text }) => Number(text)).filter((token) => token % 2 === 0);
    expect(ofTwo).toEqual(Array.from({ length: messages / 2 }, (_, at) => 2 * at + 2));
    for (const { handler } of [sender, taker]) {
      expect(handler.ends.filter(({ cause }) => cause === 'malformed')).toEqual([]);
      expect(handler.events.filter((event) => event.startsWith('abandoned'))).toEqual([]);
    }
    expect(sender.handler.ends.length).toBeGreaterThan(2);
    const sent = sender.handler.events.filter((event) => event.startsWith('sent '));
    expect(sent).toEqual(Array.from({ length: messages }, (_, at) => `sent ${at + 1}`));
  });
}

/** Waits turn by turn; the test's own time-out ends it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe('clients and Trellis', () => {
  describeBroker(startTrellis);
});

// Mosquitto comes from the system's packages, which a developer's machine need not have.
describe.skipIf(!hasMosquitto)('clients and Mosquitto', () => {
  describeBroker(startMosquitto);
});
