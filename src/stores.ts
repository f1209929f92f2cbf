import { type Config, ConfigError } from './config.ts';
import { FileError } from './lib/file-error.ts';
import type { Logger } from './lib/logger.ts';
import { nodeIdOf } from './node-id.ts';
import { EmbeddedStore } from './store/embedded-store.ts';
import { MemoryStore } from './store/memory-store.ts';
import type { Store } from './store/store.ts';

/** Makes the store that a configuration asks for; it is not open yet. @throws ConfigError when redis.passwordFile cannot be used. */
export async function makeStore(config: Config, logger: Logger): Promise<Store> {
  const { type, data, durability } = config.store;
  if (type === 'redis') {
    // ioredis takes a while to load, and most brokers do not need it.
    const { RedisStore } = await import('./store/redis/redis-store.ts');
    const { configuredAddress } = await import('./store/redis/redis-login.ts');
    const { url, passwordFile, prefix, waitReplicas, leaseMs, timeoutMs } = config.redis;
    const address = await configuredAddress(url, passwordFile).catch((error: unknown) => {
      throw error instanceof FileError ? new ConfigError([error.message]) : error;
    });
    return new RedisStore({ address, prefix, waitReplicas, leaseMs, timeoutMs, logger, nodeId: nodeIdOf(config) });
  }
  if (type === 'memory' || durability === 'memory') return new MemoryStore();
  return new EmbeddedStore({ directory: data, durability });
}
