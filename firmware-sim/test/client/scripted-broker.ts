import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet';
import type { Endpoint } from '../../src/wire/endpoint.ts';

type Named<Command extends Packet['cmd']> = Extract<Packet, { cmd: Command }>;

/** A broker that does nothing by itself: a test says what it answers, packet by packet. */
export class ScriptedBroker {
  readonly #server: Server;
  readonly #arrived: BrokerSide[] = [];
  readonly #all: BrokerSide[] = [];
  readonly #waiting: ((side: BrokerSide) => void)[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      const side = new BrokerSide(socket);
      this.#all.push(side);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#arrived.push(side);
      else waiting(side);
    });
  }

  static async start(): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker(createServer());
    broker.#server.listen(0, '127.0.0.1');
    await once(broker.#server, 'listening');
    return broker;
  }

  get endpoint(): Endpoint {
    const { port } = this.#server.address() as AddressInfo;
    return { transport: 'tcp', host: '127.0.0.1', port, path: '/mqtt' };
  }

  /** The next connection. */
  async accept(): Promise<BrokerSide> {
    return this.#arrived.shift() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }

  async stop(): Promise<void> {
    for (const side of this.#all) side.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** One connection from the broker's side. */
export class BrokerSide {
  readonly #socket: Socket;
  readonly #packets: (Packet | 'closed')[] = [];
  readonly #waiting: ((packet: Packet | 'closed') => void)[] = [];
  #version: 3 | 4 | 5 = 4;
  #received: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    const packets = parser();
    packets.on('packet', (packet) => {
      if (packet.cmd === 'connect') this.#version = packet.protocolVersion ?? 4;
      this.#take(packet);
    });
    packets.on('error', (error: Error) => this.#take({ cmd: 'error', text: error.message } as never));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      packets.parse(chunk);
    });
    socket.on('close', () => this.#take('closed'));
  }

  /** All bytes that came. */
  get received(): Buffer {
    return this.#received;
  }

  /** Packets that came and were not asked for yet. */
  get queued(): number {
    return this.#packets.length;
  }

  /** The next packet, which must be of this kind. */
  async expect<Command extends Packet['cmd']>(command: Command): Promise<Named<Command>> {
    const packet = await this.#next();
    if (packet === 'closed' || packet.cmd !== command) {
      throw new Error(`expected ${command}, got ${JSON.stringify(packet)}`);
    }
    return packet as Named<Command>;
  }

  /** The next packet, whatever it is. */
  async expectAny(): Promise<Packet> {
    const packet = await this.#next();
    if (packet === 'closed') throw new Error('expected a packet, got the end');
    return packet;
  }

  /** The connection must end now, with nothing more on it. */
  async expectClosed(): Promise<void> {
    const packet = await this.#next();
    if (packet !== 'closed') throw new Error(`expected the end, got ${JSON.stringify(packet)}`);
  }

  /** CONNECT, answered with success. */
  async welcome(connack: { sessionPresent?: boolean; properties?: object } = {}): Promise<IConnectPacket> {
    const connect = await this.expect('connect');
    const { sessionPresent = false, properties } = connack;
    this.send({ cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent, ...(properties && { properties }) });
    return connect;
  }

  send(...packets: readonly Packet[]): void {
    const bytes = packets.map((packet) => generate(packet, { protocolVersion: this.#version }));
    this.#socket.write(Buffer.concat(bytes));
  }

  sendBytes(...bytes: readonly number[]): void {
    this.#socket.write(Buffer.from(bytes));
  }

  /** Ends the connection at once. */
  cut(): void {
    this.#socket.destroy();
  }

  /** Closes in order. */
  end(): void {
    this.#socket.end();
  }

  #take(packet: Packet | 'closed'): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#packets.push(packet);
    else waiting(packet);
  }

  async #next(): Promise<Packet | 'closed'> {
    return this.#packets.shift() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }
}
