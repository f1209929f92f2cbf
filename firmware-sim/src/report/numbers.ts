/** Numbers as people read them; the same in the terminal and in HTML. What is not finite is a dash. */

/** `48,211` */
export function formatCount(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = String(Math.round(Math.abs(value))).replace(/\B(?=(?:\d{3})+$)/g, ',');
  return Math.round(value) < 0 ? `-${digits}` : digits;
}

/** Three digits that count: `0.42`, `12.4`, `4,936`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 99.95 || Number.isInteger(value)) return formatCount(value);
  return value.toFixed(size >= 9.995 ? 1 : 2);
}

/** A time in ms with its unit: `0.42 ms`, `812 ms`, `1.24 s`, `2 min 4 s`. */
export function formatMs(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 999.5) return `${formatNumber(ms)} ms`;
  return ms < 99_950 ? `${formatNumber(Math.round(ms / 10) / 100)} s` : formatDuration(ms / 1000);
}

/** The latency of a second of a run, ms; points have 0 where nothing was delivered, and that is a dash. */
export function formatLatency(ms: number): string {
  return ms === 0 ? '–' : formatMs(ms);
}

/** A length of time in s: `45 s`, `2 min 4 s`, `3 h 20 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 99.95) return `${formatNumber(Math.round(seconds * 10) / 10)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A time of a run in s, as a clock: `0:07`, `12:40`, `1:02:03`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** `512 B`, `3.40 MB`; decimal units. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${formatCount(bytes)} B`;
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${formatNumber(bytes / 1000 ** power)} ${['B', 'kB', 'MB', 'GB', 'TB'][power] as string}`;
}

/** `once`, `twice`, `3 times`. */
export function timesText(count: number): string {
  return count === 1 ? 'once' : count === 2 ? 'twice' : `${formatCount(count)} times`;
}
