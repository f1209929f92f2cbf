import type { LiveProgress } from '../report/live-view.ts';
import type { Report } from '../report/report.ts';
import type { Scenario } from '../scenario/scenario.ts';

/** How to run a scenario, besides what it says itself. */
export interface RunOptions {
  /** Threads for devices; 0 runs them in this one. */
  readonly threads: number;
  /** Shell command, or number of a process, that chaos kills and starts again; absent: the run's own broker. */
  readonly killBroker?: string | number;
  /** Words of the command line for the report. */
  readonly command: readonly string[];
  /** Ends the run early, with a report of what was seen. */
  readonly interrupt: AbortSignal;
  /** Is told of the progress, every second; absent for nobody. */
  readonly onProgress?: (progress: Progress) => void;
  /** Is told what people should know before the run begins, a sentence each. */
  readonly onNotice?: (notice: string) => void;
}

/** What a live view shows. */
export type Progress = LiveProgress;

/** A run that could not begin or go on; the message is one or two sentences for people. */
export class RunError extends Error {
  override readonly name = 'RunError';
}

/** Runs a scenario to its end. @throws RunError where the broker cannot be reached, refuses everybody, or cannot be started. */
export type Run = (scenario: Scenario, options: RunOptions) => Promise<Report>;
