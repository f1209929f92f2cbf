import { writeWhole } from '../report/json.ts';
import type { Progress, Run } from '../run/run.ts';
import { type BenchMode, type ModeDefaults, modes } from '../bench/modes.ts';
import { type BenchPlan, scenarioOf } from '../bench/plan.ts';
import { isClean, resultOf, summaryText } from '../bench/summary.ts';
import { nearest } from '../lib/nearest.ts';
import type { Endpoint } from '../wire/endpoint.ts';
import { ExitCode, UsageError } from './errors.ts';
import { type Flag, type GivenFlags, helpText, numberOf, parseFlags, quoted } from './flags.ts';
import { Interruption } from './interruption.ts';
import { pemFile } from './pem-file.ts';
import type { Output } from './run-cli.ts';
import { checkPlace } from './writable-place.ts';

const benchHelp = `
Usage: trellis bench MODE [flags]

One number for any MQTT broker, with flags as emqtt-bench and mqttx bench have them. Modes:
${[...modes].map(([name, { about }]) => `  ${name.padEnd(10)}${about}`).join('\n')}

trellis bench MODE --help tells the flags and their defaults.
Exit codes: 0 measured and nothing went wrong, 1 something was lost, doubled or refused, 2 wrong flags, 130 ended by
ctrl-C.
`.trimStart();

/** `bench`. */
export async function bench(args: readonly string[], output: Output, runner: Run): Promise<number> {
  const [mode, ...rest] = args;
  if (mode === undefined || mode === '--help' || mode === '-h' || mode === 'help') {
    output.out(benchHelp);
    return mode === undefined ? ExitCode.usage : ExitCode.ok;
  }
  const defaults = modes.get(mode as BenchMode);
  if (defaults === undefined) {
    const near = nearest(mode, modes.keys());
    const hint = near === undefined ? 'see trellis bench --help.' : `did you mean ${near}?`;
    throw new UsageError(`trellis bench has no mode ${quoted(mode)}; ${hint}`);
  }
  const flags = flagsOf(mode as BenchMode, defaults);
  const given = parseFlags({ command: `bench ${mode}`, flags, words: [] }, rest);
  if (given.values.has('--help')) {
    const before = `Usage: trellis bench ${mode} [flags]\n\n${defaults.about}`;
    output.out(helpText(before, flags, `Example:\n  trellis bench ${mode} -h 127.0.0.1 -c ${defaults.clients} -D 10`));
    return ExitCode.ok;
  }
  return measure(planOf(mode as BenchMode, defaults, given), given, output, runner);
}

async function measure(plan: BenchPlan, given: GivenFlags, output: Output, runner: Run): Promise<number> {
  const threads = numberOf(given, '--threads', { min: 0, max: 256 }) ?? 0;
  const file = given.values.get('--json');
  checkPlace(given, '--json', file);
  const isQuiet = given.values.has('--quiet');
  const interruption = new Interruption((text) => output.err(`\n${text}\n`));
  try {
    const report = await runner(scenarioOf(plan), {
      threads,
      command: ['trellis', 'bench', plan.mode],
      interrupt: interruption.signal,
      ...(isQuiet
        ? {}
        : {
            onProgress: (progress: Progress) => output.err(progressLine(progress)),
            onNotice: (notice: string) => output.err(`${notice}\n`),
          }),
    });
    const result = resultOf(plan, report);
    output.out(summaryText(result));
    if (file !== undefined) await writeWhole(file, `${JSON.stringify(result, undefined, 2)}\n`);
    if (report.interrupted) return ExitCode.interrupted;
    return report.result === 'pass' && isClean(result) ? ExitCode.ok : ExitCode.failure;
  } finally {
    interruption.done();
  }
}

function progressLine({ point, stage }: Progress): string {
  const { second, sent, delivered, connected, p99 } = point;
  return `${second}s ${stage}: ${connected} connected, sent ${sent}/s, delivered ${delivered}/s, p99 ${p99.toFixed(2)} ms\n`;
}

function planOf(mode: BenchMode, defaults: ModeDefaults, given: GivenFlags): BenchPlan {
  const integer = (name: string, min: number, max: number, otherwise: number): number =>
    numberOf(given, name, { min, max }) ?? otherwise;
  const hasWebsocket = given.values.has('--ws');
  const endpoint = endpointOf(given, hasWebsocket);
  const username = given.values.get('-u');
  const password = given.values.get('-P') ?? process.env['SIM_PASSWORD'];
  return {
    mode,
    broker: {
      ...(endpoint === undefined ? {} : { tcp: endpoint, ...(hasWebsocket ? { websocket: endpoint } : {}) }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    },
    transport: hasWebsocket ? 'websocket' : 'tcp',
    version: versionOf(given.values.get('-V')),
    clients: integer('-c', 1, 1_000_000, defaults.clients),
    intervalMs: numberOf(given, '-i', { min: 0, max: 60_000, isInteger: false }) ?? defaults.intervalMs,
    messageIntervalMs:
      numberOf(given, '-I', { min: 1, max: 86_400_000, isInteger: false }) ?? defaults.messageIntervalMs,
    subscribers: integer('--subscribers', 0, 100_000, defaults.subscribers),
    topic: topicOf(given) ?? defaults.topic,
    sizeBytes: integer('-s', 0, 16 * 2 ** 20, 256),
    qos: integer('-q', 0, 2, defaults.qos) as 0 | 1 | 2,
    retain: given.values.has('-r'),
    durationSeconds: numberOf(given, '-D', { min: 1, max: 86_400, isInteger: false }) ?? 10,
    window: integer('-w', 1, 65_535, 20),
    keepAliveSeconds: integer('-k', 0, 65_535, 60),
    seed: integer('--seed', 0, 2 ** 32 - 1, 1),
  };
}

/** @throws UsageError for what nobody can publish to. */
function topicOf({ values }: GivenFlags): string | undefined {
  const topic = values.get('-t');
  if (topic === undefined || /^[^+#{}\0]+$/.test(topic)) return topic;
  throw new UsageError(`-t must be a topic without +, #, { and }, not "${quoted(topic)}".`);
}

/** Undefined for a broker of the run's own. */
function endpointOf(given: GivenFlags, hasWebsocket: boolean): Endpoint | undefined {
  const { values } = given;
  if (values.has('--own')) {
    const other = ['-h', '-p', '--tls'].find((name) => values.has(name));
    if (other === undefined) return undefined;
    throw new UsageError(
      `--own starts a broker, without TLS, on a free port of this machine; ${other} cannot be given with it.`,
    );
  }
  const isSecure = values.has('--tls');
  const idle = isSecure ? undefined : ['--ca', '--cert', '--key', '--insecure'].find((name) => values.has(name));
  if (idle !== undefined) throw new UsageError(`${idle} is of no use without --tls.`);
  const transport = hasWebsocket ? (isSecure ? 'wss' : 'ws') : isSecure ? 'tls' : 'tcp';
  const port = { tcp: 1883, tls: 8883, ws: 8083, wss: 8084 }[transport];
  const [ca, cert, key] = ['--ca', '--cert', '--key'].map((name) => pemFile(values, name));
  const tls = {
    verify: !values.has('--insecure'),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
  return {
    transport,
    host: values.get('-h') ?? '127.0.0.1',
    port: numberOf(given, '-p', { min: 1, max: 65_535 }) ?? port,
    path: '/mqtt',
    ...(isSecure ? { tls } : {}),
  };
}

function versionOf(text: string | undefined): 3 | 4 | 5 {
  switch (text) {
    case undefined:
    case '5':
    case '5.0':
      return 5;
    case '4':
    case '3.1.1':
      return 4;
    case '3':
    case '3.1':
      return 3;
    default:
      throw new UsageError(`-V must be 3.1, 3.1.1 or 5, not "${quoted(text)}".`);
  }
}

function flagsOf(mode: BenchMode, defaults: ModeDefaults): readonly Flag[] {
  const flag = (names: string, value: string | undefined, group: string, text: string): Flag => ({
    names: names.split(' '),
    ...(value === undefined ? {} : { value }),
    group,
    help: text,
  });
  const hasTopics = mode !== 'conn';
  const hasTelemetry = hasTopics && mode !== 'retained';
  const pace =
    defaults.messageIntervalMs === undefined ? 'as fast as the broker takes them' : `${defaults.messageIntervalMs}`;
  return [
    flag('-h --host', 'HOST', 'Broker', 'Default 127.0.0.1.'),
    flag('-p --port', 'PORT', 'Broker', 'Default 1883; 8883 with --tls, 8083 with --ws, 8084 with both.'),
    flag('--own', undefined, 'Broker', 'Starts a Trellis broker on a free port in place of -h and -p.'),
    flag('-V --version', 'VERSION', 'Broker', '3.1, 3.1.1 or 5. Default 5.'),
    flag('-u --username', 'NAME', 'Broker', 'User name.'),
    flag('-P --password', 'SECRET', 'Broker', 'Password; better as SIM_PASSWORD in the environment.'),
    flag('--ws', undefined, 'Broker', 'Over WebSocket, path /mqtt.'),
    flag('--tls --ssl', undefined, 'Broker', 'Over TLS.'),
    flag('--ca', 'FILE', 'Broker', 'PEM file of the authorities to trust.'),
    flag('--cert', 'FILE', 'Broker', "PEM file with the clients' certificate."),
    flag('--key', 'FILE', 'Broker', 'PEM file with its key.'),
    flag('--insecure', undefined, 'Broker', 'Accepts any certificate.'),
    flag('-c --count', 'N', 'Load', `Number of ${defaults.clientsAre}. Default ${defaults.clients}.`),
    flag('-i --interval', 'MS', 'Load', `Between two connects. Default ${defaults.intervalMs}.`),
    ...(defaults.subscribers > 0
      ? [flag('--subscribers', 'N', 'Load', `Subscribers to everything. Default ${defaults.subscribers}.`)]
      : []),
    ...(hasTopics
      ? [
          flag('-t --topic', 'TOPIC', 'Load', `%i is the number of the client. Default ${defaults.topic}.`),
          flag('-q --qos', 'QOS', 'Load', `0, 1 or 2. Default ${defaults.qos}.`),
        ]
      : []),
    ...(hasTelemetry
      ? [
          flag('-I --message-interval', 'MS', 'Load', `Between two messages of a client. Default ${pace}.`),
          flag('-s --size', 'BYTES', 'Load', 'Payload; some 60 bytes of it tell the checker what it is. Default 256.'),
          flag('-r --retain', undefined, 'Load', 'Messages are retained.'),
          flag('-w --inflight', 'N', 'Load', 'Messages of a client on their way at once. Default 20.'),
        ]
      : []),
    flag('-k --keepalive', 'SECONDS', 'Load', 'Keep alive. Default 60.'),
    flag('-D --duration', 'SECONDS', 'Load', 'Length of the measurement, after the connects. Default 10.'),
    flag('--seed', 'N', 'Load', 'Seed of everything that is random. Default 1.'),
    flag('--threads', 'N', 'Load', 'Threads for the clients. Default 0: the main thread alone.'),
    flag('--json', 'FILE', 'Output', 'Writes the figures as JSON.'),
    flag('--quiet', undefined, 'Output', 'No line per second.'),
    flag('--help', undefined, 'Output', 'Prints this.'),
  ];
}
