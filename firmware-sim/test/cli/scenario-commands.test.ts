import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { listScenarios, loadScenario } from '../../src/scenario/load.ts';
import { runLine, scratchFolder } from './command-line.ts';

const folder = scratchFolder();
afterAll(() => folder.remove());

test('init writes a scenario that check finds nothing wrong with', async () => {
  const path = join(folder.path, 'new.yaml');
  expect(await runLine('sim', ['init', path])).toEqual({
    code: 0,
    out: `Wrote ${path}. Next: trellis sim run ${path}\n`,
    err: '',
  });
  const written = readFileSync(path, 'utf8');
  expect(written.split('\n').filter((line) => /^\s*#/.test(line)).length).toBeGreaterThan(5);
  const checked = await runLine('sim', ['check', path]);
  expect(checked.err).toBe('');
  expect(checked.out).toMatch(/^my-fleet: \d+ devices in \d+ classes, \d+ stages, \d+ s at most\.\n$/);
});

test('init leaves a file that is there as it is', async () => {
  const path = join(folder.path, 'mine.yaml');
  writeFileSync(path, 'mine');
  expect((await runLine('sim', ['init', path])).code).toBe(2);
  expect(readFileSync(path, 'utf8')).toBe('mine');
});

test('check says of a scenario how large it is', async () => {
  const path = join(folder.path, 'small.yaml');
  writeFileSync(
    path,
    'fleet: { a: { kind: sensor, count: 7 }, b: { kind: sensor, count: 5 } }\nstages: [{ ramp: 2s }, { hold: 3s }, { drain: 5s }]\n',
  );
  expect((await runLine('sim', ['check', path])).out).toBe('small: 12 devices in 2 classes, 3 stages, 10 s at most.\n');
});

test('scenarios lists each that comes along, with its devices and what it is about', async () => {
  const { code, out, err } = await runLine('sim', ['scenarios']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const lines = out.trimEnd().split('\n');
  expect(lines.map((line) => line.split(' ')[0])).toEqual(listScenarios());
  for (const [place, name] of listScenarios().entries()) {
    const devices = loadScenario(name).fleet.reduce((all, { count }) => all + count, 0);
    expect(lines[place]).toMatch(new RegExp(`^${name} +${devices} devices +\\S.{20}`));
  }
});
