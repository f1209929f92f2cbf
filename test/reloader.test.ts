import { expect, test } from 'vitest';
import type { Logger } from '../src/lib/logger.ts';
import { Reloader } from '../src/reloader.ts';
import type { Security } from '../src/security.ts';
import { FakeClock } from './fakes/fake-clock.ts';

test('a look at the clients that fails is logged, and the next reload takes place', async () => {
  const errors: string[] = [];
  let reloads = 0;
  const security = {
    files: new Map<string, string>(),
    reload: async () => {
      reloads += 1;
      return true;
    },
    close: () => {},
  } satisfies Partial<Security>;
  const logger: Logger = { level: 'error', error: (text) => void errors.push(text), warn() {}, info() {}, debug() {} };
  const reloader = new Reloader({
    security: security as Partial<Security> as Security,
    listeners: [],
    listenerFiles: new Map(),
    clock: new FakeClock(),
    logger,
    onRights: async () => {
      if (reloads === 1) throw new Error('the rules of an embedding program failed');
    },
  });
  expect(await Promise.all([reloader.reload(), reloader.reload()])).toEqual([false, true]);
  expect(reloads).toBe(2);
  expect(errors).toEqual(['not all clients were looked at after a reload']);
  reloader.close();
});
