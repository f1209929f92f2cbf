import type { RedisCluster } from '../../support/redis-cluster.ts';
import type { RedisSentinel } from '../../support/redis-sentinel.ts';

/** A key of ours; all of them are in its slot. */
export const REDIS_KEY = '{trellis}:schema';

/** `--store` for a cluster, with all its nodes. */
export function clusterUrl(cluster: RedisCluster): string {
  return `redis+cluster://${cluster.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
}

/** `--store` for a group of Sentinels. */
export function sentinelUrl(group: RedisSentinel): string {
  return `redis+sentinel://${group.sentinels.map(({ host, port }) => `${host}:${port}`).join(',')}/${group.name}`;
}
