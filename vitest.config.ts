import { defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = defineConfig({
  test: {
    testTimeout: 180_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'all', include: ['test/**/*.test.ts', 'firmware-sim/test/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'on Redis',
          include: ['test/conformance/v*.test.ts', 'test/conformance/hard-behaviours-*.test.ts'],
          globalSetup: ['test/support/redis-of-project.ts'],
        },
      },
    ],
  },
});

export default config;
