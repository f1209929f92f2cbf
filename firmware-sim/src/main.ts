#!/usr/bin/env node
import { runSim } from './cli/run-cli.ts';

// Whoever reads the output may leave at any time.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
const exitCode = await runSim(process.argv.slice(2));
process.stdout.write('', () => process.exit(exitCode));
