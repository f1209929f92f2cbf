import { describe, expect, test } from 'vitest';
import { modes } from '../../src/bench/modes.ts';
import { runFlags } from '../../src/cli/help.ts';
import { FakeRun, runLine } from './command-line.ts';

const benchModes = [...modes.keys()];

const pages: readonly (readonly ['sim' | 'bench', string])[] = [
  ['sim', '--help'],
  ['sim', '-h'],
  ['sim', 'help'],
  ['sim', 'tour --help'],
  ['sim', 'tour -h'],
  ['sim', 'run --help'],
  ['sim', 'scenarios --help'],
  ['sim', 'init --help'],
  ['sim', 'check --help'],
  ['sim', 'compare --help'],
  ['sim', 'bench --help'],
  ['sim', 'bench conn --help'],
  ['bench', '--help'],
  ['bench', '-h'],
  ['bench', 'help'],
  ...benchModes.map((mode) => ['bench', `${mode} --help`] as const),
];

describe.each(pages)('trellis %s %s', (program, line) => {
  test('says how to use it, in lines of at most 120 characters, and runs nothing', async () => {
    const run = new FakeRun();
    const { code, out, err } = await runLine(program, line.split(' '), run);
    expect({ code, err, runs: run.asked.length }).toEqual({ code: 0, err: '', runs: 0 });
    expect(out).toMatch(/^Usage: trellis (sim|bench)/);
    expect(out).toMatch(/[^\n]\n$/);
    expect(out.split('\n').filter((text) => text.length > 120 || text !== text.trimEnd())).toEqual([]);
  });
});

describe('the help of sim', () => {
  test('names every command', async () => {
    const { out } = await runLine('sim', ['--help']);
    const named = [...out.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name).filter((name) => name !== 'trellis');
    expect(named).toEqual(['tour', 'run', 'scenarios', 'init', 'check', 'compare', 'bench']);
  });

  test.each(['tour', 'run'])('%s tells every flag with its value, and every exit code', async (command) => {
    const { out } = await runLine('sim', [command, '--help']);
    for (const { names, value } of runFlags) {
      expect(out).toContain(`  ${names.join(', ')}${value === undefined ? '' : ` ${value}`}`);
    }
    expect(out).toMatch(/Exit codes: 0 .* 1 .* 2 .* 130 /);
  });

  test('the flags that all runs share are there', () => {
    const names = runFlags.flatMap((flag) => flag.names);
    for (const name of ['--broker', '--devices', '--duration', '--seed', '--report', '--html', '--quiet']) {
      expect(names).toContain(name);
    }
  });

  test('no two flags have the same name', () => {
    const names = runFlags.flatMap((flag) => flag.names);
    expect(names).toEqual([...new Set(names)]);
  });
});

describe('the help of bench', () => {
  test('names every mode with what it measures', async () => {
    const { out } = await runLine('bench', ['--help']);
    for (const [name, { about }] of modes) expect(out).toContain(`  ${name.padEnd(10)}${about}\n`);
  });

  test('is printed, as a mistake, where no mode is named', async () => {
    const { code, out } = await runLine('bench', []);
    expect(code).toBe(2);
    expect(out).toMatch(/^Usage: trellis bench MODE/);
  });

  test.each(benchModes)('%s tells flags with the defaults it has, each once', async (mode) => {
    const { out } = await runLine('bench', [mode, '--help']);
    const { clients, intervalMs } = modes.get(mode) as NonNullable<ReturnType<typeof modes.get>>;
    expect(out).toContain(`Default ${clients}.`);
    expect(out).toContain(`Between two connects. Default ${intervalMs}.`);
    const names = [...out.matchAll(/^ {2}(-.*?)(?: [A-Z]| {2}|$)/gm)].flatMap(([, together]) =>
      (together as string).split(', '),
    );
    expect(names).toContain('-D');
    expect(names).toEqual([...new Set(names)]);
  });

  test.each<[(typeof benchModes)[number], string[], string[]]>([
    ['conn', ['-c', '-i'], ['-t', '-q', '-s', '-r', '-I', '-w', '--subscribers']],
    ['retained', ['-t', '-q', '--subscribers'], ['-s', '-r', '-I', '-w']],
    ['fanin', ['-t', '-q', '-s', '-r', '-I', '-w', '--subscribers'], []],
    ['fanout', ['-t', '-q', '-s', '-r', '-I', '-w'], ['--subscribers']],
    ['p2p', ['-t', '-q', '-s', '-r', '-I', '-w'], ['--subscribers']],
    ['offline', ['-t', '-q', '-s', '-r', '-I', '-w'], ['--subscribers']],
  ])('%s has the flags it can heed and no others', async (mode, there, absent) => {
    const { out } = await runLine('bench', [mode, '--help']);
    const has = (name: string): boolean => new RegExp(`^ {2}(-\\w, )?${name}\\b`, 'm').test(out);
    expect({ there: there.filter(has), absent: absent.filter(has) }).toEqual({ there, absent: [] });
  });
});
