import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { listScenarios, loadScenario, shippedScenario } from '../scenario/load.ts';
import { ExitCode, UsageError } from './errors.ts';
import { helpText, parseFlags, quoted } from './flags.ts';
import { help } from './help.ts';
import type { Output } from './run-cli.ts';

/** `sim scenarios`: what comes along, and what each is about. */
export function scenarios(args: readonly string[], output: Output): number {
  const given = parseFlags({ command: 'sim scenarios', flags: [help], words: [] }, args);
  if (given.values.has('--help')) {
    output.out(helpText('Usage: trellis sim scenarios\n\nLists the scenarios that come along.', [help], ''));
    return ExitCode.ok;
  }
  for (const name of listScenarios()) {
    const { description, fleet } = loadScenario(shippedScenario(name), {});
    const devices = fleet.reduce((all, { count }) => all + count, 0);
    output.out(`${name.padEnd(18)} ${`${devices} devices`.padEnd(14)} ${description.split('\n')[0] ?? ''}\n`);
  }
  return ExitCode.ok;
}

/** `sim init`: a commented scenario to begin with. Never writes over a file. */
export function init(args: readonly string[], output: Output): number {
  const given = parseFlags({ command: 'sim init', flags: [help], words: ['[FILE]'] }, args);
  if (given.values.has('--help')) {
    output.out(helpText('Usage: trellis sim init [FILE]\n\nWrites a commented scenario to begin with.', [help], ''));
    return ExitCode.ok;
  }
  const path = given.words[0] ?? 'scenario.yaml';
  if (existsSync(path))
    throw new UsageError(`${quoted(path)} is there already; name another file, or remove it first.`);
  try {
    writeFileSync(path, readFileSync(shippedScenario('starter')), { flag: 'wx' });
  } catch (error) {
    throw new UsageError(`Cannot write ${quoted(path)} (${(error as NodeJS.ErrnoException).code}).`);
  }
  output.out(`Wrote ${path}. Next: trellis sim run ${path}\n`);
  return ExitCode.ok;
}

/** `sim check`: everything that is wrong with a scenario, or that nothing is. */
export function check(args: readonly string[], output: Output): number {
  const given = parseFlags({ command: 'sim check', flags: [help], words: ['SCENARIO'] }, args);
  if (given.values.has('--help')) {
    output.out(helpText('Usage: trellis sim check SCENARIO\n\nSays what is wrong with a scenario.', [help], ''));
    return ExitCode.ok;
  }
  const { name, fleet, stages } = loadScenario(given.words[0] as string, {});
  const devices = fleet.reduce((all, { count }) => all + count, 0);
  const seconds = stages.reduce((all, stage) => all + stage.seconds, 0);
  output.out(
    `${name}: ${devices} devices in ${fleet.length} classes, ${stages.length} stages, ${seconds} s at most.\n`,
  );
  return ExitCode.ok;
}
