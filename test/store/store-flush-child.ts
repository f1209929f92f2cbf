// Commits a few times and says when each has resolved, to be watched by strace. Arguments: directory, durability.
import { writeSync } from 'node:fs';
import { EmbeddedStore } from '../../src/store/embedded-store.ts';

const [directory = '', durability = ''] = process.argv.slice(2);
const store = new EmbeddedStore({ directory, durability: durability === 'os' ? 'os' : 'durable' });
await store.open();
for (let packetId = 1; packetId <= 5; packetId++) {
  writeSync(1, `commit ${packetId}\n`);
  await store.commit([{ kind: 'inbound-put', clientId: 'c', packetId }]);
  writeSync(1, `resolved ${packetId}\n`);
}
writeSync(1, 'end of commits\n');
await store.close();
