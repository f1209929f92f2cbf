import { formatBytes, formatCount, formatDuration, formatMs, formatNumber } from './numbers.ts';

const time = /(?:^|\.)(?:delivery|acknowledgement|connect|roundTrip)\.(?:min|mean|p\d+|max)$|^self\.loopDelayP99$/;

/** The value of the figure with this path, with its unit. */
export function formatMetric(metric: string, value: number): string {
  if (time.test(metric)) return formatMs(value);
  if (metric.endsWith('Bytes')) return formatBytes(value);
  if (metric === 'durationSeconds' || metric === 'self.cpuSeconds') return formatDuration(value);
  if (metric === 'self.residentMb') return `${formatCount(value)} MB`;
  if (/(?:^|\.)throughput$/.test(metric)) return `${formatNumber(value)}/s`;
  return Number.isInteger(value) ? formatCount(value) : formatNumber(value);
}
