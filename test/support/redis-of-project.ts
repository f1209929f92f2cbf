import type { TestProject } from 'vitest/node';
import { RedisServer } from './redis-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The Redis whose databases the brokers of this project keep their state in. */
    redisUrl: string;
    /** How many nodes each of them is; one where it is not provided. */
    nodeCount: number;
  }
}

/** One Redis for a whole project of tests, with a database for each broker. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await RedisServer.start({ config: ['databases 20000'] });
  project.provide('redisUrl', server.url);
  return () => server.stop();
}
