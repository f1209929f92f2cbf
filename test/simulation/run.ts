import { parseArgs } from 'node:util';
import type { Outcome } from './inspection.ts';
import { NodeSimulation } from './node-simulation.ts';
import { Simulation } from './simulation.ts';

const HELP = `node test/simulation/run.ts [--seed N] [--runs N] [--from N] [--nodes N] [--trace]

Runs the whole broker with simulated clients, network and disk; with --nodes, so many of them on a simulated Redis. --seed runs one seed, --trace prints all that happened in
it; --runs runs that many seeds, from --from on (1 by default). Exits with 1 when a promise was broken.`;

function report({ seed, violations, trace }: Outcome, nodes: number): void {
  const again = `--seed ${seed}${nodes > 1 ? ` --nodes ${nodes}` : ''} --trace`;
  console.log(`\nseed ${seed}: ${violations.length} violations; again with: node test/simulation/run.ts ${again}`);
  for (const { fault, text } of violations.slice(0, 10)) console.log(`  ${fault}: ${text}`);
  for (const line of trace.slice(-5)) console.log(`    ${line}`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      runs: { type: 'string', default: '100' },
      from: { type: 'string', default: '1' },
      nodes: { type: 'string', default: '1' },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const first = Number(values.seed ?? values.from);
  const runs = values.seed === undefined ? Number(values.runs) : 1;
  const nodes = Number(values.nodes);
  const total = { runs: 0, failed: 0, crashes: 0, sent: 0, delivered: 0, repeated: 0, wills: 0, looseDeliveries: 0 };
  for (let seed = first; seed < first + runs; seed++) {
    const simulation = nodes > 1 ? new NodeSimulation(seed, nodes, values.trace) : new Simulation(seed, values.trace);
    const outcome = await simulation.run().catch((error: unknown) => {
      throw new Error(`seed ${seed} cannot be run`, { cause: error });
    });
    if (values.trace) for (const line of outcome.trace) console.log(line);
    for (const key of ['crashes', 'sent', 'delivered', 'repeated', 'wills', 'looseDeliveries'] as const)
      total[key] += outcome[key];
    total.runs += 1;
    if (outcome.violations.length === 0) continue;
    total.failed += 1;
    report(outcome, nodes);
  }
  console.log(JSON.stringify(total));
  return total.failed === 0 ? 0 : 1;
}

process.exitCode = await main();
