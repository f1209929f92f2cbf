import type { Percentiles } from '../lib/histogram.ts';
import type { ByQos, Verdict } from '../checker/witness.ts';
import type { Threshold } from '../scenario/scenario.ts';

/** The JSON report of one run. Times in ms unless the name says otherwise. Everything a device sent is data here: whoever shows it escapes it. */
export interface Report {
  readonly format: 'firmware-sim/1';
  /** `interrupted`: ctrl-C; judged by what was seen until then. */
  readonly result: 'pass' | 'fail';
  readonly interrupted: boolean;
  readonly scenario: { readonly name: string; readonly description: string; readonly seed: number };
  /** To run it again: words of a command line, without secrets. */
  readonly command: readonly string[];
  readonly startedAt: string;
  readonly durationSeconds: number;
  readonly environment: {
    readonly node: string;
    readonly os: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memoryMb: number;
    readonly simulator: string;
    readonly threads: number;
  };
  readonly broker: {
    /** Without user name and password. */
    readonly url: string;
    /** $SYS/broker/version, or what else it says of itself. */
    readonly software: string;
    readonly isOwn: boolean;
    readonly kills: number;
  };
  readonly totals: Figures;
  readonly classes: Readonly<Record<string, ClassReport>>;
  readonly stages: readonly StageReport[];
  readonly delivery: Verdict;
  /** Numbers of device notes by kind, and the first texts of each. */
  readonly notes: Readonly<Record<string, { readonly count: number; readonly first: readonly string[] }>>;
  readonly thresholds: readonly ThresholdResult[];
  readonly series: readonly SeriesPoint[];
  /** The broker's own figures by name, at the end and their change over the run; empty where it offers none. */
  readonly brokerFigures: readonly { readonly name: string; readonly start: number; readonly end: number }[];
  /** Of the simulator itself. */
  readonly self: { readonly cpuSeconds: number; readonly residentMb: number; readonly loopDelayP99: number };
}

/** What devices did, in all, in a class or in a stage. */
export interface Figures {
  readonly sent: ByQos;
  readonly acknowledged: ByQos;
  readonly delivered: ByQos;
  readonly sentBytes: number;
  readonly deliveredBytes: number;
  readonly refused: number;
  readonly unsent: number;
  readonly connects: number;
  readonly connectFailures: number;
  readonly disconnects: number;
  /** Deliveries per second. */
  readonly throughput: number;
  readonly deliveryLatency: Percentiles;
  readonly acknowledgementLatency: Percentiles;
  readonly connectLatency: Percentiles;
  readonly roundTrip: Percentiles;
}

export interface ClassReport extends Figures {
  readonly kind: string;
  readonly devices: number;
}

export interface StageReport extends Figures {
  readonly name: string;
  readonly kind: string;
  readonly startSeconds: number;
  readonly durationSeconds: number;
}

export interface ThresholdResult extends Threshold {
  /** 0 where there is a `problem`. */
  readonly value: number;
  readonly holds: boolean;
  /** Why there is no such figure, one sentence; the threshold does not hold then. */
  readonly problem?: string;
}

/** One second of the run; counts are rates per second. */
export interface SeriesPoint {
  /** Since the start. */
  readonly second: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly delivered: number;
  readonly connected: number;
  readonly connects: number;
  readonly disconnects: number;
  /** Owed and not delivered yet, at the end of the second. */
  readonly outstanding: number;
  /** Found since the start, of all kinds. */
  readonly faults: number;
  /** Delivery latency of this second, ms; 0 where nothing came. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** What happened in this second: names of stages that began, `broker down`, `broker up`. */
  readonly events: readonly string[];
}
