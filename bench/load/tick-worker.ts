/**
 * A thread that wakes the main one at even intervals well below a millisecond, which Node's timers cannot do. It does not
 * wake it again before it has answered.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { TickOptions } from './schedule.ts';

const { intervalMs, answered }: TickOptions = workerData;
const never = new Int32Array(new SharedArrayBuffer(4));

for (let nextMs = performance.now(); ; nextMs += intervalMs) {
  const restMs = nextMs - performance.now();
  if (restMs > 0) Atomics.wait(never, 0, 0, restMs);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  if (Atomics.exchange(answered, 0, 0) === 1) parentPort?.postMessage(undefined);
}
