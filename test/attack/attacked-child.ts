// A broker in a process of its own, with its state in memory. Argument: its configuration as JSON. It says where it listens,
// answers each message with its counters and how late its event loop was since the last one, and ends when whoever started
// it does.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createBroker } from '../../src/index.ts';

const [configuration = '{}'] = process.argv.slice(2);
const delay = monitorEventLoopDelay({ resolution: 1 });
const broker = await createBroker(JSON.parse(configuration) as object);
delay.enable();
process.on('message', () => {
  const loopP99Ms = delay.percentile(99) / 1e6;
  delay.reset();
  process.send?.({ counters: broker.counters(), loopP99Ms });
});
process.on('disconnect', () => process.exit(0));
process.send?.({ kind: 'listening', ports: broker.listeners.map(({ port }) => port) });
