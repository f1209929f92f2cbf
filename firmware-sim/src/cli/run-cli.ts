import { ReportFileError } from '../report/json.ts';
import { type Run, RunError } from '../run/run.ts';
import { nearest } from '../lib/nearest.ts';
import { ScenarioError } from '../scenario/load.ts';
import { compare } from './compare.ts';
import { ExitCode, UsageError } from './errors.ts';
import { quoted } from './flags.ts';
import { simHelp } from './help.ts';
import { runCommand, tour } from './run-command.ts';
import { check, init, scenarios } from './scenario-commands.ts';

/** Where a command line writes; a terminal, or a test. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

const standardOutput: Output = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
};

/** Loaded when there is something to run: help, checks and comparisons need none of it. */
const run: Run = async (scenario, options) => (await import('../run/runner.ts')).run(scenario, options);

const commands = ['tour', 'run', 'scenarios', 'init', 'check', 'compare', 'bench'] as const;

/** Runs `trellis sim` with the words behind it; resolves to the exit code and never rejects. */
export function runSim(args: readonly string[], output: Output = standardOutput, runner: Run = run): Promise<number> {
  return reported('sim', output, () => dispatch(args, output, runner));
}

async function dispatch(args: readonly string[], output: Output, runner: Run): Promise<number> {
  const [command, ...rest] = args;
  // Flags without a command belong to the tour.
  if (command === undefined || (command.startsWith('-') && command !== '--help' && command !== '-h')) {
    return tour(args, output, runner);
  }
  switch (command) {
    case '--help':
    case '-h':
    case 'help':
      output.out(simHelp);
      return ExitCode.ok;
    case 'tour':
      return tour(rest, output, runner);
    case 'run':
      return runCommand(rest, output, runner);
    case 'scenarios':
      return scenarios(rest, output);
    case 'init':
      return init(rest, output);
    case 'check':
      return check(rest, output);
    case 'compare':
      return compare(rest, output);
    case 'bench':
      return (await import('./bench-command.ts')).bench(rest, output, runner);
    default: {
      const near = nearest(command, commands);
      const hint = near === undefined ? 'see trellis sim --help.' : `did you mean ${near}?`;
      throw new UsageError(`trellis sim has no command ${quoted(command)}; ${hint}`);
    }
  }
}

/** Runs `trellis bench` with the words behind it; resolves to the exit code and never rejects. */
export function runBench(args: readonly string[], output: Output = standardOutput, runner: Run = run): Promise<number> {
  return reported('bench', output, async () => (await import('./bench-command.ts')).bench(args, output, runner));
}

/** Tells what goes wrong in sentences, never as a stack, and says which exit code it is. */
async function reported(command: string, output: Output, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ScenarioError) {
      for (const problem of error.problems) output.err(`${problem}\n`);
      return ExitCode.usage;
    }
    const message = error instanceof Error ? error.message : String(error);
    // Messages that name the command need nothing before them.
    output.err(message.startsWith('trellis ') ? `${message}\n` : `trellis ${command}: ${message}\n`);
    if (error instanceof UsageError) return ExitCode.usage;
    const isExpected = error instanceof RunError || error instanceof ReportFileError;
    if (!isExpected && error instanceof Error) output.err(`This is a fault of the simulator: ${error.stack ?? ''}\n`);
    return ExitCode.failure;
  }
}
