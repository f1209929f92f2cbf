/**
 * Compares brokers: starts each afresh for each run, loads it, and prints a table. README.md says how to read it.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Broker, BROKER_NAMES, findBroker } from './brokers.ts';
import { Measurement, type Pins } from './measure.ts';
import { DEFAULT_SCENARIOS, PLAN } from './plan.ts';
import { type Outcome, tables } from './table.ts';

const HELP = `Usage: npm run bench -- [flags]

  --quick              1 round of 2 s of each scenario
  --scenarios a,b      ${[...PLAN.keys()].join(', ')}
                       (default: ${DEFAULT_SCENARIOS.join(', ')})
  --brokers a,b        ${BROKER_NAMES.join(', ')} (default: all)
  --rounds N           how often each scenario runs with each broker (default 3)
  --duration S         measured seconds per run (default 4)
  --version 4|5        MQTT 3.1.1 or 5.0 (default 4)
  --json FILE          where the results go (default bench/results/<date>.json)`;

interface Settings {
  readonly scenarios: readonly string[];
  readonly brokers: readonly Broker[];
  readonly rounds: number;
  /** Flags for the generator in all runs. */
  readonly loadFlags: readonly string[];
  readonly jsonFile: string;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function names(list: string): string[] {
  return list.split(',').filter((name) => name !== '');
}

/** @throws when a flag is unknown or its value makes no sense; undefined when help was asked for. */
function readSettings(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      scenarios: { type: 'string', default: DEFAULT_SCENARIOS.join(',') },
      brokers: { type: 'string', default: BROKER_NAMES.join(',') },
      rounds: { type: 'string' },
      duration: { type: 'string' },
      version: { type: 'string', default: '4' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const scenarios = names(values.scenarios);
  const unknown = scenarios.find((name) => !PLAN.has(name));
  if (unknown !== undefined) throw new RangeError(`There is no scenario ${unknown}; --help lists them.`);
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  const duration = Number(values.duration ?? (values.quick ? 2 : 4));
  if (!(rounds >= 1 && Number.isInteger(rounds))) throw new RangeError('--rounds must be a whole number from 1.');
  if (!(duration > 0)) throw new RangeError('--duration must be a number of seconds above 0.');
  if (values.version !== '4' && values.version !== '5') throw new RangeError('--version must be 4 or 5.');
  const warmup = values.quick ? 0.5 : 1;
  return {
    scenarios,
    brokers: findBrokers(names(values.brokers)),
    rounds,
    loadFlags: ['--version', values.version, '--duration', String(duration), '--warmup', String(warmup)],
    jsonFile: values.json ?? fileURLToPath(new URL(`./results/${new Date().toISOString()}.json`, import.meta.url)),
  };
}

function findBrokers(wanted: readonly string[]): Broker[] {
  return wanted.flatMap((name) => {
    const found = findBroker(name);
    if (!('reason' in found)) return [found];
    say(`${name} is left out: ${found.reason}.`);
    return [];
  });
}

/** Core 0 for the broker and core 1 for the generator, where that can be had. */
function choosePins(): Pins {
  if (availableParallelism() >= 2 && spawnSync('sh', ['-c', 'command -v taskset']).status === 0)
    return { broker: 0, generator: 1 };
  say('Not pinned to cores (that takes taskset and two cores): broker and generator may get in each other’s way.');
  return { broker: undefined, generator: undefined };
}

async function measure(measurement: Measurement, settings: Settings): Promise<Outcome[]> {
  const { scenarios, brokers, rounds, loadFlags } = settings;
  const outcomes: Outcome[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const scenario of scenarios) {
      // Each round begins with another broker, so that none always comes first.
      const first = round % brokers.length;
      for (const broker of [...brokers.slice(first), ...brokers.slice(0, first)]) {
        const run = { scenario, broker: broker.name, round };
        const flags = [...loadFlags, ...PLAN.get(scenario)!.split(' ')];
        const outcome: Outcome = await measurement.run(broker, flags).then(
          (report) => ({ ...run, report }),
          (error: Error) => ({ ...run, error: error.message }),
        );
        const { report } = outcome;
        const result = report
          ? `${Math.round(report.perSecond)}/s, ${report.brokerCpuPerMillion.toFixed(2)} CPU s per million`
          : `failed: ${outcome.error}`;
        say(`round ${round + 1} of ${rounds}  ${scenario.padEnd(14)} ${broker.name.padEnd(10)} ${result}`);
        outcomes.push(outcome);
      }
    }
  }
  return outcomes;
}

function machine(): object {
  return { cpu: cpus()[0]?.model, cores: cpus().length, memoryMb: Math.round(totalmem() / 2 ** 20), kernel: release() };
}

function stopOnSignals(measurement: Measurement): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      measurement.kill();
      process.exit(1);
    });
  }
}

async function main(): Promise<number> {
  const settings = readSettings();
  if (settings === undefined) {
    console.log(HELP);
    return 0;
  }
  const measurement = new Measurement(choosePins());
  stopOnSignals(measurement);
  const outcomes = await measure(measurement, settings);
  console.log(tables(outcomes));
  const brokers = Object.fromEntries(settings.brokers.map(({ name, version }) => [name, version]));
  const { loadFlags } = settings;
  const results = { date: new Date().toISOString(), machine: machine(), brokers, loadFlags, outcomes };
  mkdirSync(dirname(settings.jsonFile), { recursive: true });
  writeFileSync(settings.jsonFile, `${JSON.stringify(results, undefined, 2)}\n`);
  say(`\nResults are in ${settings.jsonFile}`);
  return outcomes.some(({ error }) => error !== undefined) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
