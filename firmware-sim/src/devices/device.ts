import type { Agent, AgentHandler, AgentOptions } from '../agent/agent.ts';
import type { Metrics } from '../agent/metrics.ts';
import type { Random } from '../lib/random.ts';
import type { Timers } from '../lib/timers.ts';
import type { DeviceClass } from '../scenario/scenario.ts';

/** A simulated device as the runner sees it. Methods return at once; what they start goes on by timers and events. */
export interface Device {
  readonly name: string;
  /** Messages and exchanges under way; 0 when all it sent is complete. */
  readonly pending: number;
  /** Switched on for the first time. */
  start(): void;
  /** Loses its connection without DISCONNECT and comes back at once. Nothing where it is asleep or off. */
  storm(): void;
  /** Open-loop telemetry comes `factor` times as often as declared, until told otherwise. */
  pace(factor: number): void;
  /** No new telemetry, commands, crashes or sleep; wakes up and stays connected, so that its queue comes. An update under way goes on. */
  drain(): void;
  /** DISCONNECT, and nothing any more. */
  stop(): void;
}

/** The devices of a class, as others know them. */
export interface Peers {
  readonly deviceClass: DeviceClass;
  readonly count: number;
  nameOf(index: number): string;
}

/** What a device is given; one per device. */
export interface DeviceContext {
  readonly timers: Timers;
  /** The device's own. */
  readonly random: Random;
  readonly name: string;
  /** Number in its class, from 0. */
  readonly index: number;
  /** Value of `{prefix}`. */
  readonly topicPrefix: string;
  /** All classes of the scenario by name: whom an operator speaks to. */
  readonly peers: ReadonlyMap<string, Peers>;
  metrics(): Metrics;
  /** Makes the device's agent, in state off; everything not given is as its class says. */
  agent(handler: AgentHandler, options?: Pick<AgentOptions, 'will'>): Agent;
  /** Something worth a line in the report: updated, rolled back, crashed. Counted by kind, the first of each kept. */
  note(kind: DeviceNote, text: string): void;
}

export type DeviceNote =
  | 'configured'
  | 'crashed'
  | 'slept'
  | 'left'
  | 'updated'
  | 'rolled-back'
  | 'update-resumed'
  | 'answered'
  | 'unanswered';
