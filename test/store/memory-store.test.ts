import { expect, test } from 'vitest';
import { MemoryState } from '../../src/store/memory-state.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { describeStore } from '../contract/store-contract.ts';

describeStore('MemoryStore', () => {
  const state = new MemoryState();
  return { makeStore: () => new MemoryStore(state), remove: () => {} };
});

test('one memory store can be opened again and holds what it held', async () => {
  const store = new MemoryStore();
  await store.open();
  await store.commit([{ kind: 'inbound-put', clientId: 'a', packetId: 1 }]);
  await store.close();
  expect((await store.open()).inbound).toEqual([{ clientId: 'a', packetId: 1 }]);
  expect(store.durability).toBe('memory');
});
