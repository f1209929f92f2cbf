// The thread of a WorkerFleet: runs its share of the devices and posts what happens.
import { parentPort, workerData } from 'node:worker_threads';
import { WitnessRecorder } from '../checker/witness-recorder.ts';
import { SystemTimers } from '../lib/timers.ts';
import { obey } from './fleet-handle.ts';
import { Fleet, type FleetPlan } from './fleet.ts';
import { type FromWorker, packTurn, type ToWorker } from './worker-fleet.ts';

const port = parentPort;
if (port === null) throw new Error('worker.ts is the thread of a WorkerFleet and no program');

/** How often facts are posted, ms. */
const factsEveryMs = 50;

const post = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
const timers = new SystemTimers();
const recorder = new WitnessRecorder((batch) => post({ is: 'facts', batch }, [batch.facts]));
const fleet = new Fleet(workerData as FleetPlan, recorder, timers);

const flush = (): void => {
  recorder.flush(timers.now());
  timers.after(factsEveryMs, flush);
};
flush();

port.on('message', (message: ToWorker) => {
  if (message.do !== 'turn') {
    obey(fleet, message);
    return;
  }
  recorder.flush(timers.now());
  post({ is: 'turn', turn: packTurn(fleet.turn()) });
});
