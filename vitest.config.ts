import { defineConfig, type TestProjectConfiguration, type ViteUserConfig } from 'vitest/config';
import { findTool } from './test/tools.ts';

/** The conformance tests again, and those of stolen client ids and rights that change, with the state of their brokers in Redis, each of them being so many nodes. */
function onRedis(name: string, nodeCount: number): TestProjectConfiguration {
  return {
    extends: true,
    test: {
      name,
      include: [
        'test/conformance/v*.test.ts',
        'test/conformance/hard-behaviours-*.test.ts',
        'test/security/theft.test.ts',
        'test/connection/review-rights.test.ts',
      ],
      globalSetup: ['test/support/redis-of-project.ts'],
      provide: { nodeCount },
    },
  };
}

const config: ViteUserConfig = defineConfig({
  test: {
    testTimeout: 180_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'all', include: ['test/**/*.test.ts', 'firmware-sim/test/**/*.test.ts'] } },
      ...(findTool('redis-server') === undefined ? [] : [onRedis('on Redis', 1), onRedis('on three nodes', 3)]),
    ],
  },
});

export default config;
