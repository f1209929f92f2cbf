import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadScenario } from '../../src/scenario/load.ts';
import type { DeviceClass } from '../../src/scenario/scenario.ts';
import { scenarioJsonSchema } from '../../src/scenario/schema.ts';
import { listScenarios, shippedScenario } from '../../src/scenario/shipped.ts';

const jsonSchema = z.fromJSONSchema(scenarioJsonSchema());

/** Devices of a scenario in all. */
function devices(fleet: readonly DeviceClass[]): number {
  return fleet.reduce((sum, { count }) => sum + count, 0);
}

test('those of the documentation come along', () => {
  expect(listScenarios()).toEqual([
    'dashboard-wall',
    'factory',
    'firmware-rollout',
    'kill-broker',
    'smart-home',
    'tour',
    'trackers',
  ]);
});

test.each([...listScenarios(), 'starter'])('%s loads, says what it is, and fits the JSON Schema', (name) => {
  const path = shippedScenario(name);
  const scenario = loadScenario(path);
  expect(scenario.name).toBe(name === 'starter' ? 'my-fleet' : name);
  expect(scenario.description).not.toBe('');
  expect(scenario.stages.map(({ kind }) => kind)).toEqual([
    'ramp',
    ...scenario.stages.slice(1, -1).map(({ kind }) => kind),
    'drain',
  ]);
  // All faults have to be 0, or are looked after by class.
  expect(
    scenario.thresholds.filter(({ test: sign, limit }) => sign === '=' && limit === 0).length,
  ).toBeGreaterThanOrEqual(10);
  const checked = jsonSchema.safeParse(parse(readFileSync(path, 'utf8'), { merge: true }));
  expect(checked.error?.issues).toBeUndefined();
});

test.each(listScenarios())('%s can be made small and short', (name) => {
  const { fleet, stages } = loadScenario(name, { devices: 20, durationSeconds: 15 });
  expect(devices(fleet)).toBe(20);
  expect(Math.min(...fleet.map(({ count }) => count))).toBeGreaterThan(0);
  expect(stages.slice(0, -1).reduce((sum, { seconds }) => sum + seconds, 0)).toBeLessThan(15);
});

test('the tour is 200 devices of all kinds for two minutes', () => {
  const { fleet, stages } = loadScenario('tour');
  expect(devices(fleet)).toBe(200);
  expect(new Set(fleet.map(({ kind }) => kind))).toEqual(
    new Set(['sensor', 'gateway', 'actuator', 'dashboard', 'operator']),
  );
  expect(new Set(fleet.flatMap(({ connection }) => connection.versions))).toEqual(new Set([3, 4, 5]));
  expect(stages.reduce((sum, { seconds }) => sum + seconds, 0)).toBe(120);
  expect(stages.map(({ kind }) => kind)).toEqual(['ramp', 'hold', 'burst', 'storm', 'drain']);
});

test('the wall has 100 subscribers of # over WebSocket', () => {
  const wall = loadScenario('dashboard-wall').fleet.filter(({ kind }) => kind === 'dashboard');
  expect(devices(wall)).toBe(100);
  for (const { connection, subscribes } of wall) {
    expect([connection.transport, ...subscribes.map(({ topicFilter }) => topicFilter)]).toEqual(['websocket', '#']);
  }
});

test('the roll-out has 500 devices on a network with cuts, and a bad release', () => {
  const [entry, operator] = loadScenario('firmware-rollout').fleet;
  expect(entry).toMatchObject({ count: 500, network: { cutEverySeconds: 20 } });
  expect(operator).toMatchObject({ firmware: { releasesAtSeconds: [10, 40, 60], badReleases: [1] } });
});

test('the broker is killed every 5 s under QoS 2', () => {
  const { chaos, fleet } = loadScenario('kill-broker');
  expect(chaos.killBrokerEverySeconds).toBe(5);
  expect(fleet[0]).toMatchObject({ telemetry: [{ qos: [2] }], connection: { session: 'persistent' } });
});
