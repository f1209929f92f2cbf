import type { Witness } from '../checker/witness.ts';
import type { Timers } from '../lib/timers.ts';
import { Fleet, type FleetPlan, type FleetTurn } from './fleet.ts';

/** What the conductor tells a fleet, wherever it runs. */
export type FleetCommand =
  | { readonly do: 'ramp'; readonly to: number; readonly seconds: number }
  | { readonly do: 'storm'; readonly part: number }
  | { readonly do: 'pace'; readonly factor: number }
  | { readonly do: 'drain' }
  | { readonly do: 'stop' }
  | { readonly do: 'erase' };

/** A fleet in this thread or in another. */
export interface FleetHandle {
  tell(command: FleetCommand): void;
  /** What happened since the last call; its metrics are valid until the next one. Facts for the witness are told before it resolves. */
  turn(): Promise<FleetTurn>;
  close(): Promise<void>;
}

/** Carries a command out. */
export function obey(fleet: Fleet, command: FleetCommand): void {
  switch (command.do) {
    case 'ramp':
      return fleet.ramp(command.to, command.seconds);
    case 'storm':
      return fleet.storm(command.part);
    case 'pace':
      return fleet.pace(command.factor);
    case 'drain':
      return fleet.drain();
    case 'stop':
      return fleet.stop();
    case 'erase':
      return fleet.erase();
  }
}

/** A fleet in this thread. */
export class LocalFleet implements FleetHandle {
  readonly #fleet: Fleet;

  constructor(plan: FleetPlan, witness: Witness, timers: Timers) {
    this.#fleet = new Fleet(plan, witness, timers);
  }

  tell(command: FleetCommand): void {
    obey(this.#fleet, command);
  }

  turn(): Promise<FleetTurn> {
    return Promise.resolve(this.#fleet.turn());
  }

  close(): Promise<void> {
    this.#fleet.close();
    return Promise.resolve();
  }
}
