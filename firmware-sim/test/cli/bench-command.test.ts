import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { modes } from '../../src/bench/modes.ts';
import { scenarioOf } from '../../src/bench/plan.ts';
import { type Run, RunError } from '../../src/run/run.ts';
import { runBench } from '../../src/cli/run-cli.ts';
import { samplePlan } from '../bench/sample-plan.ts';
import { faultySample, sampleReport, type SampleOptions } from '../report/sample-report.ts';
import { FakeRun, runLine, scratchFolder } from './command-line.ts';

const folder = scratchFolder();
afterAll(() => folder.remove());
afterEach(() => vi.unstubAllEnvs());

const cleanTotals = { ...sampleReport().totals, connectFailures: 0, refused: 0 };
const cleanReport = (draft: SampleOptions['draft'] = {}): ReturnType<typeof sampleReport> =>
  sampleReport({ thresholds: [], draft: { totals: cleanTotals, ...draft } });

/** What the runner was asked for by a command line. */
async function asked(line: string): Promise<FakeRun['only']> {
  const run = new FakeRun(cleanReport());
  const { err } = await runLine('bench', line.split(' '), run);
  expect(err).toBe('');
  return run.only;
}

describe('flags', () => {
  test.each([...modes.keys()])(
    'of %s that are left out have the defaults of the mode, on 127.0.0.1:1883',
    async (mode) => {
      const { scenario, options } = await asked(mode);
      expect(scenario).toEqual(scenarioOf(samplePlan(mode)));
      expect(options.threads).toBe(0);
      expect(options.command).toEqual(['trellis', 'bench', mode]);
    },
  );

  test('are understood in their short and in their long form', async () => {
    const short = await asked('fanin -c 7 -i 5 -I 20 -t x/%i -q 2 -s 99 -r -w 3 -k 9 -D 2.5 -h h -p 99 -V 4 -u ann');
    const long = await asked(
      'fanin --count 7 --interval 5 --message-interval 20 --topic x/%i --qos 2 --size 99 --retain --inflight 3 --keepalive 9 --duration 2.5 --host h --port 99 --version 3.1.1 --username ann',
    );
    expect(short.scenario).toEqual(long.scenario);
    expect(short.scenario).toEqual(
      scenarioOf(
        samplePlan('fanin', {
          ...{ clients: 7, intervalMs: 5, messageIntervalMs: 20, topic: 'x/%i', qos: 2, sizeBytes: 99, retain: true },
          ...{ window: 3, keepAliveSeconds: 9, durationSeconds: 2.5, version: 4 },
          broker: { tcp: { transport: 'tcp', host: 'h', port: 99, path: '/mqtt' }, username: 'ann' },
        }),
      ),
    );
  });

  test.each([
    ['3', 3],
    ['3.1', 3],
    ['4', 4],
    ['3.1.1', 4],
    ['5', 5],
    ['5.0', 5],
  ])('-V %s is version %i of the protocol', async (text, version) => {
    expect((await asked(`conn -V ${text}`)).scenario.fleet[0]?.connection.versions).toEqual([version]);
  });

  test.each([
    ['', 'tcp', 1883],
    ['--tls', 'tls', 8883],
    ['--ssl', 'tls', 8883],
    ['--ws', 'ws', 8083],
    ['--ws --tls', 'wss', 8084],
    ['--ws -p 9001', 'ws', 9001],
  ])('%s go to %s, port %i', async (flags, transport, port) => {
    const { broker, fleet } = (await asked(`conn ${flags}`.trim())).scenario;
    expect(broker.tcp).toMatchObject({ transport, port, host: '127.0.0.1', path: '/mqtt' });
    const isWebsocket = flags.includes('--ws');
    expect(fleet[0]?.connection.transport).toBe(isWebsocket ? 'websocket' : 'tcp');
    if (isWebsocket) expect(broker.websocket).toEqual(broker.tcp);
  });

  test('--tls takes certificates, and verifies the broker unless told not to', async () => {
    const file = (name: string): string => {
      writeFileSync(join(folder.path, name), `the ${name}`);
      return join(folder.path, name);
    };
    const line = `conn --tls --ca ${file('ca')} --cert ${file('cert')} --key ${file('key')}`;
    expect((await asked(line)).scenario.broker.tcp?.tls).toEqual({
      verify: true,
      ca: 'the ca',
      cert: 'the cert',
      key: 'the key',
    });
    expect((await asked('conn --tls --insecure')).scenario.broker.tcp?.tls).toEqual({ verify: false });
  });

  test('--own names no broker, so that the run starts one', async () => {
    expect((await asked('conn --own')).scenario.broker).toEqual({});
    const { broker, fleet } = (await asked('conn --own --ws')).scenario;
    expect([broker, fleet[0]?.connection.transport]).toEqual([{}, 'websocket']);
  });

  test('take the password from the environment, and it is nowhere in the command line of the report', async () => {
    vi.stubEnv('SIM_PASSWORD', 'from the environment');
    expect((await asked('conn -u ann')).scenario.broker).toMatchObject({
      username: 'ann',
      password: 'from the environment',
    });
    const { scenario, options } = await asked('conn -u ann -P hidden');
    expect(scenario.broker.password).toBe('hidden');
    expect(JSON.stringify(options.command)).not.toContain('hidden');
  });

  test('--seed and --threads reach the run', async () => {
    const { scenario, options } = await asked('iot --seed 5 --threads 2 --subscribers 0');
    expect([scenario.seed, options.threads, scenario.fleet[0]?.count]).toEqual([5, 2, 0]);
  });
});

describe('the end of a measurement', () => {
  test('is 0 with a summary where nothing went wrong', async () => {
    const { code, out, err } = await runLine('bench', ['fanin'], new FakeRun(cleanReport()));
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^bench fanin: 50 clients, QoS 1, .*\n {2}sent /);
  });

  test('is the same by way of trellis sim bench', async () => {
    const direct = await runLine('bench', ['fanin'], new FakeRun(cleanReport()));
    expect(await runLine('sim', ['bench', 'fanin'], new FakeRun(cleanReport()))).toEqual(direct);
  });

  test.each([
    ['a fault', cleanReport({ delivery: faultySample().delivery })],
    ['a failed connect', cleanReport({ totals: { ...cleanTotals, connectFailures: 1 } })],
    ['refused messages', cleanReport({ totals: { ...cleanTotals, refused: 1 } })],
    [
      'a class that never got in',
      sampleReport({ thresholds: [{ metric: 'connects', test: '>=', limit: 1e9 }], draft: { totals: cleanTotals } }),
    ],
  ])('is 1 with %s', async (_what, report) => {
    const { code, out } = await runLine('bench', ['fanin'], new FakeRun(report));
    expect(code).toBe(1);
    expect(out).toMatch(/^bench fanin: /);
  });

  test('is 130 after ctrl-C, with a summary that says so', async () => {
    const { code, out } = await runLine('bench', ['fanin'], new FakeRun(cleanReport({ interrupted: true })));
    expect(code).toBe(130);
    expect(out).toContain('note: It was ended before its time.');
  });

  test('is 1 and one sentence where there is no broker', async () => {
    const run = new FakeRun(new RunError('Nothing listens there.'));
    const before = process.listenerCount('SIGINT');
    expect(await runLine('bench', ['conn'], run)).toEqual({
      code: 1,
      out: '',
      err: 'trellis bench: Nothing listens there.\n',
    });
    expect(process.listenerCount('SIGINT')).toBe(before);
  });

  test('is written as JSON where --json says so', async () => {
    const file = join(folder.path, 'result.json');
    await runLine('bench', ['fanin', '--json', file], new FakeRun(cleanReport()));
    const result = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    expect(result).toMatchObject({ mode: 'fanin', clients: 50, subscribers: 1, faults: {}, connectFailures: 0 });
  });
});

describe('the progress of a measurement', () => {
  const report = cleanReport();
  const run: Run = (_scenario, { onProgress }) => {
    const [point] = report.series;
    if (point === undefined) throw new Error('the sample has no series');
    onProgress?.({
      point: { ...point, second: 3, connected: 50, sent: 1000, delivered: 2000, p99: 1.5 },
      ...{ stage: 'measure', devices: 50, elapsedSeconds: 3, totalSeconds: 10, inFlight: 1, faults: {}, brokerUrl: '' },
    });
    return Promise.resolve(report);
  };

  test.each([
    [
      'is a line per second beside the summary',
      [],
      '3s measure: 50 connected, sent 1000/s, delivered 2000/s, p99 1.50 ms\n',
    ],
    ['is not told with --quiet', ['--quiet'], ''],
  ])('%s', async (_what, flags, line) => {
    let told = '';
    const output = { out: () => {}, err: (text: string) => void (told += text) };
    expect(await runBench(['fanin', ...flags], output, run)).toBe(0);
    expect(told).toBe(line);
  });
});
