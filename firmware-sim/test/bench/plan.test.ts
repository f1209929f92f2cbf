import { describe, expect, test } from 'vitest';
import { type BenchMode, modes } from '../../src/bench/modes.ts';
import { type BenchPlan, scenarioOf, subscribersOf } from '../../src/bench/plan.ts';
import type { DeviceClass, SensorClass } from '../../src/scenario/scenario.ts';
import { samplePlan } from './sample-plan.ts';

const allModes = [...modes.keys()];

/** What a class does, in short. */
function inShort(one: DeviceClass): Record<string, unknown> {
  const { name, kind, count, fixedCount, subscribes } = one;
  const rows = 'telemetry' in one ? one.telemetry : [];
  return {
    name: `${name} (${kind})`,
    count: fixedCount ? `${count}, at once` : count,
    ...(rows.length === 0 ? {} : { publishes: rows.map(({ topic }) => topic) }),
    ...(subscribes.length === 0 ? {} : { subscribes: subscribes.map(({ topicFilter }) => topicFilter) }),
  };
}

const fleetOf = (mode: BenchMode, more?: Partial<BenchPlan>): readonly DeviceClass[] =>
  scenarioOf(samplePlan(mode, more)).fleet;

const classOf = (mode: BenchMode, name: string, more?: Partial<BenchPlan>): DeviceClass => {
  const found = fleetOf(mode, more).find((one) => one.name === name);
  if (found === undefined) throw new Error(`${mode} has no ${name}`);
  return found;
};

const publisherOf = (mode: BenchMode, name: string, more?: Partial<BenchPlan>): SensorClass => {
  const found = classOf(mode, name, more);
  if (found.kind !== 'sensor') throw new Error(`${name} is a ${found.kind}`);
  return found;
};

describe('who there is in a mode', () => {
  test.each<[BenchMode, Record<string, unknown>[]]>([
    [
      'fanin',
      [
        { name: 'subscriber (dashboard)', count: '1, at once', subscribes: ['bench/fanin/+'] },
        { name: 'publisher (sensor)', count: 50, publishes: ['bench/fanin/{index}'] },
      ],
    ],
    [
      'iot',
      [
        { name: 'subscriber (dashboard)', count: '5, at once', subscribes: ['bench/iot/+'] },
        { name: 'publisher (sensor)', count: 1000, publishes: ['bench/iot/{index}'] },
      ],
    ],
    [
      'fanout',
      [
        { name: 'subscriber (dashboard)', count: '100, at once', subscribes: ['bench/fanout'] },
        { name: 'publisher (sensor)', count: 1, publishes: ['bench/fanout'] },
      ],
    ],
    [
      'p2p',
      [
        {
          name: 'pair (sensor)',
          count: 50,
          publishes: ['bench/p2p/{index}'],
          subscribes: ['bench/p2p/{index}'],
        },
      ],
    ],
    ['conn', [{ name: 'client (sensor)', count: 1000 }]],
    [
      'retained',
      [
        { name: 'subscriber (dashboard)', count: '2, at once', subscribes: ['bench/retained/+'] },
        { name: 'writer (sensor)', count: 1000 },
      ],
    ],
    [
      'offline',
      [
        { name: 'reader (sensor)', count: '10, at once', subscribes: ['bench/offline/{index}'] },
        { name: 'publisher (sensor)', count: 10, publishes: ['bench/offline/{index}'] },
      ],
    ],
  ])('%s', (mode, classes) => {
    expect(fleetOf(mode).map(inShort)).toEqual(classes);
  });

  test.each(allModes)('%s has as many subscribers as the summary says', (mode) => {
    const plan = samplePlan(mode);
    const subscribers = scenarioOf(plan)
      .fleet.filter(({ subscribes }) => subscribes.length > 0)
      .reduce((all, { count }) => all + count, 0);
    expect(subscribersOf(plan)).toBe(subscribers);
  });
});

describe('how a mode differs', () => {
  test('publishers with an interval keep to a schedule, the others go as fast as they can', () => {
    const paces = (mode: BenchMode, name: string): unknown => publisherOf(mode, name).telemetry.map(({ pace }) => pace);
    expect(paces('fanin', 'publisher')).toEqual([{ loop: 'closed' }]);
    expect(paces('iot', 'publisher')).toEqual([{ loop: 'open', everySeconds: 1 }]);
    expect(paces('offline', 'publisher')).toEqual([{ loop: 'open', everySeconds: 0.02 }]);
    const [row] = publisherOf('fanin', 'publisher', { messageIntervalMs: 250 }).telemetry;
    expect(row?.pace).toEqual({ loop: 'open', everySeconds: 0.25 });
  });

  test('readers of offline sleep with a session that stays, and the publishers do not', () => {
    const reader = publisherOf('offline', 'reader');
    expect(reader.connection.session).toBe('persistent');
    expect(reader.life.sleep).toEqual({ asleepSeconds: 9, awakeSeconds: 1 });
    expect(reader.connection.sessionExpirySeconds).toBeGreaterThan(10);
    const publisher = publisherOf('offline', 'publisher');
    expect([publisher.connection.session, publisher.life.sleep]).toEqual(['clean', undefined]);
  });

  test('writers of retained leave one message each, and its subscribers come anew', () => {
    const writer = publisherOf('retained', 'writer');
    expect([writer.telemetry, writer.life.birthTopic]).toEqual([[], 'bench/retained/{index}']);
    expect(classOf('retained', 'subscriber')).toMatchObject({ kind: 'dashboard', reopenEverySeconds: 5 });
    expect(classOf('fanin', 'subscriber')).toMatchObject({ kind: 'dashboard', reopenEverySeconds: 0 });
  });
});

describe('what the flags say', () => {
  test.each(['fanin', 'fanout', 'p2p', 'iot', 'offline'] as const)('reaches the messages of %s', (mode) => {
    const fleet = fleetOf(mode, { qos: 2, retain: true, sizeBytes: 1000 });
    const rows = fleet.flatMap((one) => ('telemetry' in one ? one.telemetry : []));
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) {
      expect(row).toMatchObject({ qos: [2], retain: true, sizeBytes: 1000, format: 'binary' });
    }
    for (const { qos } of fleet.flatMap(({ subscribes }) => subscribes)) expect(qos).toBe(2);
  });

  test.each(allModes)('reaches the connections of %s', (mode) => {
    const fleet = fleetOf(mode, { version: 4, transport: 'websocket', window: 7, keepAliveSeconds: 5 });
    for (const { connection } of fleet) {
      expect(connection).toMatchObject({
        client: 'packet',
        transport: 'websocket',
        versions: [4],
        window: 7,
        keepAliveSeconds: 5,
      });
    }
  });

  test('names topics, with %i for the number of the client', () => {
    const topic = 'a/%i-%i/b/%i';
    expect(fleetOf('fanin', { topic }).map(inShort)).toMatchObject([
      { subscribes: ['a/+/b/+'] },
      { publishes: ['a/{index}-{index}/b/{index}'] },
    ]);
    expect(fleetOf('p2p', { topic }).map(inShort)).toMatchObject([
      { publishes: ['a/{index}-{index}/b/{index}'], subscribes: ['a/{index}-{index}/b/{index}'] },
    ]);
    expect(fleetOf('fanin', { topic: 'all/the/same' }).map(inShort)).toMatchObject([
      { subscribes: ['all/the/same'] },
      { publishes: ['all/the/same'] },
    ]);
  });

  test('names the broker and the seed', () => {
    const plan = samplePlan('fanin', { seed: 77, broker: { username: 'ann' } });
    expect(scenarioOf(plan)).toMatchObject({ seed: 77, broker: { username: 'ann' }, name: 'bench fanin' });
  });
});

describe('the stages', () => {
  test.each(allModes)('of %s are the connects, the measurement and what is still on its way', (mode) => {
    const { stages } = scenarioOf(samplePlan(mode, { clients: 400, intervalMs: 2.5, durationSeconds: 12.5 }));
    expect(stages).toEqual([
      { kind: 'ramp', name: 'connect', seconds: 1, to: 1 },
      { kind: 'hold', name: 'measure', seconds: 12.5 },
      { kind: 'drain', name: 'drain', seconds: 60 },
    ]);
  });

  test('nothing is late in a measurement, and nothing kills the broker', () => {
    const { checker, chaos, thresholds } = scenarioOf(samplePlan('fanin'));
    expect({ checker, chaos, thresholds }).toEqual({
      checker: { lateAfterSeconds: Number.POSITIVE_INFINITY },
      chaos: { killBrokerEverySeconds: 0 },
      thresholds: [],
    });
  });

  test.each(allModes)('%s can be handed to another thread', (mode) => {
    const scenario = scenarioOf(samplePlan(mode));
    expect(structuredClone(scenario)).toEqual(scenario);
  });
});
