import type { Access } from './connection/access.ts';
import type { Hooks } from './hooks/hooks.ts';
import type { Clock } from './lib/clock.ts';
import type { Failpoint } from './lib/failpoints.ts';
import type { Logger } from './lib/logger.ts';
import type { Security } from './security.ts';
import type { Store } from './store/store.ts';

/** For who has no logger. */
export const SILENT: Logger = { level: 'error', error() {}, warn() {}, info() {}, debug() {} };

/** What a broker is made of besides its configuration; all optional, tests bring their own. */
export interface BrokerParts {
  hooks?: Hooks | undefined;
  /** What clients may do; undefined for all that the hooks allow. Say `rightsChanged` when it says something else. */
  access?: Access | undefined;
  /** What `openSecurity` made of the configuration; its hooks and rules take the place of those above. Closed with the broker. */
  security?: Security | undefined;
  logger?: Logger | undefined;
  clock?: Clock | undefined;
  store?: Store | undefined;
  /** Random number in [0, 1). */
  random?: (() => number) | undefined;
  /** A crash at a named instant, for tests of what survives one. */
  failpoint?: Failpoint | undefined;
  /** Part of the memory in use, 1 for all of limits.memoryBytesMax; asked of the process unless given. */
  memoryUsed?: (() => number) | undefined;
}
