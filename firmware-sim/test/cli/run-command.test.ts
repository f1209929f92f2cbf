import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { readReport, ReportFileError } from '../../src/report/json.ts';
import { RunError } from '../../src/run/run.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { faultySample, sampleReport } from '../report/sample-report.ts';
import { type Ended, FakeRun, runLine, scratchFolder } from './command-line.ts';

const folder = scratchFolder();
const at = (name: string): string => join(folder.path, name);
const scenario = at('small.yaml');
writeFileSync(
  scenario,
  `
fleet:
  walkers: { kind: sensor, count: 30 }
  wall: { kind: dashboard, count: 2, fixed: true, subscribes: ['sim/#'] }
stages: [{ ramp: 10s }, { hold: 20s }, { drain: 10s }]
`,
);
writeFileSync(at('chaos.yaml'), `${readFileSync(scenario, 'utf8')}chaos: { killBrokerEvery: 5s }\n`);
for (const name of ['ca', 'cert', 'key']) writeFileSync(at(`${name}.pem`), `the ${name}`);

afterAll(() => folder.remove());
afterEach(() => vi.unstubAllEnvs());

const play = (words: readonly string[], run?: FakeRun): Promise<Ended> =>
  runLine('sim', ['run', scenario, '--quiet', ...words], run);

/** What the runner was asked for by these flags. */
async function asked(words: readonly string[]): Promise<FakeRun['only']> {
  const run = new FakeRun();
  const { err } = await play(words, run);
  expect(err).toBe('');
  return run.only;
}

describe('what a run is asked for', () => {
  test('is the scenario as it stands, in the main thread, where no flag says otherwise', async () => {
    const { scenario: given, options } = await asked([]);
    expect(given).toEqual(loadScenario(scenario));
    expect(options.threads).toBe(0);
    expect(options).not.toHaveProperty('killBroker');
    expect(options.interrupt.aborted).toBe(false);
  });

  test('has the devices, the length and the seed of the flags', async () => {
    const { scenario: given } = await asked(['--devices', '12', '--duration', '4.5', '--seed', '99']);
    expect(given.fleet.map(({ count }) => count)).toEqual([10, 2]);
    // What is owed at the end is not given up sooner.
    expect(given.stages.map(({ kind, seconds }) => [kind, seconds])).toEqual([
      ['ramp', 1.125],
      ['hold', 2.25],
      ['drain', 10],
    ]);
    expect(given.seed).toBe(99);
  });

  test('goes to the broker of the flags, with their user name, password and certificates', async () => {
    const { scenario: given } = await asked([
      ...['--broker', 'mqtts://example.test', '--websocket', 'wss://example.test:99/x'],
      ...['--username', 'ann', '--password', 'pw', '--insecure'],
      ...['ca', 'cert', 'key'].flatMap((name) => [`--${name}`, at(`${name}.pem`)]),
    ]);
    const tls = { verify: false, ca: 'the ca', cert: 'the cert', key: 'the key' };
    expect(given.broker).toMatchObject({
      tcp: { transport: 'tls', host: 'example.test', port: 8883, tls },
      websocket: { transport: 'wss', host: 'example.test', port: 99, path: '/x', tls },
      username: 'ann',
      password: 'pw',
    });
  });

  test('takes the password from the environment, unless a flag names one', async () => {
    vi.stubEnv('SIM_PASSWORD', 'from the environment');
    expect((await asked([])).scenario.broker.password).toBe('from the environment');
    expect((await asked(['--password', 'flag'])).scenario.broker.password).toBe('flag');
  });

  test('has as many threads as the flag says', async () => {
    expect((await asked(['--threads', '3'])).options.threads).toBe(3);
  });

  test('kills a process by its number, or with a command, every ten seconds', async () => {
    const byNumber = await asked(['--kill-broker', ' 4711 ']);
    expect(byNumber.options.killBroker).toBe(4711);
    expect(byNumber.scenario.chaos.killBrokerEverySeconds).toBe(10);
    expect((await asked(['--kill-broker', 'kill 4711'])).options.killBroker).toBe('kill 4711');
  });

  test('kills as often as the scenario says, where it says so', async () => {
    const run = new FakeRun();
    await runLine('sim', ['run', at('chaos.yaml'), '--quiet', '--kill-broker', '1'], run);
    expect(run.only.scenario.chaos.killBrokerEverySeconds).toBe(5);
  });

  test('is the tour where no command is named', async () => {
    const run = new FakeRun();
    const words = ['--devices', '50', '--quiet', '--report', at('tour.json')];
    await runLine('sim', words, run);
    expect(run.only.scenario.name).toBe('tour');
    expect(run.only.scenario.fleet.reduce((all, { count }) => all + count, 0)).toBe(50);
    expect(run.only.options.command).toEqual(['trellis', 'sim', 'tour', ...words]);
  });
});

describe('the command line in the report', () => {
  const command = async (words: readonly string[]): Promise<string[]> => (await asked(words)).options.command.slice(5);

  test('is what was typed', async () => {
    expect((await asked(['--seed', '7'])).options.command).toEqual([
      ...['trellis', 'sim', 'run', scenario, '--quiet'],
      ...['--seed', '7'],
    ]);
  });

  test.each<[string[], string[]]>([
    [
      ['--password', 'hidden'],
      ['--password', '***'],
    ],
    [['--password=hidden'], ['--password=***']],
    [['--password=hid\nden'], ['--password=***']],
    [
      ['--broker', 'mqtt://ann:hidden@h'],
      ['--broker', 'mqtt://ann:***@h'],
    ],
    [['--broker=mqtt://ann:hidden@h:1883'], ['--broker=mqtt://ann:***@h:1883']],
    [
      ['--broker', 'mqtt://ann:hid@den@h'],
      ['--broker', 'mqtt://ann:***@h'],
    ],
    [
      ['--broker', 'mqtt://:hidden@h'],
      ['--broker', 'mqtt://:***@h'],
    ],
    [
      ['--broker', 'mqtt://a%40b:hidden:hidden@h'],
      ['--broker', 'mqtt://a%40b:***@h'],
    ],
    [
      ['--broker', 'MQTT://ann:hidden@[::1]:1883'],
      ['--broker', 'MQTT://ann:***@[::1]:1883'],
    ],
    [
      ['--broker', 'ws://ann:hidden@h/a:b@c'],
      ['--broker', 'ws://ann:***@h/a:b@c'],
    ],
    [
      ['--broker', 'mqtt://h', '--websocket', 'ws://ann:hidden@h/mqtt'],
      ['--broker', 'mqtt://h', '--websocket', 'ws://ann:***@h/mqtt'],
    ],
  ])('has no password: %j', async (words, shown) => {
    expect(await command(words)).toEqual(shown);
  });

  test.each([
    ['--broker', 'mqtt://h:1883'],
    ['--broker', 'mqtt://ann@h:1883'],
    ['--broker', 'ws://h:8083/a:b@c'],
    ['--broker', 'mqtt://[::1]:1883'],
  ])('is otherwise left alone: %s %s', async (...words) => {
    expect(await command(words)).toEqual(words);
  });
});

describe('the end of a run', () => {
  test('is 0 where every threshold holds', async () => {
    expect(await play([])).toEqual({ code: 0, out: 'PASS\n', err: '' });
  });

  test('is 1 where one does not, and names it', async () => {
    const { code, out } = await play([], new FakeRun(faultySample()));
    expect(code).toBe(1);
    expect(out).toMatch(/^FAIL: lost 3, .*\n$/);
  });

  test('is 130 after ctrl-C, with its verdict', async () => {
    const { code, out } = await play([], new FakeRun(sampleReport({ draft: { interrupted: true } })));
    expect(code).toBe(130);
    expect(out).toMatch(/^PASS \(interrupted after .*\)\n$/);
  });

  test('is one sentence and 1 where the broker cannot be reached', async () => {
    const run = new FakeRun(new RunError('Nothing listens on mqtt://h:1883.'));
    expect(await play([], run)).toEqual({ code: 1, out: '', err: 'trellis sim: Nothing listens on mqtt://h:1883.\n' });
  });

  test('owns up to a fault of its own, with its place', async () => {
    const { code, err } = await play([], new FakeRun(new TypeError('x is not a function')));
    expect(code).toBe(1);
    expect(err).toMatch(
      /^trellis sim: x is not a function\nThis is a fault of the simulator: TypeError: x is not .*\n +at /,
    );
  });

  test('is told in tables, with the places of the reports, where nobody asked for quiet', async () => {
    const shown = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    try {
      const words = ['run', scenario, '--report', at('told.json'), '--html', at('told.html')];
      const { code, out } = await runLine('sim', words);
      expect(code).toBe(0);
      expect(out).toContain(`Report: ${at('told.json')}\nReport: ${at('told.html')}\n`);
      expect(out).toMatch(/\nPASS\n$/);
      expect(out).not.toContain('\u001b');
    } finally {
      shown.mockRestore();
    }
  });

  test('leaves no handler of signals behind, however it went', async () => {
    const before = process.listenerCount('SIGINT');
    await play([]);
    await play([], new FakeRun(new RunError('no')));
    expect(process.listenerCount('SIGINT')).toBe(before);
  });
});

describe('reports', () => {
  test('are written where the flags say, and can be read back', async () => {
    const report = faultySample();
    const { code } = await play(['--report', at('a.json'), '--html', at('a.html')], new FakeRun(report));
    expect(code).toBe(1);
    expect(await readReport(at('a.json'))).toEqual(report);
    expect(readFileSync(at('a.html'), 'utf8')).toMatch(/^<!doctype html>/i);
  });

  test('of a run are not written where no flag says so, and of the tour go to this folder', async () => {
    const home = process.cwd();
    mkdirSync(at('home'));
    process.chdir(at('home'));
    try {
      await play([]);
      expect(existsSync('sim-report.json')).toBe(false);
      await runLine('sim', ['tour', '--quiet', '--html', 'only.html']);
      expect([existsSync('sim-report.json'), existsSync('only.html')]).toEqual([false, true]);
      await runLine('sim', ['--quiet']);
      expect([existsSync('sim-report.json'), existsSync('sim-report.html')]).toEqual([true, true]);
    } finally {
      process.chdir(home);
    }
  });

  test('that have no place to go are told of before the run', async () => {
    const run = new FakeRun();
    const { code, err } = await play(['--report', at('none/a.json')], run);
    expect(code).toBe(2);
    expect(err).toBe(`trellis sim: --report: cannot write into ${resolve(at('none'))} (ENOENT).\n`);
    expect(run.asked).toEqual([]);
  });

  test('that cannot be written keep neither the verdict nor the other report back', async () => {
    mkdirSync(at('taken.json'));
    const { code, out, err } = await play(['--report', at('taken.json'), '--html', at('other.html')]);
    expect(code).toBe(1);
    expect(out).toBe('PASS\n');
    expect(err).toMatch(/^trellis sim: The file .*taken\.json cannot be written: .*\.\n$/);
    expect(existsSync(at('other.html'))).toBe(true);
  });

  test('of the tour need a folder that can be written to', async ({ skip }) => {
    skip(process.getuid?.() === 0, 'root may write anywhere');
    const home = process.cwd();
    mkdirSync(at('closed'));
    chmodSync(at('closed'), 0o500);
    process.chdir(at('closed'));
    try {
      const { code, err } = await runLine('sim', ['--quiet']);
      expect(code).toBe(2);
      expect(err).toMatch(/name another place with --report FILE\.\n$/);
    } finally {
      process.chdir(home);
    }
  });
});

test('a ReportFileError is no fault of the simulator', async () => {
  const { err } = await play([], new FakeRun(new ReportFileError('It is full.')));
  expect(err).toBe('trellis sim: It is full.\n');
});
