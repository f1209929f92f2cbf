import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { until } from '../../support/polling.ts';
import { RedisServer } from '../../support/redis-server.ts';

const HOST = '127.0.0.1';

/** A Redis with a replica that can be cut off, and that takes its place with what it has. Use it with `await using`. */
export class ReplicatedRedis {
  readonly master: RedisServer;
  readonly #replica: RedisServer;
  /** Between the replica and its master. */
  readonly #link: CuttingProxy;
  readonly #proxies: CuttingProxy[] = [];

  private constructor(master: RedisServer, replica: RedisServer, link: CuttingProxy) {
    this.master = master;
    this.#replica = replica;
    this.#link = link;
  }

  static async start(): Promise<ReplicatedRedis> {
    const master = await RedisServer.start({ config: ['repl-diskless-sync-delay 0'] });
    const link = await CuttingProxy.start(master.port);
    const redis = new ReplicatedRedis(master, await RedisServer.start(), link);
    await follow(redis.#replica, link.port);
    return redis;
  }

  /** A proxy of its own for a client: what it passes goes on by the new master after a failover. */
  async proxy(): Promise<CuttingProxy> {
    const proxy = await CuttingProxy.start(this.master.port);
    this.#proxies.push(proxy);
    return proxy;
  }

  /** The replica has all that is there now, and hears nothing more. */
  async cutOff(): Promise<void> {
    const offset = /master_repl_offset:(\d+)/.exec(await this.master.client().info('replication'))?.[1];
    await until('a replica that has it all', async () => {
      const has = /slave_repl_offset:(\d+)/.exec(await this.#replica.client().info('replication'))?.[1];
      return Number(has) >= Number(offset) ? true : undefined;
    });
    this.#link.block('replies');
  }

  /** Names of the connections that wait for replicas. */
  async waiting(): Promise<string[]> {
    const list = (await this.master.client().client('LIST')) as string;
    return list.split('\n').flatMap((line) => /name=(\S+) .*flags=b .*cmd=wait/.exec(line)?.[1] ?? []);
  }

  /** The master dies and its replica's data are all there is; nobody is let through yet. */
  async failOver(): Promise<void> {
    for (const proxy of this.#proxies) {
      proxy.block('both');
      proxy.cutAll();
    }
    await this.master.kill();
    await this.#replica.client().replicaof('NO', 'ONE');
    this.#link.cutAll();
    this.#link.unblock();
    // Its port is known to the proxies, so the data come to it.
    await this.master.restart();
    await follow(this.master, this.#replica.port);
    await this.master.client().replicaof('NO', 'ONE');
    await follow(this.#replica, this.#link.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of [...this.#proxies, this.#link]) await proxy.stop();
    await this.#replica.stop();
    await this.master.stop();
  }
}

async function follow(server: RedisServer, port: number): Promise<void> {
  await server.client().replicaof(HOST, port);
  await until('a replica that follows', async () =>
    (await server.client().info('replication')).includes('master_link_status:up') ? true : undefined,
  );
}
