import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runBench, runSim } from '../../src/cli/run-cli.ts';
import type { Report } from '../../src/report/report.ts';
import type { Run, RunOptions } from '../../src/run/run.ts';
import type { Scenario } from '../../src/scenario/scenario.ts';
import { sampleReport } from '../report/sample-report.ts';

/** A run that takes no time: writes down what it was asked for, and gives out the report it was made with. */
export class FakeRun {
  readonly asked: { readonly scenario: Scenario; readonly options: RunOptions }[] = [];
  readonly #outcome: Report | Error;

  constructor(outcome: Report | Error = sampleReport()) {
    this.#outcome = outcome;
  }

  readonly run: Run = (scenario, options) => {
    this.asked.push({ scenario, options });
    return this.#outcome instanceof Error ? Promise.reject(this.#outcome) : Promise.resolve(this.#outcome);
  };

  /** What the only run was asked for. */
  get only(): { readonly scenario: Scenario; readonly options: RunOptions } {
    const [first, ...others] = this.asked;
    if (first === undefined || others.length > 0) throw new Error(`there were ${this.asked.length} runs, not one`);
    return first;
  }
}

/** How a command line ended. */
export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `trellis sim` or `trellis bench` in this process. */
export async function runLine(
  program: 'sim' | 'bench',
  words: readonly string[],
  run: FakeRun = new FakeRun(),
): Promise<Ended> {
  let out = '';
  let err = '';
  const output = { out: (text: string) => void (out += text), err: (text: string) => void (err += text) };
  const code = await (program === 'sim' ? runSim : runBench)(words, output, run.run);
  return { code, out, err };
}

/** A folder for one test file, and how to remove it. */
export function scratchFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'firmware-sim-cli-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
