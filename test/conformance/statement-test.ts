import { expect, test as base, type TestAPI } from 'vitest';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../support/test-broker.ts';

declare module 'vitest' {
  interface TaskMeta {
    /** Assertions made by a test of `statement-test.ts`; the report refuses tests without any. */
    assertions?: number;
  }
}

/** What a conformance test may ask for. */
export interface StatementFixtures {
  assertionCount: undefined;
  /** A broker with the default configuration, started where a test names it and closed after it. */
  broker: TestBroker;
  /** Starts a broker with other options; it is closed after the test. */
  start: (options: TestBrokerOptions) => Promise<TestBroker>;
}

/**
 * `test` for the files v3-*.test.ts and v5-*.test.ts. The name of a test begins with the statements it covers, `[MQTT-3.1.0-1]`
 * for 5.0 and `[v3 MQTT-3.1.0-1]` for 3.1.1, several in a row where one course of events shows several. It counts the
 * assertions of each test (calls of `expect`, and the `expect...` methods of `RawClient`) for the report.
 */
export const test: TestAPI<StatementFixtures> = base.extend<StatementFixtures>({
  assertionCount: [
    async ({ task }, use) => {
      await use(undefined);
      task.meta.assertions = expect.getState().assertionCalls;
    },
    { auto: true },
  ],
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what a fixture needs
  broker: async ({}, use) => {
    await using broker = await startTestBroker();
    await use(broker);
  },
  // oxlint-disable-next-line no-empty-pattern -- as above
  start: async ({}, use) => {
    const started: TestBroker[] = [];
    await use(async (options) => {
      const broker = await startTestBroker(options);
      started.push(broker);
      return broker;
    });
    for (const broker of started) await broker.close();
  },
});
