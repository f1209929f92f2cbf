import { describe, expect, test } from 'vitest';
import { scenarioFrom } from '../../src/scenario/load.ts';
import { applyOverrides, type Overrides } from '../../src/scenario/overrides.ts';
import { ScenarioError } from '../../src/scenario/scenario-error.ts';
import type { ScenarioFile } from '../../src/scenario/scenario-file.ts';

const base: ScenarioFile = {
  seed: 7,
  fleet: {
    many: { kind: 'sensor', count: 60 },
    some: { kind: 'sensor', count: 30 },
    walls: { kind: 'dashboard', count: 10, subscribes: ['#'] },
  },
  stages: [{ ramp: 10 }, { hold: 20 }, { drain: 10 }],
};

function counts(overrides: Overrides, file: ScenarioFile = base): number[] {
  return scenarioFrom(file, overrides).fleet.map(({ count }) => count);
}

function problemsOf(overrides: Overrides, file: ScenarioFile = base): readonly string[] {
  try {
    scenarioFrom(file, overrides);
  } catch (error) {
    if (error instanceof ScenarioError) return error.problems;
    throw error;
  }
  return [];
}

describe('--devices', () => {
  test.each([
    [100, [60, 30, 10]],
    [190, [120, 60, 10]],
    [55, [30, 15, 10]],
    [12, [1, 1, 10]],
    [13, [2, 1, 10]],
    // Too few for the fixed ones: all get smaller.
    [11, [6, 3, 2]],
    [3, [1, 1, 1]],
  ])('%i are split in proportion, fixed classes left alone where they can be', (devices, expected) => {
    expect(counts({ devices })).toEqual(expected);
  });

  test('the sum is exact for every number, and nobody is left out', () => {
    for (let devices = 3; devices < 400; devices++) {
      const split = counts({ devices });
      expect(split.reduce((sum, count) => sum + count, 0)).toBe(devices);
      expect(Math.min(...split)).toBeGreaterThan(0);
    }
  });

  test('classes of one device each share alike', () => {
    expect(counts({ devices: 5 }, { fleet: { a: { kind: 'sensor' }, b: { kind: 'sensor' } } })).toEqual([3, 2]);
  });

  test('fewer than classes cannot be', () => {
    expect(problemsOf({ devices: 2 })).toEqual(['--devices 2: this scenario needs at least 3, one of each class']);
  });
});

test('--duration scales the stages, and firmware releases with them; a drain is never cut short', () => {
  const { stages, fleet } = scenarioFrom(
    {
      fleet: {
        a: { kind: 'sensor', life: { firmware: {} } },
        b: { kind: 'operator', firmware: { releasesAt: [10, 20] } },
      },
      stages: [{ ramp: 10 }, { hold: 20 }, { drain: 10 }],
    },
    { durationSeconds: 20 },
  );
  expect(stages.map(({ seconds }) => seconds)).toEqual([5, 10, 10]);
  const longer = scenarioFrom(base, { durationSeconds: 80 }).stages;
  expect(longer.map(({ seconds }) => seconds)).toEqual([20, 40, 20]);
  expect(fleet[1]).toMatchObject({ firmware: { releasesAtSeconds: [5, 10] } });
});

test('--seed replaces the seed, and nothing changes nothing', () => {
  expect(scenarioFrom(base, { seed: 0 }).seed).toBe(0);
  const scenario = scenarioFrom(base);
  expect(applyOverrides(scenario, {})).toEqual(scenario);
});

describe('the broker', () => {
  const named: ScenarioFile = {
    ...base,
    broker: {
      url: 'mqtts://h',
      websocketUrl: 'wss://h:9001',
      username: 'u',
      password: 'p',
      tls: { verify: false },
      metricsUrl: 'http://h/metrics',
    },
  };

  test('another one leaves WebSocket and metrics of the old one behind, and keeps who to be', () => {
    expect(scenarioFrom(named, { brokerUrl: 'mqtts://other:9999' }).broker).toEqual({
      url: 'mqtts://other:9999',
      tcp: { transport: 'tls', host: 'other', port: 9999, path: '/mqtt', tls: { verify: false } },
      username: 'u',
      password: 'p',
    });
  });

  test('flags win over the URL, and the URL over the scenario', () => {
    const url = 'mqtt://x:y@other:9999';
    expect(scenarioFrom(named, { brokerUrl: url }).broker).toMatchObject({ username: 'x', password: 'y' });
    expect(scenarioFrom(named, { brokerUrl: url, username: 'z', password: 'q' }).broker).toMatchObject({
      username: 'z',
      password: 'q',
    });
  });

  test('only WebSocket may be another', () => {
    const { tcp, websocket } = scenarioFrom(named, { websocketUrl: 'ws://other:9001' }).broker;
    expect(tcp?.host).toBe('h');
    expect(websocket).toEqual({ transport: 'ws', host: 'other', port: 9001, path: '/mqtt' });
  });

  test('certificates of the command line replace those of the scenario, one by one', () => {
    const { tcp, websocket } = scenarioFrom(named, { tls: { ca: 'PEM' } }).broker;
    expect([tcp?.tls, websocket?.tls]).toEqual([
      { ca: 'PEM', verify: false },
      { ca: 'PEM', verify: false },
    ]);
  });

  test('what is no URL is told, by its flag and without its password', () => {
    const [first, second, ...more] = problemsOf({ brokerUrl: 'http://u:secret@h', websocketUrl: 'mqtt://h' });
    expect(first).toMatch(/^--broker: The broker's URL begins with 'http:\/\/'/);
    expect(first).not.toContain('secret');
    expect(second).toBe('--websocket: must begin with ws:// or wss://');
    expect(more).toEqual([]);
    expect(problemsOf({ websocketUrl: 'ws://h:1' })).toEqual([
      '--websocket: needs --broker, which says where the broker is',
    ]);
  });
});
