import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { faultySample, sampleReport } from '../report/sample-report.ts';
import { runLine, scratchFolder } from './command-line.ts';

const folder = scratchFolder();
const a = join(folder.path, 'a.json');
const b = join(folder.path, 'b.json');
writeFileSync(a, JSON.stringify(sampleReport()));
writeFileSync(b, JSON.stringify(faultySample()));
afterAll(() => folder.remove());

test('two reports stand side by side, the first as the one to compare with', async () => {
  const { code, out, err } = await runLine('sim', ['compare', a, b]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/^A +.*PASS\nB +.*FAIL\n/m);
  expect(out).toMatch(/Lost.*\b0\b.*\b3\b/);
  expect(out).toMatch(/\nB is better in .+ worse in \d+ figures\.\n$/);
});

test('a report is the same as itself', async () => {
  expect((await runLine('sim', ['compare', a, a])).out).toContain(
    'B is better in no figures, and worse in no figures.',
  );
});

test('--html writes the comparison as a page, too', async () => {
  const html = join(folder.path, 'both.html');
  const { code, out } = await runLine('sim', ['compare', a, b, '--html', html]);
  expect(code).toBe(0);
  expect(out).toContain('B is better in');
  expect(readFileSync(html, 'utf8')).toMatch(/^<!doctype html>/i);
});

test('a page that cannot be written is a failure, in one sentence, behind the comparison', async () => {
  const html = join(folder.path, 'taken.html');
  mkdirSync(html);
  const { code, out, err } = await runLine('sim', ['compare', a, b, '--html', html]);
  expect(code).toBe(1);
  expect(out).toContain('B is better in');
  expect(err).toMatch(/^trellis sim: The file .*taken\.html cannot be written: .*\.\n$/);
});
