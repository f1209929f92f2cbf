import type { Cluster, Redis } from 'ioredis';
import type { RetainedCommand } from './retained-layout.ts';
import type { Scripts } from './script-runner.ts';

/** In a Redis Cluster retained messages lie in slots of their own. Setting one twice is setting it once. */
export async function applyApart(
  redis: Redis | Cluster,
  scripts: Scripts,
  commands: readonly RetainedCommand[],
): Promise<void> {
  await Promise.all(
    commands.map((command) => {
      if (command.kind === 'set') return redis.set(command.key, command.value);
      if (command.kind === 'del-expired') return scripts.run('deleteExpired', [command.key], []);
      return redis.del(command.key);
    }),
  );
}
