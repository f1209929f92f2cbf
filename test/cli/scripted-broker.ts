import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { generate, type Packet, parser } from 'mqtt-packet';

/** One client of a scripted broker. */
export interface ScriptedClient {
  readonly socket: Socket;
  /** What the client has sent so far. */
  readonly received: Packet[];
  send(packet: Packet): void;
}

/** Says how a broker answers a packet. */
export type Script = (packet: Packet, client: ScriptedClient) => void;

/** A broker that does what the test says, on an independent codec: for refusals and ill manners a real one does not show. */
export class ScriptedBroker {
  readonly #server: Server;
  readonly clients: ScriptedClient[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a free port of loopback. */
  static async listen(script: Script): Promise<ScriptedBroker> {
    const server = createServer();
    const broker = new ScriptedBroker(server);
    server.on('connection', (socket) => broker.#accept(socket, script));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return broker;
  }

  get port(): string {
    return String((this.#server.address() as AddressInfo).port);
  }

  /** All packets of all clients, in order of arrival per client. */
  get received(): Packet[] {
    return this.clients.flatMap((client) => client.received);
  }

  close(): void {
    this.#server.close();
    for (const { socket } of this.clients) socket.destroy();
  }

  #accept(socket: Socket, script: Script): void {
    let protocolVersion = 4;
    const decoder = parser();
    const client: ScriptedClient = {
      socket,
      received: [],
      send: (packet) => void socket.write(generate(packet, { protocolVersion })),
    };
    this.clients.push(client);
    decoder.on('packet', (packet) => {
      if (packet.cmd === 'connect') protocolVersion = packet.protocolVersion ?? 4;
      client.received.push(packet);
      script(packet, client);
    });
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => decoder.parse(chunk));
  }
}

/** Accepts everything as a broker should; `overrides` come first and say whether they have answered. */
export function politeScript(overrides: (packet: Packet, client: ScriptedClient) => boolean = () => false): Script {
  return (packet, client) => {
    if (overrides(packet, client)) return;
    const messageId = packet.messageId ?? 0;
    if (packet.cmd === 'connect') {
      client.send({ cmd: 'connack', reasonCode: 0, returnCode: 0, sessionPresent: false });
    } else if (packet.cmd === 'publish' && packet.qos > 0) {
      client.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId, reasonCode: 0 });
    } else if (packet.cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId, reasonCode: 0 });
    else if (packet.cmd === 'subscribe') {
      client.send({ cmd: 'suback', messageId, granted: packet.subscriptions.map(({ qos }) => qos) });
    } else if (packet.cmd === 'unsubscribe') {
      client.send({ cmd: 'unsuback', messageId, granted: packet.unsubscriptions.map(() => 0) });
    } else if (packet.cmd === 'disconnect') client.socket.end();
  };
}
