import { Redis } from 'ioredis';

/**
 * Connects to the Redis of an Aedes deployment. The connection is not made anew when it breaks.
 * @throws Error with what is wrong: refused, unknown host, password.
 */
export async function openAedesRedis(url: string): Promise<Redis> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  let cause: Error | undefined;
  redis.on('error', (error: Error) => {
    cause = error;
  });
  try {
    await redis.connect();
    await redis.ping();
    return redis;
  } catch (error) {
    redis.disconnect();
    throw cause ?? error;
  }
}
