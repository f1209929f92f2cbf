import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { checkTable } from './checks.ts';
import { plot } from './plot.ts';
import type { Results } from './results.ts';
import { SUBJECT, summary, tables } from './table.ts';

const DOCUMENT = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url));
const PICTURE = fileURLToPath(new URL('../docs/images/benchmarks.svg', import.meta.url));

const BEGIN = '<!-- results: written by npm run bench -- --write-docs -->';
const END = '<!-- end of results -->';

/** The results as a section of docs/benchmarks.md. */
export function resultsSection(results: Results): string {
  const { machine, brokers, outcomes, date, durationS } = results;
  const versions = Object.entries(brokers).map(([name, version]) => `${name} ${version}`);
  const rounds = Math.max(...outcomes.map(({ round }) => round)) + 1;
  const memory = `${Math.round(machine.memoryMb / 1024)} GB`;
  return [
    `Measured on ${date.slice(0, 10)}: ${machine.cpu}, ${machine.cores} cores, ${memory}, Linux ${machine.kernel}; up to`,
    `${rounds} rounds of ${durationS} s. Brokers: ${versions.join(', ')}.`,
    '',
    '![Deliveries per CPU second relative to Mosquitto, on a logarithmic scale](images/benchmarks.svg)',
    '',
    '### Deliveries per CPU second, as multiples of Mosquitto’s',
    '',
    summary(outcomes),
    '',
    '### What is to stay below a bound',
    '',
    checkTable(outcomes, SUBJECT),
    '',
    '### All figures',
    tables(outcomes).replaceAll(/^(\S.*\((?:MQTT [0-9.]+)\))$/gm, '#### $1'),
  ].join('\n');
}

/** @throws when the text has no place for the results. */
export function withResults(text: string, section: string): string {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new RangeError(`The document lacks the lines ${BEGIN} and ${END}.`);
  return `${text.slice(0, from + BEGIN.length)}\n\n${section}\n\n${text.slice(to)}`;
}

/** Writes the results and their plot into the documentation; returns the files. */
export function writeDocs(results: Results): string[] {
  writeFileSync(DOCUMENT, withResults(readFileSync(DOCUMENT, 'utf8'), resultsSection(results)));
  writeFileSync(PICTURE, plot(results));
  return [DOCUMENT, PICTURE];
}
