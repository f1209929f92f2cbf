import { resolve } from 'node:path';
import { renderHtml } from '../report/html.ts';
import { writeReport, writeWhole } from '../report/json.ts';
import { openLiveView, viewPlanOf } from '../report/live-view.ts';
import type { Report } from '../report/report.ts';
import { wantsColour } from '../report/text.ts';
import { lastLine, verdictTable } from '../report/verdict-table.ts';
import type { Progress, Run } from '../run/run.ts';
import { loadScenario, shippedScenario } from '../scenario/load.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { ExitCode, UsageError } from './errors.ts';
import { type GivenFlags, helpText, numberOf, parseFlags } from './flags.ts';
import { runFlags } from './help.ts';
import { Interruption } from './interruption.ts';
import { pemFile } from './pem-file.ts';
import type { Output } from './run-cli.ts';
import { checkPlace } from './writable-place.ts';

/** How often the broker is killed where --kill-broker is given and the scenario does not say, s. */
const killEverySeconds = 10;

const tourHelp = `
Usage: trellis sim tour [flags]

A fleet of 200 devices of every kind for two minutes: sensors, gateways, actuators with an operator, trackers on a bad
network, old devices that speak MQTT 3.1, dashboards over WebSocket. Without --report and --html the reports go to
sim-report.json and sim-report.html in this folder.`;

const runHelp = `
Usage: trellis sim run SCENARIO [flags]

Runs a scenario: a file (.yaml, .json, .ts, .js), or the name of one that comes along (trellis sim scenarios).`;

const examples = `
Examples:
  trellis sim tour --devices 50 --duration 15
  trellis sim run factory --broker mqtt://127.0.0.1:1883 --report out.json --html out.html
  trellis sim run kill-broker --broker mqtt://127.0.0.1:1883 --kill-broker "$(pidof mosquitto)"

Exit codes: 0 every threshold holds, 1 one does not or the run failed, 2 wrong flags or scenario, 130 ended by ctrl-C.`;

/** `sim tour`. */
export function tour(args: readonly string[], output: Output, runner: Run): Promise<number> {
  const given = parseFlags({ command: 'sim tour', flags: runFlags, words: [] }, args);
  if (given.values.has('--help')) return printHelp(tourHelp, output);
  const files = { json: given.values.get('--report'), html: given.values.get('--html') };
  const named = files.json !== undefined || files.html !== undefined;
  return play(given, shippedScenario('tour'), output, {
    runner,
    words: ['tour', ...args],
    files: named ? files : { json: 'sim-report.json', html: 'sim-report.html' },
  });
}

/** `sim run`. */
export function runCommand(args: readonly string[], output: Output, runner: Run): Promise<number> {
  const given = parseFlags({ command: 'sim run', flags: runFlags, words: ['SCENARIO'] }, args);
  if (given.values.has('--help')) return printHelp(runHelp, output);
  return play(given, given.words[0] as string, output, {
    runner,
    words: ['run', ...args],
    files: { json: given.values.get('--report'), html: given.values.get('--html') },
  });
}

function printHelp(before: string, output: Output): Promise<number> {
  output.out(helpText(before, runFlags, examples));
  return Promise.resolve(ExitCode.ok);
}

interface Play {
  readonly runner: Run;
  readonly words: readonly string[];
  readonly files: { readonly json?: string | undefined; readonly html?: string | undefined };
}

async function play(
  given: GivenFlags,
  source: string,
  output: Output,
  { runner, words, files }: Play,
): Promise<number> {
  const scenario = scenarioOf(given, source);
  const threads = numberOf(given, '--threads', { min: 0, max: 256 }) ?? 0;
  const killBroker = killTarget(given.values.get('--kill-broker'));
  checkPlace(given, '--report', files.json);
  checkPlace(given, '--html', files.html);
  const isQuiet = given.values.has('--quiet');
  const hasColour = !given.values.has('--no-color') && wantsColour(process.stdout.isTTY, process.env);
  const view = isQuiet ? undefined : openLiveView(process.stdout, viewPlanOf(scenario), hasColour);
  const interruption = new Interruption((text) => (view === undefined ? output.err(`\n${text}\n`) : view.say(text)));
  let report: Report;
  try {
    report = await runner(scenario, {
      threads,
      ...(killBroker === undefined ? {} : { killBroker }),
      command: ['trellis', 'sim', ...withoutSecrets(words)],
      interrupt: interruption.signal,
      ...(view === undefined
        ? {}
        : { onProgress: (progress: Progress) => view.show(progress), onNotice: (notice: string) => view.say(notice) }),
    });
  } finally {
    interruption.done();
    view?.close();
  }
  const { written, failure } = await writeFiles(files, report);
  output.out(
    isQuiet ? `${lastLine(report)}\n` : verdictTable(report, { hasColour, written, columns: process.stdout.columns }),
  );
  if (failure !== undefined) throw failure;
  if (report.interrupted) return ExitCode.interrupted;
  return report.result === 'pass' ? ExitCode.ok : ExitCode.failure;
}

/** Writes the reports; what cannot be written must not keep the verdict back. */
async function writeFiles(
  { json, html }: Play['files'],
  report: Report,
): Promise<{ readonly written: readonly string[]; readonly failure: unknown }> {
  const written: string[] = [];
  let failure: unknown;
  const keep = async (file: string | undefined, write: (path: string) => Promise<void>): Promise<void> => {
    if (file === undefined) return;
    try {
      await write(file);
      written.push(resolve(file));
    } catch (error) {
      failure ??= error;
    }
  };
  await keep(json, (path) => writeReport(path, report));
  await keep(html, (path) => writeWhole(path, renderHtml(report)));
  return { written, failure };
}

/** Loads the scenario and lets the flags decide. @throws ScenarioError, UsageError. */
function scenarioOf(given: GivenFlags, source: string): Scenario {
  const { values } = given;
  const devices = numberOf(given, '--devices', { min: 1, max: 1_000_000 });
  const durationSeconds = numberOf(given, '--duration', { min: 1, max: 31_536_000, isInteger: false });
  const seed = numberOf(given, '--seed', { min: 0, max: 2 ** 32 - 1 });
  const password = values.get('--password') ?? process.env['SIM_PASSWORD'];
  const tls = {
    ...optional('ca', pemFile(values, '--ca')),
    ...optional('cert', pemFile(values, '--cert')),
    ...optional('key', pemFile(values, '--key')),
    ...(values.has('--insecure') ? { verify: false } : {}),
  };
  const scenario = loadScenario(source, {
    ...optional('brokerUrl', values.get('--broker')),
    ...optional('websocketUrl', values.get('--websocket')),
    ...optional('username', values.get('--username')),
    ...optional('password', password),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    ...optional('devices', devices),
    ...optional('durationSeconds', durationSeconds),
    ...optional('seed', seed),
  });
  if (!values.has('--kill-broker') || scenario.chaos.killBrokerEverySeconds > 0) return scenario;
  return { ...scenario, chaos: { ...scenario.chaos, killBrokerEverySeconds: killEverySeconds } };
}

function optional<Name extends string, Value>(name: Name, value: Value | undefined): Partial<Record<Name, Value>> {
  return value === undefined ? {} : ({ [name]: value } as Record<Name, Value>);
}

/** A process number where it is a number, and a command otherwise. @throws UsageError for an empty one. */
function killTarget(text: string | undefined): string | number | undefined {
  if (text === undefined) return undefined;
  if (text.trim() === '')
    throw new UsageError('--kill-broker needs a command or the number of a process; it is empty.');
  return /^\d+$/.test(text.trim()) ? Number(text) : text;
}

/** The command line as it goes into reports. A password in a URL ends at the last `@` before the path. */
function withoutSecrets(words: readonly string[]): string[] {
  return words.map((word, at) => {
    if (words[at - 1] === '--password') return '***';
    return word.replace(/^--password=.*/s, '--password=***').replaceAll(/(:\/\/[^/?#:]*):[^/?#]*@/g, '$1:***@');
  });
}
