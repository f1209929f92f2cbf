import { parseArgs } from 'node:util';
import { FAULTS } from '../checker/records.ts';
import { type CrashReport, runCrashes } from './crash-run.ts';

const HELP = `node test/crash/run.ts [--kills N] [--seed S] [--store embedded|redis]

Kills a broker N times (30) under load, at named failpoints and at random instants, starts it again on the same data, and
counts what it promised and did not keep. Exits with 1 where there is anything. The seed decides what devices do and when
to kill; the scheduling of two processes is not in its power, so that a seed makes a failure likely again, not certain.`;

const { values } = parseArgs({
  options: {
    kills: { type: 'string' },
    seed: { type: 'string' },
    store: { type: 'string' },
    help: { type: 'boolean' },
  },
});

if (values.help === true) console.log(HELP);
else
  process.exitCode = await main(Number(values.kills ?? 30), Number(values.seed ?? Date.now() % 2 ** 31), values.store);

async function main(kills: number, seed: number, store = 'embedded'): Promise<number> {
  const isStore = store === 'embedded' || store === 'redis';
  if (!isStore || !Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) {
    console.error(HELP);
    return 2;
  }
  const started = performance.now();
  const report = await runCrashes({ kills, seed, store, onKill: (text) => console.log(text) });
  print(report, (performance.now() - started) / 1000);
  return report.violations.length === 0 ? 0 : 1;
}

function print(report: CrashReport, seconds: number): void {
  const { seed, kills, atRandom, duringStart, byFailpoint, sent, acknowledged, delivered, repeated, wills } = report;
  console.log(
    `\nseed ${seed}: ${kills} kills in ${seconds.toFixed(0)} s, ${atRandom} at random instants, ${duringStart} while starting`,
  );
  console.log([...byFailpoint].map(([name, count]) => `  ${count} at ${name}`).join('\n'));
  console.log(`${sent} messages sent, ${acknowledged} acknowledged, ${wills} wills published`);
  console.log(`${delivered} deliveries, and ${repeated} repetitions that QoS 1 allows`);
  console.log(FAULTS.map((fault) => `${report.faults[fault]} ${fault}`).join(', '));
  for (const { fault, text } of report.violations) console.error(`seed ${seed}: ${fault}: ${text}`);
}
