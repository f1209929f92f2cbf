// A process of its own that writes numbered batches until it is killed, and prints each number once it is committed.
// Arguments: directory, durability. Each batch n leaves: session epoch n, queue 1 and queue 2 with entry n, and without
// entry n - KEPT.
import { Message } from '../../src/protocol/message.ts';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';
import type { Mutation, QueueRecord } from '../../src/store/store.ts';
import { KEPT } from './store-child-settings.ts';

const [directory = '', durability = ''] = process.argv.slice(2);
const store = new EmbeddedStore({ directory, durability: durability === 'os' ? 'os' : 'durable' });
const opened = await store.open();
let number = opened.sessions[0]?.epoch ?? 0;

function batchOf(n: number): Mutation[] {
  const message = new Message({ topicName: 't', payload: Buffer.from(`message ${n}`), qos: 1 });
  const record: QueueRecord = {
    queueId: 1,
    sequence: n,
    message,
    qos: 1,
    retain: false,
    subscriptionIdentifiers: [],
    packetId: 0,
    state: 'waiting',
    shareKey: '',
  };
  const session = { clientId: 'c', epoch: n, queueId: 1, sessionExpiryInterval: 1, expiresAt: 0, username: '' };
  return [
    { kind: 'queue-put', record },
    { kind: 'queue-put', record: { ...record, queueId: 2 } },
    { kind: 'queue-delete', queueId: 1, sequence: n - KEPT },
    { kind: 'queue-delete', queueId: 2, sequence: n - KEPT },
    { kind: 'session-put', record: session },
  ];
}

// Several commits are under way at any time, as in a broker.
async function write(): Promise<void> {
  for (;;) {
    const mine = ++number;
    await store.commit(batchOf(mine));
    process.stdout.write(`${mine}\n`);
  }
}

process.stdout.write('ready\n');
if (durability !== 'idle') await Promise.all(Array.from({ length: 8 }, write));
else setInterval(() => {}, 60_000);
