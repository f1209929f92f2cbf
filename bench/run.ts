/**
 * Compares brokers: starts each afresh for each run, loads it, and prints tables. README.md says how to read them.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Broker, DEFAULT_BROKERS, findBroker, MORE_BROKERS } from './brokers.ts';
import { checkTable } from './checks.ts';
import { writeDocs } from './docs.ts';
import type { ProtocolVersion } from './load/packets.ts';
import { Measurement, type Pins } from './measure.ts';
import { PLAN, QUICK_SCENARIOS } from './plan.ts';
import { plot } from './plot.ts';
import { mergeResults, type Outcome, type Results, versionName } from './results.ts';
import { SUBJECT, summary, tables } from './table.ts';

const HELP = `Usage: npm run bench -- [flags]
       npm run bench -- --write-docs FILE [FILE...]

  --quick              1 round of 1.5 s of the scenarios ${QUICK_SCENARIOS.join(', ')}
  --scenarios a,b      ${[...PLAN.keys()].join(', ')}
                       (default: all)
  --brokers a,b        ${[...DEFAULT_BROKERS, ...MORE_BROKERS].join(', ')}
                       (default: ${DEFAULT_BROKERS.join(', ')})
  --rounds N           how often each scenario runs with each broker (default 3)
  --duration S         measured seconds per run (default 4)
  --version 4|5|both   MQTT 3.1.1 or 5.0 or both (default 4)
  --json FILE          where the results go (default bench/results/<date>.json); a plot goes beside it (.svg)
  --write-docs         writes results of earlier runs, put together, into docs/benchmarks.md`;

interface Settings {
  readonly scenarios: readonly string[];
  readonly brokers: readonly Broker[];
  readonly versions: readonly ProtocolVersion[];
  readonly rounds: number;
  readonly durationS: number;
  readonly warmupS: number;
  readonly jsonFile: string;
}

const FLAGS = {
  quick: { type: 'boolean', default: false },
  scenarios: { type: 'string' },
  brokers: { type: 'string', default: DEFAULT_BROKERS.join(',') },
  rounds: { type: 'string' },
  duration: { type: 'string' },
  version: { type: 'string', default: '4' },
  json: { type: 'string' },
  'write-docs': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const VERSIONS: ReadonlyMap<string, readonly ProtocolVersion[]> = new Map([
  ['4', [4]],
  ['5', [5]],
  ['both', [4, 5]],
]);

type Flags = ReturnType<typeof readFlags>['values'];

function readFlags(): { values: ReturnType<typeof parseArgs<{ options: typeof FLAGS }>>['values']; files: string[] } {
  const { values, positionals } = parseArgs({ options: FLAGS, allowPositionals: true });
  if (!values['write-docs'] && positionals[0] !== undefined) throw new RangeError(`${positionals[0]} is not a flag.`);
  return { values, files: positionals };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function names(list: string): string[] {
  return list.split(',').filter((name) => name !== '');
}

/** @throws when the value of a flag makes no sense. */
function readSettings(values: Flags): Settings {
  const scenarios = values.scenarios === undefined ? undefined : names(values.scenarios);
  const unknown = scenarios?.find((name) => !PLAN.has(name));
  if (unknown !== undefined) throw new RangeError(`There is no scenario ${unknown}; --help lists them.`);
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  const durationS = Number(values.duration ?? (values.quick ? 1.5 : 4));
  const versions = VERSIONS.get(values.version);
  if (!(rounds >= 1 && Number.isInteger(rounds))) throw new RangeError('--rounds must be a whole number from 1.');
  if (!(durationS > 0)) throw new RangeError('--duration must be a number of seconds above 0.');
  if (versions === undefined) throw new RangeError('--version must be 4, 5 or both.');
  return {
    scenarios: scenarios ?? (values.quick ? QUICK_SCENARIOS : [...PLAN.keys()]),
    brokers: findBrokers(names(values.brokers)),
    versions,
    rounds,
    durationS,
    warmupS: Math.min(1, durationS / 3),
    jsonFile: values.json ?? fileURLToPath(new URL(`./results/${new Date().toISOString()}.json`, import.meta.url)),
  };
}

/** @throws when none of them can be had. */
function findBrokers(wanted: readonly string[]): Broker[] {
  const brokers = wanted.flatMap((name) => {
    const found = findBroker(name);
    if (!('reason' in found)) return [found];
    say(`${name} is left out: ${found.reason}.`);
    return [];
  });
  if (brokers.length === 0) throw new RangeError('There is no broker to measure.');
  return brokers;
}

/** Core 0 for the broker and core 1 for the generator, where that can be had. */
function choosePins(): Pins {
  if (availableParallelism() >= 2 && spawnSync('sh', ['-c', 'command -v taskset']).status === 0)
    return { broker: 0, generator: 1 };
  say('Not pinned to cores (that takes taskset and two cores): broker and generator may get in each other’s way.');
  return { broker: undefined, generator: undefined };
}

interface RunKey {
  readonly scenario: string;
  readonly version: ProtocolVersion;
  readonly round: number;
}

async function measureOne(measurement: Measurement, broker: Broker, key: RunKey, settings: Settings): Promise<Outcome> {
  const scenario = PLAN.get(key.scenario)!;
  const run = { ...key, broker: broker.name };
  const leftOut = broker.cannot(scenario, key.version);
  if (leftOut !== undefined) return { ...run, leftOut };
  try {
    if (scenario.loadFlags === '') return { ...run, startMs: await measurement.start(broker) };
    const times = ['--duration', String(settings.durationS), '--warmup', String(settings.warmupS)];
    const flags = ['--version', String(key.version), ...times, ...scenario.loadFlags.split(' ')];
    return { ...run, report: await measurement.run(broker, flags) };
  } catch (error) {
    return { ...run, error: error instanceof Error ? error.message : String(error) };
  }
}

function describe({ scenario, version, broker, round, report, startMs, leftOut, error }: Outcome): string {
  let result = `failed: ${error}`;
  if (report) {
    const perSecond = Math.round(report.perSecond);
    result = `${perSecond}/s, ${report.brokerCpuPerMillion.toFixed(2)} CPU s per million, ${report.lost} lost`;
  } else if (startMs !== undefined) result = `${Math.round(startMs)} ms`;
  else if (leftOut !== undefined) result = `left out: ${leftOut}`;
  return `round ${round + 1}  ${scenario.padEnd(13)} ${versionName(version).padEnd(10)} ${broker.padEnd(12)} ${result}`;
}

async function measure(measurement: Measurement, settings: Settings): Promise<Outcome[]> {
  const { scenarios, brokers, versions, rounds } = settings;
  const outcomes: Outcome[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const scenario of scenarios) {
      // A start is the same in all versions.
      for (const version of PLAN.get(scenario)!.loadFlags === '' ? versions.slice(0, 1) : versions) {
        // Each round begins with another broker, so that none always comes first.
        const first = round % brokers.length;
        for (const broker of [...brokers.slice(first), ...brokers.slice(0, first)]) {
          const outcome = await measureOne(measurement, broker, { scenario, version, round }, settings);
          say(describe(outcome));
          outcomes.push(outcome);
        }
      }
    }
  }
  return outcomes;
}

function machine(): Results['machine'] {
  const [cpu] = cpus();
  const memoryMb = Math.round(totalmem() / 2 ** 20);
  return { cpu: cpu?.model ?? 'unknown', cores: cpus().length, memoryMb, kernel: release() };
}

function stopOnSignals(measurement: Measurement): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      measurement.kill();
      process.exit(1);
    });
  }
}

function save(results: Results, jsonFile: string): void {
  const svgFile = `${jsonFile.replace(/\.json$/, '')}.svg`;
  mkdirSync(dirname(jsonFile), { recursive: true });
  writeFileSync(jsonFile, `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(svgFile, plot(results));
  say(`\nResults are in ${jsonFile} and ${svgFile}`);
}

async function main(): Promise<number> {
  const { values, files } = readFlags();
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values['write-docs']) {
    const parts = files.map((file): Results => JSON.parse(readFileSync(file, 'utf8')));
    say(`Wrote ${writeDocs(mergeResults(parts)).join(' and ')}`);
    return 0;
  }
  const settings = readSettings(values);
  const measurement = new Measurement(choosePins());
  stopOnSignals(measurement);
  const outcomes = await measure(measurement, settings);
  console.log([tables(outcomes), summary(outcomes), checkTable(outcomes, SUBJECT)].join('\n\n'));
  const brokers = Object.fromEntries(settings.brokers.map(({ name, version }) => [name, version]));
  const { durationS, jsonFile } = settings;
  save({ date: new Date().toISOString(), machine: machine(), brokers, durationS, outcomes }, jsonFile);
  return outcomes.some(({ error }) => error !== undefined) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
