import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FleetCommand, FleetHandle } from '../../src/run/fleet-handle.ts';
import type { FleetTurn } from '../../src/run/fleet.ts';
import type { SensorClass } from '../../src/scenario/scenario.ts';
import type { FakeTimers } from '../fakes/fake-timers.ts';

/** A class of sensors that do nothing. */
export function fleetClass(name: string, count: number): SensorClass {
  return {
    kind: 'sensor',
    name,
    count,
    fixedCount: false,
    connection: {
      client: 'packet',
      transport: 'tcp',
      versions: [5],
      session: 'clean',
      sessionExpirySeconds: 60,
      keepAliveSeconds: 60,
      window: 10,
      offlineMax: 10,
      reconnectSeconds: [0.05, 0.1],
    },
    network: {},
    clock: { offsetSeconds: 0, driftPpm: 0 },
    subscribes: [],
    telemetry: [],
    life: { willQos: 0, willDelaySeconds: 0 },
  };
}

/** A fleet that writes down what it is told, and when. */
export class FakeFleet implements FleetHandle {
  readonly told: { readonly at: number; readonly command: FleetCommand }[] = [];
  turns = 0;
  /** Messages under way. */
  pending = 0;
  /** What its next turn fails with. */
  failure: Error | undefined;
  /** How long it takes over a turn, ms. */
  turnMs = 0;
  readonly #timers: FakeTimers;
  readonly #startedAt: number;

  constructor(timers: FakeTimers) {
    this.#timers = timers;
    this.#startedAt = timers.now();
  }

  tell(command: FleetCommand): void {
    this.told.push({ at: this.#timers.now() - this.#startedAt, command });
  }

  async turn(): Promise<FleetTurn> {
    this.turns += 1;
    if (this.turnMs > 0) await new Promise<void>((resolve) => void this.#timers.after(this.turnMs, resolve));
    if (this.failure !== undefined) throw this.failure;
    return { metrics: new Map(), switchedOn: 3, pending: this.pending, notes: [] };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Lets time pass in steps of 10 ms, each with all that follows from it. */
export async function pass(timers: FakeTimers, ms: number): Promise<void> {
  await nextTurn();
  for (let left = ms; left > 0; left -= 10) {
    timers.advance(Math.min(10, left));
    await nextTurn();
  }
}
