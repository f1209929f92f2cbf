// A broker in a process that may open few files. It opens all it can, has its memory and figures read, and says what came of it.
import { openSync } from 'node:fs';
import { createBroker } from '../../src/index.ts';
import { readProcessMemory } from '../../src/limits/process-memory.ts';

const broker = await createBroker({
  listeners: { tcp: { port: 0 }, websocket: { port: 'off' } },
  store: { type: 'memory' },
  admin: { sysIntervalSeconds: 1 },
});
const published = new Promise<void>((resolve) => {
  // Published anew with figures that change.
  broker.subscribe('$SYS/broker/uptime', (message) => {
    if (message.payload.toString() !== '0 seconds') resolve();
  });
});
let code = '';
while (code === '') {
  try {
    openSync('/dev/null', 'r');
  } catch (error) {
    code = String((error as NodeJS.ErrnoException).code);
  }
}
await published;
const { ownBytes, heapUsedBytes } = readProcessMemory();
process.stdout.write(`${code} ${ownBytes > heapUsedBytes}\n`);
process.exit(0);
