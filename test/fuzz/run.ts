import { parseArgs } from 'node:util';
import { CodecFuzzer, type CodecReport, replayCodec } from './codec-fuzzer.ts';
import { type Finding, readFinding, writeFinding } from './finding.ts';
import { fuzzLive, type LiveReport, replayLive } from './live-fuzzer.ts';
import { GROWTH_FACTOR, measureGrowth } from './growth.ts';
import { FUZZ_TRANSPORTS, type FuzzTransport } from './transports.ts';

const NAMES = FUZZ_TRANSPORTS.map(({ name }) => name).join('|');
const HELP = `node test/fuzz/run.ts --codec|--live [--bytes N] [--seed S] [--transport ${NAMES}|all] [--out DIRECTORY]
node test/fuzz/run.ts --replay FILE

Throws mutated packets at the codec in this process, or at a broker in another one, until N bytes (1e6) were sent. What
went wrong is written to DIRECTORY (fuzz-findings), one file each, which --replay tries again. Exits with 1 where anything
went wrong. A seed (1) does the same again; with --live, as far as the scheduling of two processes allows.`;

const { values } = parseArgs({
  options: {
    codec: { type: 'boolean', default: false },
    live: { type: 'boolean', default: false },
    bytes: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    transport: { type: 'string', default: 'all' },
    out: { type: 'string', default: 'fuzz-findings' },
    replay: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const bytes = Number(values.bytes);
  const seed = Number(values.seed);
  const isNumeric = Number.isFinite(bytes) && bytes > 0 && Number.isInteger(seed);
  if (values.replay !== undefined) return await replay(readFinding(values.replay));
  if (values.help || values.codec === values.live || !isNumeric) {
    console.error(HELP);
    return values.help ? 0 : 2;
  }
  if (values.codec) return fuzzCodec(bytes, seed);
  const transports = FUZZ_TRANSPORTS.filter(({ name }) => values.transport === 'all' || values.transport === name);
  if (transports.length === 0) {
    console.error(HELP);
    return 2;
  }
  let exit = 0;
  // The bytes are those of all transports together.
  for (const transport of transports)
    exit = Math.max(exit, await fuzzTransport(bytes / transports.length, seed, transport));
  return exit;
}

function fuzzCodec(bytes: number, seed: number): number {
  const started = performance.now();
  const progress = (report: CodecReport): void =>
    console.log(`${report.bytes} bytes, ${report.findings.length} findings`);
  const report = new CodecFuzzer(seed).run(bytes, progress);
  const seconds = (performance.now() - started) / 1000;
  const { inputs, packets, refusals, slowest, findings } = report;
  console.log(`\nseed ${seed}: ${report.bytes} bytes in ${inputs} inputs, ${seconds.toFixed(0)} s`);
  console.log(`${packets} packets accepted; inputs refused by reason code: ${refusalsText(refusals)}`);
  console.log(
    `slowest: ${slowest.nanosecondsPerByte.toFixed(0)} ns/byte, version ${slowest.version}: ${slowest.hex.slice(0, 400)}`,
  );
  for (const { name, factor } of measureGrowth())
    console.log(`${GROWTH_FACTOR} times as long takes ${factor.toFixed(1)} times as long: ${name}`);
  return keep(findings);
}

async function fuzzTransport(bytes: number, seed: number, transport: FuzzTransport): Promise<number> {
  const started = performance.now();
  const report = await fuzzLive(seed, transport, bytes);
  const seconds = (performance.now() - started) / 1000;
  print(report, seconds);
  return keep(report.findings);
}

function print(report: LiveReport, seconds: number): void {
  const { seed, transport, connections, packets, answers, tampered, ended, songs, slowest, loopDelayMs, memory } =
    report;
  const { rss, used } = memory;
  console.log(
    `\nseed ${seed}, ${transport}: ${report.bytes} bytes on ${connections} connections, ${seconds.toFixed(0)} s`,
  );
  console.log(
    `${packets} packets came back, ${songs} songs of the canary; connections ended: ${JSON.stringify(ended)}`,
  );
  console.log(JSON.stringify(Object.fromEntries(answers)));
  console.log(`made wrong on the way: ${JSON.stringify(Object.fromEntries(tampered))}`);
  console.log(`slowest: closed after ${slowest.milliseconds.toFixed(0)} ms: ${slowest.hex.slice(0, 400)}`);
  console.log(
    `memory after warm-up and at the end: rss ${mb(rss)} MB, in use ${mb(used)} MB; event loop still for ${loopDelayMs.toFixed(0)} ms at most`,
  );
}

function mb(figures: readonly number[]): string {
  return figures.map((figure) => figure.toFixed(1)).join(' and ');
}

async function replay(finding: Finding): Promise<number> {
  const transport = FUZZ_TRANSPORTS.find(({ name }) => name === finding.transport);
  let texts: string[] = [];
  if (finding.target === 'codec') texts = [replayCodec(finding)?.text ?? ''];
  else if (transport !== undefined) texts = (await replayLive(finding, transport)).findings.map(({ text }) => text);
  texts = texts.filter((text) => text !== '');
  console.log(texts.length === 0 ? 'nothing is wrong with it any more' : texts.join('\n'));
  return texts.length === 0 ? 0 : 1;
}

function refusalsText(refusals: ReadonlyMap<number, number>): string {
  return [...refusals]
    .toSorted(([one], [other]) => one - other)
    .map(([code, count]) => `0x${code.toString(16)} ${count}`)
    .join(', ');
}

function keep(findings: readonly Finding[]): number {
  console.log(`${findings.length} findings`);
  for (const [index, finding] of findings.entries())
    console.log(`${writeFinding(finding, values.out, index)}: ${finding.text}`);
  return findings.length === 0 ? 0 : 1;
}
