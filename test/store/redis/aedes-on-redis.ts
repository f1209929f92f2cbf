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

  private constructor(aedes: Aedes, persistence: ReturnType<typeof redisPersistence>, server: Server) {
    this.aedes = aedes;
    this.persistence = persistence;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(redis: RedisServer): Promise<AedesOnRedis> {
    const persistence = redisPersistence({ conn: redis.client().duplicate() });
    const aedes = await Aedes.createBroker({ persistence });
    const server = createServer(aedes.handle).listen(0, HOST);
    await once(server, 'listening');
    return new AedesOnRedis(aedes, persistence, server);
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
