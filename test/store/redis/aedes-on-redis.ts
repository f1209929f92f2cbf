import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { Aedes } from 'aedes';
import redisPersistence from 'aedes-persistence-redis';
import type { RedisServer } from '../../support/redis-server.ts';

const HOST = '127.0.0.1';

/** An Aedes broker on a Redis, as a deployment has it. */
export class AedesOnRedis {
  readonly aedes: Aedes;
  readonly persistence: ReturnType<typeof redisPersistence>;
  readonly port: number;
  readonly #server: Server;

  private constructor(parts: Pick<AedesOnRedis, 'aedes' | 'persistence'> & { server: Server }) {
    this.aedes = parts.aedes;
    this.persistence = parts.persistence;
    this.#server = parts.server;
    this.port = (parts.server.address() as AddressInfo).port;
  }

  static async start(redis: RedisServer): Promise<AedesOnRedis> {
    // It ends with the server: Aedes goes on with wills after it has closed.
    const conn = redis.client().duplicate({ retryStrategy: () => null });
    conn.on('error', () => undefined);
    const persistence = redisPersistence({ conn });
    const aedes = await Aedes.createBroker({ persistence });
    const server = createServer(aedes.handle).listen(0, HOST);
    await once(server, 'listening');
    return new AedesOnRedis({ aedes, persistence, server });
  }

  get url(): string {
    return `mqtt://${HOST}:${this.port}`;
  }

  /** Resolves once the broker has dealt with the message, its persistence included. */
  publish(topic: string, payload: string | Buffer, qos: 0 | 1 | 2, more: object = {}): Promise<void> {
    const packet = { cmd: 'publish', topic, payload, qos, retain: false, dup: false, ...more } as const;
    return new Promise((resolve, reject) => {
      this.aedes.publish(packet, (error) => (error === undefined || error === null ? resolve() : reject(error)));
    });
  }

  async close(): Promise<void> {
    this.#server.close();
    await new Promise<void>((resolve) => {
      this.aedes.close(resolve);
    });
  }
}
