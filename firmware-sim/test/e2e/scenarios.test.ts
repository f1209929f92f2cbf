import { describe, expect, test } from 'vitest';
import { faults } from '../../src/checker/witness.ts';
import type { Report } from '../../src/report/report.ts';
import type { RunOptions } from '../../src/run/run.ts';
import { run } from '../../src/run/runner.ts';
import { startTrellis } from '../client/real-broker.ts';
import { loadScenario, scenarioFrom } from '../../src/scenario/load.ts';
import type { Overrides } from '../../src/scenario/overrides.ts';

const options: RunOptions = { threads: 0, command: [], interrupt: new AbortController().signal };

/** Names and numbers of what the checker found, with examples; all 0 leaves nothing. */
function found({ delivery }: Report): unknown {
  const counts = faults.map((fault) => [fault, delivery.faults[fault].total] as const);
  const above = counts.filter(([, total]) => total > 0);
  return above.length === 0 ? [] : [Object.fromEntries(above), delivery.examples.slice(0, 5)];
}

/** Plays a scenario that comes along on a Trellis of its own; whatever it is, no fault is found. */
async function play(name: string, overrides: Overrides): Promise<Report> {
  const report = await run(loadScenario(name, overrides), options);
  expect(found(report)).toEqual([]);
  expect(report.thresholds.filter(({ holds }) => !holds)).toEqual([]);
  expect(report.delivery.counts.outstanding).toEqual([0, 0, 0]);
  return report;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

describe('the scenarios that come along find no fault in Trellis:', () => {
  test('the tour, with devices of all kinds', async () => {
    const report = await play('tour', { devices: 80, durationSeconds: 20 });
    for (const [name, { connects }] of Object.entries(report.classes)) expect(connects, name).toBeGreaterThan(0);
    expect(report.notes['answered']?.count).toBeGreaterThan(0);
    expect(report.notes['configured']?.count).toBeGreaterThan(0);
  });

  test('smart-home, with discovery and retained configuration', async () => {
    const { delivery } = await play('smart-home', { durationSeconds: 15 });
    expect(delivery.counts.retainedChecked).toBeGreaterThan(0);
    expect(sum(delivery.counts.delivered)).toBeGreaterThan(100);
  });

  test('factory, with Sparkplug gateways', async () => {
    const { delivery } = await play('factory', { durationSeconds: 15 });
    expect(delivery.counts.willsDue).toBeGreaterThan(0);
  });

  test('trackers, on a bad network, with sleep and wake', async () => {
    const { delivery, notes, totals } = await play('trackers', { durationSeconds: 30 });
    expect(totals.disconnects).toBeGreaterThan(0);
    expect(delivery.counts.sessionsResumed).toBeGreaterThan(0);
    expect(notes['slept']?.count).toBeGreaterThan(0);
  });

  test('firmware-rollout, to 500 devices with cuts', async () => {
    const { notes, totals } = await play('firmware-rollout', { durationSeconds: 70 });
    expect(notes['updated']?.count).toBeGreaterThan(0);
    expect(notes['rolled-back']?.count).toBeGreaterThan(0);
    expect(totals.disconnects).toBeGreaterThan(0);
  });

  test('dashboard-wall, 100 WebSocket subscribers of everything', async () => {
    const { delivery } = await play('dashboard-wall', { durationSeconds: 15 });
    expect(sum(delivery.counts.delivered)).toBeGreaterThan(10_000);
  });

  test('kill-broker, with kill -9 every five seconds', async () => {
    const { broker, delivery } = await play('kill-broker', { durationSeconds: 45 });
    expect(broker.kills).toBeGreaterThanOrEqual(2);
    expect(delivery.counts.owed[2]).toBeGreaterThan(1000);
  });
});

test('devices in several threads are judged as in one', async () => {
  const scenario = loadScenario('tour', { devices: 60, durationSeconds: 12 });
  const report = await run(scenario, { ...options, threads: 2 });
  expect(found(report)).toEqual([]);
  expect(report.environment.threads).toBe(2);
  expect(sum(report.totals.delivered)).toBe(sum(report.delivery.counts.delivered));
  for (const [name, { connects }] of Object.entries(report.classes)) expect(connects, name).toBeGreaterThan(0);
});

test('a closed loop sends as fast as it is acknowledged, with QoS 1 and 2', async () => {
  const telemetry = [{ topic: '{prefix}/{device}', loop: 'closed' as const, qos: [1, 2] as const }];
  const scenario = scenarioFrom({
    fleet: {
      senders: { kind: 'sensor', count: 5, connection: { window: 5 }, telemetry },
      takers: { kind: 'dashboard', count: 2, subscribes: ['sim/#'], connection: { transport: 'tcp' } },
    },
    stages: [{ ramp: 1 }, { hold: 2 }, { drain: 30 }],
  });
  const report = await run(scenario, options);
  expect(found(report)).toEqual([]);
  for (const qos of [1, 2]) expect(report.totals.sent[qos]).toBeGreaterThan(100);
});

test('ending a run early leaves a report of what was seen, without faults', async () => {
  const controller = new AbortController();
  const scenario = loadScenario('tour', { devices: 40, durationSeconds: 3600 });
  const report = await run(scenario, {
    ...options,
    interrupt: controller.signal,
    onProgress: ({ elapsedSeconds }) => elapsedSeconds > 3 && controller.abort(),
  });
  expect(report.interrupted).toBe(true);
  expect(report.durationSeconds).toBeLessThan(600);
  expect(found(report)).toEqual([]);
  expect(sum(report.totals.sent)).toBeGreaterThan(0);
});

test('a broker that dies for good fails the run', async () => {
  const broker = await startTrellis();
  const scenario = scenarioFrom(
    {
      fleet: { a: { kind: 'sensor', count: 3, telemetry: [{ every: 0.1 }] } },
      stages: [{ ramp: 0.2 }, { hold: 2 }, { drain: 1 }],
    },
    { brokerUrl: `mqtt://127.0.0.1:${broker.port}` },
  );
  let stopped: Promise<void> | undefined;
  const report = await run(scenario, { ...options, onProgress: () => void (stopped ??= broker.stop()) });
  await stopped;
  expect(report.result).toBe('fail');
  expect(report.thresholds.find(({ holds }) => !holds)).toMatchObject({ metric: 'disconnects', test: '<' });
});
