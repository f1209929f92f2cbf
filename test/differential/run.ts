import { parseArgs } from 'node:util';
import { findTool } from '../tools.ts';
import { startMosquitto, startTrellis } from './brokers.ts';
import { Arena, type Comparison } from './comparison.ts';
import { describeComparison } from './report.ts';

const HELP = `node test/differential/run.ts [--runs N] [--seed S] [--trace] [--keep-going]

Plays N (200) random sequences, from seed S (1) on, to Trellis and to Mosquitto, and compares what the clients see. What
differs and is not on the list of test/differential/explained.ts is made as short as it can be and printed; --trace prints
all that was seen, --keep-going does not stop at the first. Exits with 1 where anything unexplained was found.`;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

process.exitCode = await main(Number(values.runs), Number(values.seed));

async function main(runs: number, first: number): Promise<number> {
  const program = findTool('mosquitto');
  if (values.help || !(runs > 0) || !Number.isInteger(first) || program === undefined) {
    console.error(program === undefined ? 'mosquitto is not installed' : HELP);
    return values.help ? 0 : 2;
  }
  const trellis = await startTrellis();
  try {
    const mosquitto = await startMosquitto(program);
    try {
      return await play(new Arena({ trellis: trellis.port, mosquitto: mosquitto.port }), runs, first);
    } finally {
      await mosquitto.stop();
    }
  } finally {
    await trellis.stop();
  }
}

async function play(arena: Arena, runs: number, first: number): Promise<number> {
  const explained = new Map<string, number>();
  let steps = 0;
  let found = 0;
  const started = performance.now();
  for (let seed = first; seed < first + runs; seed++) {
    const comparison = await arena.compareSeed(seed);
    steps += comparison.steps.length;
    for (const [name, times] of comparison.explained) explained.set(name, (explained.get(name) ?? 0) + times);
    if (values.trace) console.log(describeComparison(comparison));
    if (comparison.unexplained === undefined) continue;
    found += 1;
    const shortest: Comparison = await arena.shrink(comparison);
    console.log(describeComparison(shortest));
    if (!values['keep-going']) break;
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `\n${runs} sequences from seed ${first} on, ${steps} steps, ${seconds} s: ${found} with unexplained differences`,
  );
  for (const [name, times] of explained) console.log(`${times} times: ${name}`);
  return found === 0 ? 0 : 1;
}
