import { formatClock } from './numbers.ts';
import type { Report } from './report.ts';
import { selfWarning } from './self-check.ts';

/** Seconds without any connection at the end of a run that are worth a word: the last one may be anything. */
const aloneSeconds = 3;

/** Why a verdict may say less than it seems to: one sentence each, none where all is well. */
export function runWarnings(report: Report): readonly string[] {
  return [endWarning(report), selfWarning(report)].filter((warning) => warning !== undefined);
}

/** One sentence where at the end nobody was connected any more, as when the broker went away for good. */
function endWarning({ series }: Report): string | undefined {
  const last = series.findLastIndex(({ connected }) => connected > 0);
  const since = series[last]?.second;
  if (since === undefined || series.length - 1 - last < aloneSeconds) return undefined;
  return `No device was connected from ${formatClock(since)} to the end: the verdict covers what came before.`;
}
