import { until } from './polling.ts';
import { RedisServer } from './redis-server.ts';

const HOST = '127.0.0.1';
const QUORUM = 2;

/** How a group differs from the usual one. */
export interface RedisSentinelOptions {
  /** Lines of the configuration of the master and its replicas, as in redis.conf. */
  config?: readonly string[];
  /** Milliseconds the master is silent before a sentinel takes it for dead; default 1000. */
  downAfterMs?: number;
}

/** A master with two replicas, and three sentinels that watch them. Use it with `await using`, or stop it. */
export class RedisSentinel {
  /** What the sentinels call the master. */
  readonly name: string;
  /** The master and its two replicas; what they are changes with a failover. */
  readonly servers: readonly RedisServer[];
  /** The sentinels as servers: one may be killed or paused. */
  readonly sentinelServers: readonly RedisServer[];

  private constructor(name: string, servers: readonly RedisServer[], sentinels: readonly RedisServer[]) {
    this.name = name;
    this.servers = servers;
    this.sentinelServers = sentinels;
  }

  /** Starts them all and waits until the replicas follow and the sentinels know them and each other. */
  static async start(options: RedisSentinelOptions = {}): Promise<RedisSentinel> {
    const name = 'trellis-master';
    const config = ['repl-diskless-sync-delay 0', ...(options.config ?? [])];
    const started: RedisServer[] = [];
    const start = async (lines: readonly string[], sentinel = false): Promise<RedisServer> => {
      const server = await RedisServer.start({ config: lines, sentinel });
      started.push(server);
      return server;
    };
    try {
      const master = await start(config);
      const { port, password } = master;
      const replicas = [
        await start([...config, `replicaof ${HOST} ${port}`]),
        await start([...config, `replicaof ${HOST} ${port}`]),
      ];
      for (const replica of replicas) await until('a replica that follows', () => follows(replica));
      const watch = [
        `sentinel monitor ${name} ${HOST} ${port} ${QUORUM}`,
        `sentinel down-after-milliseconds ${name} ${options.downAfterMs ?? 1000}`,
        // Sentinels that are slow to hear of each other would begin a failover each, and there would be two masters.
        `sentinel failover-timeout ${name} 10000`,
        ...(password === undefined ? [] : [`sentinel auth-pass ${name} ${password}`]),
      ];
      const sentinels = [await start(watch, true), await start(watch, true), await start(watch, true)];
      for (const sentinel of sentinels) await until('sentinels that know each other', () => knowsAll(sentinel, name));
      return new RedisSentinel(name, [master, ...replicas], sentinels);
    } catch (error) {
      await Promise.all(started.map((server) => server.stop()));
      throw error;
    }
  }

  /** Where the sentinels are, as a client wants to know it. */
  get sentinels(): { host: string; port: number }[] {
    return this.sentinelServers.map(({ port }) => ({ host: HOST, port }));
  }

  /** The server that a sentinel which is up names as the master, dead or alive. */
  async master(): Promise<RedisServer> {
    const sentinel = this.sentinelServers.find(({ isUp }) => isUp);
    const server = sentinel === undefined ? undefined : await this.#namedBy(sentinel);
    if (server === undefined) throw new Error('no sentinel names a master');
    return server;
  }

  /** Waits until every sentinel that is up names another master than this one, and that takes itself for one. */
  async masterAfter(old: RedisServer): Promise<RedisServer> {
    return await until('another master', async () => {
      const sentinels = this.sentinelServers.filter(({ isUp }) => isUp);
      const named = await Promise.all(sentinels.map((sentinel) => this.#namedBy(sentinel)));
      const master = named[0];
      if (master === undefined || master === old || named.some((server) => server !== master)) return undefined;
      return (await master.client().info('replication')).includes('role:master') ? master : undefined;
    });
  }

  /** Ends them all, whatever state they are in. */
  async stop(): Promise<void> {
    await Promise.all([...this.sentinelServers, ...this.servers].map((server) => server.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #namedBy(sentinel: RedisServer): Promise<RedisServer | undefined> {
    const address = (await sentinel.client().call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name)) as string[] | null;
    return this.servers.find(({ port }) => port === Number(address?.[1]));
  }
}

async function follows(replica: RedisServer): Promise<true | undefined> {
  return (await replica.client().info('replication')).includes('master_link_status:up') ? true : undefined;
}

async function knowsAll(sentinel: RedisServer, name: string): Promise<true | undefined> {
  const state = await sentinel.client().info('sentinel');
  return state.includes(`name=${name},status=ok`) && state.includes('slaves=2,sentinels=3') ? true : undefined;
}
