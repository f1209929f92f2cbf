import { formatMs } from './numbers.ts';
import type { Report } from './report.ts';

/** Event loop delay above which latencies are the simulator's own, ms. */
const loopDelayMax = 20;
/** Part of the cores it may use that is nearly all of them. */
const busyPart = 0.9;

/** One sentence where the simulator itself was the bottleneck, and the figures are not the broker's alone. */
export function selfWarning({
  self,
  environment,
  durationSeconds,
}: Pick<Report, 'self' | 'environment' | 'durationSeconds'>): string | undefined {
  const cores = durationSeconds > 0 ? self.cpuSeconds / durationSeconds : 0;
  if (cores >= busyPart * Math.max(1, environment.threads)) {
    const used = `${Math.round(cores * 100)} % of a core`;
    return `The simulator itself was busy (${used}): rates and latencies may be its own limits, not the broker's.`;
  }
  if (self.loopDelayP99 <= loopDelayMax) return undefined;
  const delay = formatMs(self.loopDelayP99);
  return `The simulator itself was held up (event loop delay ${delay} at 99 %): latencies may be its own, not the broker's.`;
}
