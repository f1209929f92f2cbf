import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseReport, readReport, ReportFileError, writeReport, writeWhole } from '../../src/report/json.ts';
import { faultySample, sampleReport } from './sample-report.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sim-report-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function refusal(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ReportFileError);
  return (error as Error).message.replaceAll(folder, 'DIR');
}

test('a report comes back as it was written', async () => {
  const path = join(folder, 'report.json');
  for (const report of [
    sampleReport(),
    faultySample(),
    sampleReport({ thresholds: [{ metric: 'x', test: '=', limit: 0 }] }),
  ]) {
    await writeReport(path, report);
    expect(await readReport(path)).toEqual(report);
  }
});

test('writing replaces a file as a whole and leaves nothing else behind', async () => {
  const path = join(folder, 'a.html');
  await writeWhole(path, 'first');
  await writeWhole(path, 'second');
  expect(await readFile(path, 'utf8')).toBe('second');
  expect(await readdir(folder)).toEqual(['a.html']);
});

test('a failed write leaves what was there, and no temporary file', async () => {
  const path = join(folder, 'taken');
  await mkdir(path);
  await writeFile(join(path, 'inside'), 'stays');
  expect(await refusal(writeWhole(path, 'text'))).toMatch(/^The file DIR\/taken cannot be written: /);
  expect(await readdir(folder)).toEqual(['taken']);
  expect(await readFile(join(path, 'inside'), 'utf8')).toBe('stays');
});

test('places that cannot be written are named in a sentence', async () => {
  expect(await refusal(writeReport(join(folder, 'no/such/report.json'), sampleReport()))).toBe(
    'The file DIR/no/such/report.json cannot be written: there is no such file or folder.',
  );
});

test('files that cannot be read are named in a sentence', async () => {
  expect(await refusal(readReport(join(folder, 'none.json')))).toBe(
    'The report DIR/none.json cannot be read: there is no such file or folder.',
  );
  expect(await refusal(readReport(folder))).toBe('The report DIR cannot be read: it is a folder.');
});

test.each([
  ['', 'x.json is no report of the simulator: it is not JSON.'],
  ['<html>', 'x.json is no report of the simulator: it is not JSON.'],
  ['null', 'x.json is no report of the simulator: "format" is not "firmware-sim/1".'],
  ['[]', 'x.json is no report of the simulator: "format" is not "firmware-sim/1".'],
  ['{"format":1}', 'x.json is no report of the simulator: "format" is not "firmware-sim/1".'],
  ['{"name":"package"}', 'x.json is no report of the simulator: "format" is not "firmware-sim/1".'],
  ['{"format":"firmware-sim/2"}', 'x.json is a report of another version of the simulator: "firmware-sim/2".'],
])('%j is refused', (text, message) => {
  expect(() => parseReport(text, 'x.json')).toThrow(new ReportFileError(message));
});

test('a damaged report is refused with the place of the damage', () => {
  const report = JSON.parse(JSON.stringify(sampleReport())) as {
    series: { p99: unknown }[];
    delivery: { faults: object };
  };
  (report.series[3] as { p99: unknown }).p99 = 'fast';
  expect(() => parseReport(JSON.stringify(report), 'x.json')).toThrow(
    /^x\.json is a damaged report \(series\.3\.p99: /,
  );
  const lacking = JSON.parse(JSON.stringify(sampleReport())) as { delivery: { faults: Record<string, unknown> } };
  delete lacking.delivery.faults['lost'];
  expect(() => parseReport(JSON.stringify(lacking), 'x.json')).toThrow(/damaged report \(delivery\.faults\.lost: /);
});
