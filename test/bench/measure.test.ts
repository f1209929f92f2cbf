import { afterEach, describe, expect, test } from 'vitest';
import { type Broker, findBroker } from '../../bench/brokers.ts';
import { Measurement } from '../../bench/measure.ts';
import { PLAN } from '../../bench/plan.ts';
import { redisMissing } from '../support/redis-server.ts';

const measurement = new Measurement({ broker: undefined, generator: undefined });
afterEach(() => measurement.kill());

function trellis(name = 'trellis'): Broker {
  const found = findBroker(name);
  if ('reason' in found) throw new Error(found.reason);
  return found;
}

/** The scenarios of the generator, small, each with one of the versions. */
const SMALL: readonly (readonly [flags: string, version: 4 | 5])[] = [
  ['fanin --pubs 3 --qos 2', 5],
  ['fanin --pubs 3 --qos 1 --persistent', 4],
  ['fanout --subs 3 --pubs 1 --qos 1', 5],
  ['pairs --pubs 3 --qos 1', 4],
  ['iot --pubs 20 --subs 5 --rate 20', 5],
  ['connections --count 20', 4],
  ['offline --count 200 --qos 1', 5],
  ['retained --count 200 --qos 1', 4],
  ['subscriptions --count 205 --subs 10 --pubs 2', 5],
  ['stopped --subs 10 --pubs 1 --count 2 --rate 100', 4],
];

const TIMES = ['--warmup', '0.1', '--duration', '0.3'];

describe('every scenario runs against a fresh broker and nothing is lost', () => {
  test.each(SMALL)('%s, protocol level %i', async (flags, version) => {
    const loadFlags = ['--version', String(version), ...TIMES, '--scenario', ...flags.split(' ')];
    const report = await measurement.run(trellis(), loadFlags);
    expect(report.perSecond).toBeGreaterThan(0);
    const { lost, duplicates, reordered, invalid } = report;
    expect({ lost, duplicates, reordered, invalid }).toEqual({ lost: 0, duplicates: 0, reordered: 0, invalid: 0 });
    expect(report.eventLoopP99Ms).toBeGreaterThanOrEqual(0);
    expect(report.peakResidentMb).toBeGreaterThan(10);
    expect(report.residentKbPerConnection !== undefined).toBe(flags.startsWith('connections'));
    expect(report.residentBytesPerSubscription !== undefined).toBe(flags.startsWith('subscriptions'));
    expect(report.latencyP99BeforeMs !== undefined).toBe(flags.startsWith('stopped'));
  });
});

test('a broker is started as its users do until its first CONNACK', async () => {
  expect(await measurement.start(trellis())).toBeGreaterThan(0);
});

test.each(['trellis-open', 'trellis-bare', 'aedes'])('%s runs', async (name) => {
  const report = await measurement.run(trellis(name), [...TIMES, '--scenario', 'fanin', '--pubs', '2']);
  expect(report.lost).toBe(0);
});

test.skipIf(redisMissing !== '')(
  'brokers on Redis run with one of their own, whose CPU time is told apart',
  async () => {
    for (const name of ['trellis-redis', 'aedes-redis']) {
      const flags = ['fanin', '--pubs', '2', '--qos', '1', '--persistent'];
      const report = await measurement.run(trellis(name), [...TIMES, '--scenario', ...flags]);
      expect([name, report.lost]).toEqual([name, 0]);
      expect([name, report.redisCpuShare]).toEqual([name, expect.any(Number)]);
    }
    expect(await measurement.start(trellis('trellis-redis'))).toBeGreaterThan(0);
  },
);

test.skipIf(redisMissing !== '').each(['trellis-nodes', 'trellis-workers1', 'trellis-workers2'])(
  '%s gets what is published at one of its processes to the subscribers of another',
  async (name) => {
    const flags = ['pairs', '--pubs', '4', '--qos', '1', '--window', '5', '--persistent'];
    const report = await measurement.run(trellis(name), [...TIMES, '--scenario', ...flags]);
    const { lost, duplicates, reordered, invalid } = report;
    expect({ lost, duplicates, reordered, invalid }).toEqual({ lost: 0, duplicates: 0, reordered: 0, invalid: 0 });
    expect(report.perSecond).toBeGreaterThan(0);
    expect(report.redisCpuShare).toBeGreaterThan(0);
  },
);

test('two nodes are measured where publishers and subscribers are apart, and left out elsewhere', () => {
  const nodes = findBroker('trellis-nodes');
  if ('reason' in nodes) return;
  expect(nodes.cannot(PLAN.get('pairs20-persist-q1')!, 4)).toBeUndefined();
  for (const name of ['start', 'idle10k', 'offline50k'])
    expect(nodes.cannot(PLAN.get(name)!, 4)).toBe('it has nothing to do with two nodes');
});

test('a Redis that does not start says why, and no broker is started', async () => {
  const redis = (): string[] => ['sh', '-c', 'echo no room >&2; exit 1'];
  const broken: Broker = { ...trellis(), redis, command: () => ['sh', '-c', 'echo started too early >&2; exit 1'] };
  await expect(measurement.run(broken, [])).rejects.toThrow('It did not start: no room');
});

test('a broker that does not start says why', async () => {
  const broken: Broker = { ...trellis(), command: () => ['sh', '-c', 'echo no such thing >&2; exit 1'] };
  await expect(measurement.run(broken, [])).rejects.toThrow('It did not start: no such thing');
});

test('scenarios that a broker cannot do are left out with a reason', () => {
  const nats = findBroker('nats');
  if ('reason' in nats) return;
  expect(nats.cannot(PLAN.get('fanin-q2')!, 4)).toBe('it has no QoS 2');
  expect(nats.cannot(PLAN.get('fanin-q1')!, 4)).toBeUndefined();
  expect(nats.cannot(PLAN.get('fanin-q1')!, 5)).toBe('it has no MQTT 5');
});
