import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';
import { describeStore } from '../contract/store-contract.ts';

for (const durability of ['durable', 'os'] as const) {
  describeStore(`EmbeddedStore, ${durability}`, () => {
    const directory = mkdtempSync(join(tmpdir(), 'trellis-store-'));
    return {
      makeStore: () => new EmbeddedStore({ directory, durability }),
      remove: () => rmSync(directory, { recursive: true, force: true }),
    };
  });
}
