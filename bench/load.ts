/**
 * The load generator: one process, one scenario, one line of JSON. `bench/run.ts` starts it; README.md lists the flags.
 */
import { parseArgs } from 'node:util';
import { STAMP_BYTES } from './load/packets.ts';
import { type LoadOptions, Run } from './load/run.ts';
import { SCENARIOS } from './load/scenarios.ts';

/** Beside warm-up and measured time, a run that takes longer than this hangs, in milliseconds. */
const DEADLINE_MS = 60_000;

const FLAGS = {
  scenario: { type: 'string' },
  host: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string', default: '1883' },
  'publish-port': { type: 'string' },
  'broker-pid': { type: 'string' },
  'redis-pid': { type: 'string' },
  version: { type: 'string', default: '4' },
  qos: { type: 'string', default: '0' },
  window: { type: 'string', default: '20' },
  size: { type: 'string', default: '64' },
  pubs: { type: 'string', default: '50' },
  subs: { type: 'string', default: '1' },
  count: { type: 'string', default: '10000' },
  rate: { type: 'string', default: '4' },
  persistent: { type: 'boolean', default: false },
  warmup: { type: 'string', default: '1' },
  duration: { type: 'string', default: '4' },
} as const;

/** Ends the process with the reason on stderr; 2 where the command line is at fault, otherwise 1. */
function die(reason: string, exitCode: number): never {
  console.error(reason);
  process.exit(exitCode);
}

/** @throws when a flag is unknown or its value makes no sense. */
function readOptions(): { scenario: string; options: LoadOptions } {
  const { values } = parseArgs({ options: FLAGS });
  const check = (name: string, text: string | undefined, from: number, to: number): number => {
    const value = Number(text);
    if (value >= from && value <= to) return value;
    throw new RangeError(`--${name} must be given and be a number from ${from} to ${to}.`);
  };
  const number = (name: Exclude<keyof typeof FLAGS, 'persistent'>, from: number, to: number): number =>
    check(name, values[name], from, to);
  const brokerPids = (values['broker-pid'] ?? '').split(',').map((text) => check('broker-pid', text, 1, 2 ** 31));
  const options: LoadOptions = {
    host: values.host,
    port: number('port', 1, 65_535),
    publishPort: number(values['publish-port'] === undefined ? 'port' : 'publish-port', 1, 65_535),
    brokerPids,
    redisPid: values['redis-pid'] === undefined ? undefined : number('redis-pid', 1, 2 ** 31),
    version: number('version', 4, 5) === 5 ? 5 : 4,
    qos: ([0, 1, 2] as const)[number('qos', 0, 2)] ?? 0,
    window: number('window', 1, 65_535),
    payloadBytes: number('size', STAMP_BYTES, 1e7),
    pubs: number('pubs', 1, 1e5),
    subs: number('subs', 1, 1e5),
    count: number('count', 1, 1e7),
    rate: number('rate', 0.001, 1e5),
    isPersistent: values.persistent,
    warmupMs: number('warmup', 0, 600) * 1000,
    durationMs: number('duration', 0.1, 600) * 1000,
  };
  return { scenario: values.scenario ?? '', options };
}

async function main(): Promise<void> {
  const { scenario, options } = readOptions();
  const runScenario = SCENARIOS.get(scenario);
  if (runScenario === undefined) throw new RangeError(`--scenario must be one of ${[...SCENARIOS.keys()].join(', ')}.`);
  const deadline = setTimeout(
    () => die('The run did not end.', 1),
    DEADLINE_MS + options.warmupMs + options.durationMs,
  );
  const run = new Run(options, (reason) => die(reason, 1));
  const report = await runScenario(run);
  clearTimeout(deadline);
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
}

try {
  await main();
} catch (error) {
  die(error instanceof Error ? error.message : String(error), 2);
}
