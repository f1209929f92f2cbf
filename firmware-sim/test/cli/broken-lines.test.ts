import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeRun, runLine, scratchFolder } from './command-line.ts';

const folder = scratchFolder();
const at = (name: string): string => join(folder.path, name);

beforeAll(() => {
  mkdirSync(at('folder'));
  writeFileSync(at('there.yaml'), 'mine');
  writeFileSync(at('text.json'), 'no json');
  writeFileSync(at('foreign.json'), '{"format":"other"}');
  writeFileSync(at('later.json'), '{"format":"firmware-sim/2"}');
  writeFileSync(at('half.json'), '{"format":"firmware-sim/1"}');
  writeFileSync(at('typo.yaml'), 'fleet:\n  a:\n    kind: sensr\n');
  writeFileSync(at('empty.yaml'), '');
});
afterAll(() => folder.remove());

const seeRun = 'see trellis sim run --help.';
const integer = (range: string, given: string): string => `must be an integer from ${range}, not "${given}".`;

/** The words of a command line behind `trellis`, `@` standing for the scratch folder; what it says; its exit code unless 2. */
const brokenLines: readonly (readonly [line: string, message: string, code?: number])[] = [
  // Commands
  ['sim torr', 'trellis sim has no command torr; did you mean tour?'],
  ['sim chek x.yaml', 'trellis sim has no command chek; did you mean check?'],
  ['sim frobnicate', 'trellis sim has no command frobnicate; see trellis sim --help.'],
  ['sim factory.yaml', 'trellis sim has no command factory.yaml; see trellis sim --help.'],
  ['sim __proto__', 'trellis sim has no command __proto__; see trellis sim --help.'],
  ['bench fann', 'trellis bench has no mode fann; did you mean fanin?'],
  ['bench pub', 'trellis bench has no mode pub; see trellis bench --help.'],
  ['bench throughput', 'trellis bench has no mode throughput; see trellis bench --help.'],
  ['sim bench cnn', 'trellis bench has no mode cnn; did you mean conn?'],
  // Flags
  ['sim --devcies 5', 'trellis sim tour has no flag --devcies; did you mean --devices?'],
  ['sim run factory --kil-broker 1', 'trellis sim run has no flag --kil-broker; did you mean --kill-broker?'],
  ['sim run factory -q', `trellis sim run has no flag -q; ${seeRun}`],
  ['sim tour --xyzzy', 'trellis sim tour has no flag --xyzzy; see trellis sim tour --help.'],
  ['sim scenarios --quiet', 'trellis sim scenarios has no flag --quiet; see trellis sim scenarios --help.'],
  ['bench conn -q 1', 'trellis bench conn has no flag -q; see trellis bench conn --help.'],
  ['bench fanin --cuont 1', 'trellis bench fanin has no flag --cuont; did you mean --count?'],
  ['sim tour --quiet=yes', '--quiet takes no value.'],
  ['sim tour --seed 1 --seed 2', '--seed is given twice.'],
  ['sim tour --quiet --quiet', '--quiet is given twice.'],
  ['bench fanin -c 1 --count 2', '--count is given twice.'],
  ['sim tour --broker', '--broker needs URL; see trellis sim tour --help.'],
  ['sim tour --broker --quiet', '--broker needs URL; see trellis sim tour --help.'],
  ['sim run factory --kill-broker', `--kill-broker needs COMMAND|PID; ${seeRun}`],
  ['bench fanin -c', '-c needs N; see trellis bench fanin --help.'],
  ['bench fanin -c -D 5', '-c needs N; see trellis bench fanin --help.'],
  // Words
  ['sim run', `trellis sim run needs SCENARIO; ${seeRun}`],
  ['sim check', 'trellis sim check needs SCENARIO; see trellis sim check --help.'],
  ['sim compare', 'trellis sim compare needs A.json; see trellis sim compare --help.'],
  ['sim compare a.json', 'trellis sim compare needs B.json; see trellis sim compare --help.'],
  [
    'sim compare a.json b.json c.json',
    'trellis sim compare takes A.json B.json, and not c.json too; see trellis sim compare --help.',
  ],
  ['sim run factory tour', `trellis sim run takes SCENARIO, and not tour too; ${seeRun}`],
  ['sim tour 50', 'trellis sim tour takes flags only, and not 50 too; see trellis sim tour --help.'],
  ['sim init a.yaml b.yaml', 'trellis sim init takes [FILE], and not b.yaml too; see trellis sim init --help.'],
  // Numbers
  ['sim --devices 0', `--devices ${integer('1 to 1000000', '0')}`],
  ['sim --devices=-5', `--devices ${integer('1 to 1000000', '-5')}`],
  ['sim --devices 1.5', `--devices ${integer('1 to 1000000', '1.5')}`],
  ['sim --devices 1e3', `--devices ${integer('1 to 1000000', '1e3')}`],
  ['sim --duration x', '--duration must be a number from 1 to 31536000, not "x".'],
  ['sim --duration 30s', '--duration must be a number from 1 to 31536000, not "30s".'],
  ['sim --duration 0.5', '--duration must be a number from 1 to 31536000, not "0.5".'],
  ['sim --seed 4294967296', `--seed ${integer('0 to 4294967295', '4294967296')}`],
  ['sim --threads 257', `--threads ${integer('0 to 256', '257')}`],
  ['bench fanin -c 0', `-c ${integer('1 to 1000000', '0')}`],
  ['bench fanin --count 0', `-c ${integer('1 to 1000000', '0')}`],
  ['bench fanin -q 3', `-q ${integer('0 to 2', '3')}`],
  ['bench fanin -p 0', `-p ${integer('1 to 65535', '0')}`],
  ['bench fanin -w 65536', `-w ${integer('1 to 65535', '65536')}`],
  ['bench fanin -s 16777217', `-s ${integer('0 to 16777216', '16777217')}`],
  ['bench fanin -k 65536', `-k ${integer('0 to 65535', '65536')}`],
  ['bench fanin -I 0', '-I must be a number from 1 to 86400000, not "0".'],
  ['bench fanin -i -1', '-i must be a number from 0 to 60000, not "-1".'],
  ['bench fanin -D 0', '-D must be a number from 1 to 86400, not "0".'],
  ['bench iot --threads 1000', `--threads ${integer('0 to 256', '1000')}`],
  // What flags mean
  ['sim tour --kill-broker=', '--kill-broker needs a command or the number of a process; it is empty.'],
  ['bench fanin -V 6', '-V must be 3.1, 3.1.1 or 5, not "6".'],
  ['bench fanin -t a/+/b', '-t must be a topic without +, #, { and }, not "a/+/b".'],
  ['bench fanin -t {device}', '-t must be a topic without +, #, { and }, not "{device}".'],
  ['bench fanin -t=', 'trellis bench fanin has no flag -t=; did you mean -t?'],
  ['bench fanin --topic=', '-t must be a topic without +, #, { and }, not "".'],
  ['bench fanin --ca @/there.yaml', '--ca is of no use without --tls.'],
  ['bench conn --insecure', '--insecure is of no use without --tls.'],
  [
    'bench fanin --own -h localhost',
    '--own starts a broker, without TLS, on a free port of this machine; -h cannot be given with it.',
  ],
  [
    'bench fanin --own --tls',
    '--own starts a broker, without TLS, on a free port of this machine; --tls cannot be given with it.',
  ],
  // Files
  ['sim tour --ca @/none.pem', '--ca: cannot read @/none.pem (ENOENT).'],
  ['sim tour --cert @/folder', '--cert: cannot read @/folder (EISDIR).'],
  ['bench fanin --tls --key @/none.pem', '--key: cannot read @/none.pem (ENOENT).'],
  ['sim tour --report @/none/out.json', '--report: cannot write into @/none (ENOENT).'],
  ['sim run factory --html @/none/out.html', '--html: cannot write into @/none (ENOENT).'],
  ['bench conn --json @/none/out.json', '--json: cannot write into @/none (ENOENT).'],
  ['sim compare @/a.json @/b.json --html @/none/x.html', '--html: cannot write into @/none (ENOENT).'],
  ['sim init @/there.yaml', '@/there.yaml is there already; name another file, or remove it first.'],
  ['sim init @/folder', '@/folder is there already; name another file, or remove it first.'],
  ['sim init @/none/new.yaml', 'Cannot write @/none/new.yaml (ENOENT).'],
  ['sim compare @/none.json @/none.json', 'The report @/none.json cannot be read: there is no such file or folder.', 1],
  ['sim compare @/text.json @/text.json', '@/text.json is no report of the simulator: it is not JSON.', 1],
  [
    'sim compare @/foreign.json @/foreign.json',
    '@/foreign.json is no report of the simulator: "format" is not "firmware-sim/1".',
    1,
  ],
  [
    'sim compare @/later.json @/later.json',
    '@/later.json is a report of another version of the simulator: "firmware-sim/2".',
    1,
  ],
];

test.each(brokenLines.map(([line, message, code = 2]) => [line, message, code] as const))(
  'trellis %s: %s',
  async (line, message, code) => {
    const here = (text: string): string => text.replaceAll('@', folder.path);
    const [program, ...words] = here(line).split(' ');
    const run = new FakeRun();
    const ended = await runLine(program as 'sim' | 'bench', words, run);
    expect(ended).toEqual({
      code,
      out: '',
      err: `${message.startsWith('trellis ') ? '' : `trellis ${program}: `}${here(message)}\n`,
    });
    expect(run.asked).toEqual([]);
  },
);

/** Scenarios with problems: each problem is a line with its place, and no name of a program before it. */
const brokenScenarios: readonly (readonly [line: string, message: RegExp])[] = [
  ['sim run factry', /^factry: there is no such file, and no scenario of that name; did you mean factory\?\n$/],
  ['sim check xyzzy', /^xyzzy: there is no such file, and no scenario of that name; .*factory.* come along\n$/],
  ['sim run @/none.yaml', /^@\/none\.yaml: there is no such file\n$/],
  ['sim check @/folder.yml', /^@\/folder\.yml: there is no such file\n$/],
  ['sim run @/text.txt', /^@\/text\.txt: a scenario ends in \.yaml, /],
  ['sim check @/empty.yaml', /^@\/empty\.yaml: is empty; /],
  ['sim check @/typo.yaml', /^@\/typo\.yaml:3:11: fleet\.a\.kind: .*did you mean sensor\?\n$/],
  ['sim run @/typo.yaml', /^@\/typo\.yaml:3:11: fleet\.a\.kind: .*did you mean sensor\?\n$/],
  ['sim tour --broker http://host', /^--broker: .*http:\/\//],
  ['sim tour --broker mqtt://', /^--broker: .*names no host/],
  ['sim tour --broker mqtt://h --websocket mqtt://h', /^--websocket: must begin with ws:\/\/ or wss:\/\/\n$/],
  ['sim tour --websocket ws://h', /^--websocket: needs --broker, which says where the broker is\n$/],
  ['sim tour --devices 1', /^--devices 1: this scenario needs at least \d+\b/],
];

test.each(brokenScenarios)('trellis %s is told of the scenario alone', async (line, message) => {
  const [program, ...words] = line.replaceAll('@', folder.path).split(' ');
  const { code, out, err } = await runLine(program as 'sim', words);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err.replaceAll(folder.path, '@')).toMatch(message);
});

test('a report that is damaged is named with what is wrong in it', async () => {
  const { code, err } = await runLine('sim', ['compare', at('half.json'), at('half.json')]);
  expect(code).toBe(1);
  expect(err).toMatch(/^trellis sim: .*half\.json is a damaged report \(result: /);
});

test('control characters of a command line do not reach the terminal', async () => {
  for (const words of [
    ['a\u001b[2Jb'],
    ['tour', '--a\u001b[2J'],
    ['tour', '--seed', '\u001b[2J'],
    ['init', 'x', '\r'],
  ]) {
    const { code, err } = await runLine('sim', words);
    expect(code).toBe(2);
    expect(err.slice(0, -1)).not.toMatch(/\p{Cc}/u);
  }
});
