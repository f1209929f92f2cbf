import { comparisonHtml } from '../report/compare-html.ts';
import { compareReports, comparisonText } from '../report/compare.ts';
import { readReport, writeWhole } from '../report/json.ts';
import { wantsColour } from '../report/text.ts';
import { ExitCode } from './errors.ts';
import { type Flag, helpText, parseFlags } from './flags.ts';
import { help } from './help.ts';
import type { Output } from './run-cli.ts';
import { checkPlace } from './writable-place.ts';

const flags: readonly Flag[] = [
  { names: ['--html'], value: 'FILE.html', group: 'Output', help: 'Writes the comparison as an HTML page, too.' },
  { names: ['--no-color'], group: 'Output', help: 'No colours.' },
  help,
];

/** `sim compare A B`. */
export async function compare(args: readonly string[], output: Output): Promise<number> {
  const given = parseFlags({ command: 'sim compare', flags, words: ['A.json', 'B.json'] }, args);
  if (given.values.has('--help')) {
    output.out(
      helpText('Usage: trellis sim compare A.json B.json [flags]\n\nShows two reports side by side.', flags, ''),
    );
    return ExitCode.ok;
  }
  const html = given.values.get('--html');
  checkPlace(given, '--html', html);
  const [a, b] = given.words as [string, string];
  const comparison = compareReports(await readReport(a), await readReport(b));
  const hasColour = !given.values.has('--no-color') && wantsColour(process.stdout.isTTY, process.env);
  output.out(comparisonText(comparison, hasColour));
  if (html !== undefined) await writeWhole(html, comparisonHtml(comparison));
  return ExitCode.ok;
}
