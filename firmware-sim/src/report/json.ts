import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { z } from 'zod';
import { faults } from '../checker/witness.ts';
import type { Report } from './report.ts';

/** A file that is not a report, or cannot be read or written; the message is a sentence for people and names the file. */
export class ReportFileError extends Error {
  override readonly name = 'ReportFileError';
}

/** Largest report that is read, bytes. */
const sizeLimit = 256 * 1024 * 1024;

/** Writes a report as JSON. @throws ReportFileError */
export async function writeReport(path: string, report: Report): Promise<void> {
  await writeWhole(path, `${JSON.stringify(report, null, 1)}\n`);
}

/**
 * Writes a file as a whole: it appears under its name when all of it is on disk, and what was there before stays until
 * then. @throws ReportFileError
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new ReportFileError(`The file ${path} cannot be written: ${reasonOf(error)}.`);
  }
}

/** Reads a report. @throws ReportFileError for a file that is none, or of another version. */
export async function readReport(path: string): Promise<Report> {
  let text: string;
  try {
    if ((await stat(path)).size > sizeLimit) throw new Error(`it is larger than ${sizeLimit} bytes`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new ReportFileError(`The report ${path} cannot be read: ${reasonOf(error)}.`);
  }
  return parseReport(text, path);
}

/** The report in `text`; `path` is for the message. @throws ReportFileError */
export function parseReport(text: string, path: string): Report {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ReportFileError(`${path} is no report of the simulator: it is not JSON.`);
  }
  const format = typeof value === 'object' && value !== null && 'format' in value ? value.format : undefined;
  if (typeof format !== 'string' || !format.startsWith('firmware-sim/')) {
    throw new ReportFileError(`${path} is no report of the simulator: "format" is not "firmware-sim/1".`);
  }
  if (format !== 'firmware-sim/1') {
    throw new ReportFileError(`${path} is a report of another version of the simulator: "${format.slice(0, 40)}".`);
  }
  const result = reportSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined ? '' : ` (${issue.path.join('.')}: ${issue.message})`;
  throw new ReportFileError(`${path} is a damaged report${where}.`);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such file or folder';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EISDIR') return 'it is a folder';
  return error.message;
}

const byQos = z.tuple([z.number(), z.number(), z.number()]);
const percentiles = z.object({
  count: z.number(),
  min: z.number(),
  mean: z.number(),
  p50: z.number(),
  p90: z.number(),
  p95: z.number(),
  p99: z.number(),
  p999: z.number(),
  max: z.number(),
});

const figures = {
  sent: byQos,
  acknowledged: byQos,
  delivered: byQos,
  sentBytes: z.number(),
  deliveredBytes: z.number(),
  refused: z.number(),
  unsent: z.number(),
  connects: z.number(),
  connectFailures: z.number(),
  disconnects: z.number(),
  throughput: z.number(),
  deliveryLatency: percentiles,
  acknowledgementLatency: percentiles,
  connectLatency: percentiles,
  roundTrip: percentiles,
};

const verdict = z.object({
  faults: z.record(z.enum(faults), z.object({ total: z.number(), byQos, byClass: z.record(z.string(), z.number()) })),
  counts: z.object({
    sent: byQos,
    acknowledged: byQos,
    refused: byQos,
    abandoned: byQos,
    delivered: byQos,
    owed: byQos,
    outstanding: byQos,
    missedQos0: z.object({ unexcused: z.number(), excused: z.number() }),
    repeated: z.object({ total: z.number(), withoutDup: z.number() }),
    foreign: z.number(),
    willsDue: z.number(),
    retainedChecked: z.number(),
    sessionsResumed: z.number(),
    brokerRestarts: z.number(),
  }),
  examples: z.array(z.object({ fault: z.enum(faults), at: z.number(), text: z.string() })),
});

const seriesPoint = z.object({
  second: z.number(),
  sent: z.number(),
  acknowledged: z.number(),
  delivered: z.number(),
  connected: z.number(),
  connects: z.number(),
  disconnects: z.number(),
  outstanding: z.number(),
  faults: z.number(),
  p50: z.number(),
  p99: z.number(),
  max: z.number(),
  events: z.array(z.string()),
});

/** What {@link Report} says, to check files by. */
const reportSchema: z.ZodType<Report> = z.object({
  format: z.literal('firmware-sim/1'),
  result: z.enum(['pass', 'fail']),
  interrupted: z.boolean(),
  scenario: z.object({ name: z.string(), description: z.string(), seed: z.number() }),
  command: z.array(z.string()),
  startedAt: z.string(),
  durationSeconds: z.number(),
  environment: z.object({
    node: z.string(),
    os: z.string(),
    cpu: z.string(),
    cores: z.number(),
    memoryMb: z.number(),
    simulator: z.string(),
    threads: z.number(),
  }),
  broker: z.object({ url: z.string(), software: z.string(), isOwn: z.boolean(), kills: z.number() }),
  totals: z.object(figures),
  classes: z.record(z.string(), z.object({ ...figures, kind: z.string(), devices: z.number() })),
  stages: z.array(
    z.object({
      ...figures,
      name: z.string(),
      kind: z.string(),
      startSeconds: z.number(),
      durationSeconds: z.number(),
    }),
  ),
  delivery: verdict,
  notes: z.record(z.string(), z.object({ count: z.number(), first: z.array(z.string()) })),
  thresholds: z.array(
    z.object({
      metric: z.string(),
      test: z.enum(['<', '<=', '=', '>=', '>']),
      limit: z.number(),
      value: z.number(),
      holds: z.boolean(),
      problem: z.string().exactOptional(),
    }),
  ),
  series: z.array(seriesPoint),
  brokerFigures: z.array(z.object({ name: z.string(), start: z.number(), end: z.number() })),
  self: z.object({ cpuSeconds: z.number(), residentMb: z.number(), loopDelayP99: z.number() }),
});
