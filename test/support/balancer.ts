import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { endRelay } from './relay-end.ts';

const HOST = '127.0.0.1';

/** A connection of a client, and where it was brought. */
interface Link {
  client: Socket;
  server: Socket;
  targetPort: number;
}

/**
 * A TCP balancer in front of ports of loopback: connections go to the next port in turn, and where nobody listens there to
 * the one after it. A side that ends or breaks off has the other end or break off. Use it with `await using`, or stop it.
 */
export class Balancer {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #targets: () => readonly number[];
  #turn = 0;

  private constructor(targets: () => readonly number[]) {
    this.#targets = targets;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
      // A client that is gone before it was brought anywhere needs nothing.
      client.on('error', () => undefined);
      this.#bring(client, this.#order());
    });
  }

  /** Opens a balancer. @param targets ports of 127.0.0.1, asked for each connection. */
  static async start(targets: () => readonly number[]): Promise<Balancer> {
    const balancer = new Balancer(targets);
    balancer.#server.listen(0, HOST);
    await once(balancer.#server, 'listening');
    return balancer;
  }

  /** Where it listens on 127.0.0.1. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open to a port. */
  connectionsTo(targetPort: number): number {
    return [...this.#links].filter((link) => link.targetPort === targetPort).length;
  }

  /** Breaks off the connections to a port, on the client's side at once. */
  drop(targetPort: number): void {
    for (const { client, server, targetPort: port } of this.#links) {
      if (port !== targetPort) continue;
      client.destroy();
      server.destroy();
    }
  }

  /** Closes everything. */
  stop(): Promise<void> {
    return endRelay(this.#server, this.#links);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** The ports from the next one in turn on. */
  #order(): number[] {
    const ports = this.#targets();
    const first = this.#turn % Math.max(1, ports.length);
    this.#turn += 1;
    return [...ports.slice(first), ...ports.slice(0, first)];
  }

  /** Brings a connection to the first of these ports that takes it. */
  #bring(client: Socket, ports: readonly number[]): void {
    const [targetPort, ...others] = ports;
    if (targetPort === undefined) {
      client.destroy();
      return;
    }
    const server = connect({ host: HOST, port: targetPort, allowHalfOpen: true, noDelay: true });
    const refused = (): void => this.#bring(client, others);
    server.once('error', refused);
    server.once('connect', () => {
      server.off('error', refused);
      this.#join({ client, server, targetPort });
    });
  }

  #join(link: Link): void {
    const { client, server } = link;
    this.#links.add(link);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      // Every error is followed by a close.
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#links.delete(link);
        to.destroySoon();
      });
      from.pipe(to);
    }
    if (client.destroyed) server.destroy();
  }
}
