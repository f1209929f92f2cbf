const durationPattern = /^(-?\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)$/;
const secondsPerUnit: ReadonlyMap<string, number> = new Map([
  ['ms', 0.001],
  ['s', 1],
  ['m', 60],
  ['min', 60],
  ['h', 3600],
  ['d', 86_400],
]);

const sizePattern = /^(\d+(?:\.\d+)?)\s*(B|kB|KB|KiB|MB|MiB)$/;
const bytesPerUnit: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['kB', 1000],
  ['KB', 1000],
  ['KiB', 1024],
  ['MB', 1_000_000],
  ['MiB', 1_048_576],
]);

/** What a duration in text has to look like, for JSON Schema. */
export const durationText: string = durationPattern.source;

/** What a size in text has to look like, for JSON Schema. */
export const sizeText: string = sizePattern.source;

/** Seconds of `250ms`, `30s`, `2m`, `1.5 h`, `1d`, or of a number, which is seconds already; undefined where it is none of these. */
export function parseDuration(value: unknown): number | undefined {
  return parseUnit(value, durationPattern, secondsPerUnit);
}

/** Bytes of `512 B`, `64 KiB`, `1 MB`, or of a number; undefined where it is none of these. */
export function parseSize(value: unknown): number | undefined {
  return parseUnit(value, sizePattern, bytesPerUnit);
}

/** Seconds of a duration that has been checked. */
export function secondsOf(duration: number | string): number {
  return parseDuration(duration) as number;
}

/** Bytes of a size that has been checked. */
export function bytesOf(size: number | string): number {
  return Math.round(parseSize(size) as number);
}

/** A duration as people write it: 0.25 is `250ms`, 90 is `90s`, 120 is `2m`. */
export function formatDuration(seconds: number): string {
  if (seconds < 0) return `-${formatDuration(-seconds)}`;
  if (seconds > 0 && seconds < 1) return `${round(seconds * 1000)}ms`;
  for (const [unit, factor] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
  ] as const) {
    if (seconds >= factor && seconds % factor === 0) return `${seconds / factor}${unit}`;
  }
  return `${round(seconds)}s`;
}

/** A size as people write it: 2048 is `2 KiB`. */
export function formatSize(bytes: number): string {
  if (bytes >= 1_048_576 && bytes % 1_048_576 === 0) return `${bytes / 1_048_576} MiB`;
  return bytes >= 1024 && bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} B`;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function parseUnit(value: unknown, pattern: RegExp, factors: ReadonlyMap<string, number>): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  const match = pattern.exec(value.trim());
  const factor = match === null ? undefined : factors.get(match[2] as string);
  return match === null || factor === undefined ? undefined : round6(Number(match[1]) * factor);
}

/** Without the last digits that binary fractions add: 0.001 times 250 is 0.25. */
function round6(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
