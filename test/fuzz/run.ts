import { parseArgs } from 'node:util';
import { CodecFuzzer, type CodecReport, replayCodec } from './codec-fuzzer.ts';
import { type Finding, readFinding, writeFinding } from './finding.ts';
import { GROWTH_FACTOR, measureGrowth } from './growth.ts';

const HELP = `node test/fuzz/run.ts --codec|--live [--bytes N] [--seed S] [--transport tcp|ws|all] [--out DIRECTORY]
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
  return await fuzzCodec(bytes, seed);
}

async function fuzzCodec(bytes: number, seed: number): Promise<number> {
  const started = performance.now();
  const progress = (report: CodecReport): void => console.log(`${report.bytes} bytes, ${report.findings.length} findings`);
  const report = new CodecFuzzer(seed).run(bytes, progress);
  const seconds = (performance.now() - started) / 1000;
  const { inputs, packets, refusals, slowest, findings } = report;
  console.log(`\nseed ${seed}: ${report.bytes} bytes in ${inputs} inputs, ${seconds.toFixed(0)} s`);
  console.log(`${packets} packets accepted; inputs refused by reason code: ${refusalsText(refusals)}`);
  console.log(`slowest: ${slowest.nanosecondsPerByte.toFixed(0)} ns/byte, version ${slowest.version}: ${slowest.hex.slice(0, 400)}`);
  for (const { name, factor } of measureGrowth())
    console.log(`${GROWTH_FACTOR} times as long takes ${factor.toFixed(1)} times as long: ${name}`);
  return keep(findings);
}

async function replay(finding: Finding): Promise<number> {
  const again = replayCodec(finding);
  console.log(again === undefined ? 'nothing is wrong with it any more' : again.text);
  return again === undefined ? 0 : 1;
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
