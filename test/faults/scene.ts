import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test as base, type TestAPI } from 'vitest';
import type { DisconnectReason } from '../../src/connection/disconnect-reasons.ts';
import type { ProtocolVersion, Qos } from '../../src/protocol/packets.ts';
import { expectBalanced } from '../support/balance.ts';
import { RawClient } from '../support/raw-client.ts';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../support/test-broker.ts';

const WAIT_MS = 30_000;
const POLL_MS = 2;

/** Clients that belong to the canary have this in front of their client ids and topics. */
export const CANARY = 'canary';

/** A client over TCP that can also end its half of the connection, or reset it. */
export interface SocketClient {
  readonly client: RawClient;
  readonly socket: Socket;
}

/**
 * A broker under attack. Next to whatever a test does to it there is a pair of clients that must notice nothing: a
 * publisher of MQTT 5.0 over TCP and a subscriber of 3.1.1 over WebSocket.
 */
export class Scene {
  readonly broker: TestBroker;
  readonly #publisher: RawClient;
  readonly #subscriber: RawClient;
  readonly #sockets: SocketClient[] = [];
  #songs = 0;
  #wake: (() => void)[] = [];

  constructor(broker: TestBroker, publisher: RawClient, subscriber: RawClient) {
    this.broker = broker;
    this.#publisher = publisher;
    this.#subscriber = subscriber;
    const wake = (): void => {
      for (const resolve of this.#wake.splice(0)) resolve();
    };
    broker.broker.on('clientDisconnected', wake);
    broker.broker.on('connectionRefused', wake);
  }

  /** Asserts that the canary lives: a message of each QoS comes through, once and alone. */
  async expectUnharmed(): Promise<void> {
    for (const qos of [0, 1, 2] as const) {
      this.#songs += 1;
      await this.#publisher.publish(`${CANARY}/song`, `${this.#songs}`, { qos: qos satisfies Qos });
      await this.#subscriber.expectMessage({ topicName: `${CANARY}/song`, payload: `${this.#songs}`, qos });
    }
    await this.#subscriber.expectNothing();
    await this.#publisher.expectNothing();
  }

  /** Asserts that as many connections have ended as these sum up to, for exactly these reasons, once the last of them is noticed. */
  async expectEnded(expected: Partial<Record<DisconnectReason, number>>): Promise<void> {
    const total = Object.values(expected).reduce((sum, count) => sum + count, 0);
    while (this.#endedTotal() < total) await new Promise<void>((resolve) => this.#wake.push(resolve));
    expect(this.ended()).toEqual(expected);
  }

  /** Connections ended so far by reason, without the reasons that were none's. */
  ended(): Partial<Record<DisconnectReason, number>> {
    const { ended } = this.broker.broker.counters().connections;
    return Object.fromEntries(Object.entries(ended).filter(([, count]) => count > 0));
  }

  /** Waits until no connections but so many, and the canary's two, are open. */
  async untilOpen(count: number): Promise<void> {
    await until(() => this.broker.broker.counters().connections.open === count + 2, `${count} connections open`);
  }

  /** Waits until the broker has read so many bytes in all. */
  async untilReceived(bytes: number): Promise<void> {
    await until(() => this.received >= bytes, `${bytes} bytes received`);
  }

  /** Bytes the broker has read so far. */
  get received(): number {
    return this.broker.broker.counters().traffic.bytesReceived;
  }

  /** Opens a TCP connection of which the test has the socket itself. */
  async openSocket(
    version: ProtocolVersion = 5,
    name: string = `socket-${this.#sockets.length + 1}`,
  ): Promise<SocketClient> {
    const client = new RawClient(name, version);
    const socket = connect({ host: '127.0.0.1', port: this.broker.port, noDelay: true });
    let isReset = false;
    socket.on('data', (chunk: Buffer) => client.onBytes(chunk));
    socket.on('error', () => {
      isReset = true;
    });
    socket.on('close', () => client.onClose(isReset));
    await once(socket, 'connect');
    client.attach({
      write: (bytes) => void socket.write(bytes),
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      destroy: () => void socket.destroy(),
    });
    const opened = { client, socket };
    this.#sockets.push(opened);
    return opened;
  }

  /** Opens a WebSocket by hand, so that its frames may be as wrong as need be; it hangs up at the first close frame. */
  async openUpgraded(): Promise<Socket> {
    const { host, port, pathname } = new URL(this.broker.webSocketUrl);
    const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true });
    const key = randomBytes(16).toString('base64');
    const upgrade = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${key}`,
    ];
    const head = [`GET ${pathname} HTTP/1.1`, `Host: ${host}`, ...upgrade, 'Sec-WebSocket-Protocol: mqtt'];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    if (!answer.toString('latin1').startsWith('HTTP/1.1 101 '))
      throw new Error(`no upgrade: ${answer.toString('latin1')}`);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      if (chunk[0] === 0x88) socket.end();
    });
    return socket;
  }

  /** Asserts that nobody but the attackers noticed anything, that the books balance, and that nothing was sent against the rules. */
  async finish(): Promise<void> {
    await this.expectUnharmed();
    expectBalanced(this.broker.broker);
    for (const { socket } of this.#sockets) socket.destroy();
    const violations = this.#sockets.map(({ client }) => client.violation).filter((text) => text !== undefined);
    expect(violations, 'rules of the protocol the broker broke').toEqual([]);
  }

  #endedTotal(): number {
    return Object.values(this.ended()).reduce((sum, count) => sum + count, 0);
  }
}

/** Waits for a state of the broker of which no event tells. */
export async function until(isDone: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!isDone()) {
    if (performance.now() > deadline) throw new Error(`waited ${WAIT_MS} ms for ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

/** Starts a broker with its canary. */
export async function startScene(options: TestBrokerOptions = {}): Promise<Scene> {
  const broker = await startTestBroker(options);
  const publisher = await broker.connect({ name: `${CANARY}-publisher` });
  const subscriber = await broker.connect({ name: `${CANARY}-subscriber`, version: 4, transport: 'websocket' });
  await subscriber.subscribe(`${CANARY}/#`, 2);
  return new Scene(broker, publisher, subscriber);
}

/** What a test of faults may ask for. */
export interface FaultFixtures {
  /** Starts a broker with its canary; after the test the canary is looked at, the books too, and the broker closed. */
  start: (options?: TestBrokerOptions) => Promise<Scene>;
}

/** `test` for everything that is done to a broker. */
export const test: TestAPI<FaultFixtures> = base.extend<FaultFixtures>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what a fixture needs
  start: async ({}, use) => {
    const scenes: Scene[] = [];
    await use(async (options) => {
      const scene = await startScene(options);
      scenes.push(scene);
      return scene;
    });
    for (const scene of scenes) {
      await scene.finish();
      await scene.broker.close();
    }
  },
});
