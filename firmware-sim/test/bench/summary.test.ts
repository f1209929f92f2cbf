import { describe, expect, test } from 'vitest';
import { isClean, resultOf, summaryText } from '../../src/bench/summary.ts';
import { Random } from '../../src/lib/random.ts';
import { figuresOf } from '../../src/report/figures.ts';
import type { Report, SeriesPoint, StageReport } from '../../src/report/report.ts';
import type { ReportDraft } from '../../src/report/thresholds.ts';
import { faultySample, sampleMetrics, sampleReport, sampleVerdict } from '../report/sample-report.ts';
import { samplePlan } from './sample-plan.ts';

const elsewhere: Report['broker'] = { url: 'mqtt://broker.example:1883', software: '', isOwn: false, kills: 0 };

/** Stages of two seconds of connects and five of measurement. */
const stages: readonly StageReport[] = (
  [
    ['connect', 'ramp', 0, 2],
    ['measure', 'hold', 2, 5],
    ['drain', 'drain', 7, 1],
  ] as const
).map(([name, kind, startSeconds, durationSeconds]) => ({
  ...figuresOf([sampleMetrics(new Random(1), 1000 * durationSeconds, 1)], durationSeconds),
  name,
  kind,
  startSeconds,
  durationSeconds,
}));

/** Second n has n * 100 messages sent, and twice as many delivered. */
const series: readonly SeriesPoint[] = Array.from({ length: 8 }, (_none, at) => ({
  ...(sampleReport().series[0] as SeriesPoint),
  second: at + 1,
  sent: (at + 1) * 100,
  delivered: (at + 1) * 200,
}));

const clean = { ...sampleReport().totals, connectFailures: 0, refused: 0, unsent: 0 };

function report(draft: Partial<ReportDraft> = {}): Report {
  return sampleReport({ thresholds: [], draft: { broker: elsewhere, stages, series, totals: clean, ...draft } });
}

describe('the figures of a measurement', () => {
  const result = resultOf(samplePlan('fanin'), report());

  test('are those of the measurement, not of the connects and the drain', () => {
    const measured = stages[1] as StageReport;
    const sent = measured.sent[0] + measured.sent[1] + measured.sent[2];
    expect(sent).toBe(5000);
    expect(result.sentPerSecond.mean).toBe(1000);
    expect(result.deliveredPerSecond.mean).toBe(2000);
    expect(result.latencyMs).toEqual(measured.deliveryLatency);
    expect(result.acknowledgementMs).toEqual(measured.acknowledgementLatency);
  });

  test('are steady over the seconds that neither begin nor end it', () => {
    // The measurement is seconds 3 to 7; 4, 5 and 6 are steady.
    expect(result.sentPerSecond.steady).toBe(500);
    expect(result.deliveredPerSecond.steady).toBe(1000);
  });

  test('count connects per second over the time they were meant to take', () => {
    expect(result.connectsPerSecond).toBe(260 / 2);
    expect(result.connectMs).toEqual(clean.connectLatency);
  });

  test('tell the payload as it was sent', () => {
    expect(result.sizeBytes).toBe(180);
    const nothing = { ...clean, sent: [0, 0, 0] as [number, number, number], sentBytes: 0 };
    expect(resultOf(samplePlan('conn'), report({ totals: nothing })).sizeBytes).toBe(0);
  });

  test('name what was asked for', () => {
    expect(result).toMatchObject({ mode: 'fanin', clients: 50, subscribers: 1, qos: 1, loop: 'closed' });
    expect(resultOf(samplePlan('iot'), report())).toMatchObject({ subscribers: 5, loop: 'open' });
    expect(resultOf(samplePlan('fanout', { clients: 30 }), report()).subscribers).toBe(30);
  });

  test('are numbers, too, where nothing was measured', () => {
    const empty = report({ stages: [], series: [], durationSeconds: 0, interrupted: true });
    const { sentPerSecond, connectsPerSecond, simulatorShare } = resultOf(samplePlan('fanin'), empty);
    expect({ sentPerSecond, connectsPerSecond, simulatorShare }).toEqual({
      sentPerSecond: { mean: 0, steady: 0 },
      connectsPerSecond: 0,
      simulatorShare: 0,
    });
  });

  test('have the faults above 0 by name', () => {
    expect(result.faults).toEqual({});
    const { delivery } = faultySample();
    expect(resultOf(samplePlan('fanin'), report({ delivery })).faults).toEqual({
      lost: 3,
      duplicated: 2,
      sessionPresent: 1,
    });
  });
});

describe('a measurement is clean', () => {
  const check = (draft: Partial<ReportDraft>): boolean => isClean(resultOf(samplePlan('fanin'), report(draft)));

  test('when all came and nothing was refused', () => {
    expect(check({})).toBe(true);
  });

  test.each<[string, Partial<ReportDraft>]>([
    ['a fault', { delivery: sampleVerdict([{ fault: 'lost', byQos: [0, 1, 0], className: 'wall' }]) }],
    ['a failed connect', { totals: { ...clean, connectFailures: 1 } }],
    ['a refused message', { totals: { ...clean, refused: 1 } }],
  ])('not with %s', (_what, draft) => {
    expect(check(draft)).toBe(false);
  });
});

describe('doubts', () => {
  const doubts = (draft: Partial<ReportDraft> = {}): readonly string[] =>
    resultOf(samplePlan('fanin'), report(draft)).doubts;

  test('are none of a broker elsewhere and a simulator at ease', () => {
    expect(doubts()).toEqual([]);
  });

  test.each(['mqtt://127.0.0.1:1883', 'ws://localhost:8083/mqtt', 'mqtt://[::1]:1883', 'mqtts://127.0.0.2:8883'])(
    'are raised where the broker is on this machine: %s',
    (url) => {
      expect(doubts({ broker: { ...elsewhere, url } })).toEqual([
        'Broker and simulator shared this machine, and took CPU from each other.',
      ]);
    },
  );

  test('are raised where the simulator had no CPU left', () => {
    const self = { cpuSeconds: 0.91 * 120, residentMb: 100, loopDelayP99: 1 };
    expect(doubts({ self })).toEqual([
      'The simulator used 91 % of a core: the broker may be able to do more. Try --threads, or several simulators.',
    ]);
    expect(doubts({ self: { ...self, cpuSeconds: 0.89 * 120 } })).toEqual([]);
    const { environment } = report();
    expect(doubts({ self, environment: { ...environment, threads: 2 } })).toEqual([]);
    expect(
      doubts({ self: { ...self, cpuSeconds: 1.8 * 120 }, environment: { ...environment, threads: 2 } }),
    ).toHaveLength(1);
  });

  test('are raised where the simulator itself was late', () => {
    expect(doubts({ self: { cpuSeconds: 1, residentMb: 100, loopDelayP99: 20.1 } })).toEqual([
      'The simulator itself was late by up to 20 ms (p99): that is in the latencies.',
    ]);
    expect(doubts({ self: { cpuSeconds: 1, residentMb: 100, loopDelayP99: 20 } })).toEqual([]);
  });

  test('are raised where it was ended before its time', () => {
    expect(doubts({ interrupted: true })).toEqual(['It was ended before its time.']);
  });
});

describe('the summary', () => {
  const lines = (...of: Parameters<typeof resultOf>): string[] => summaryText(resultOf(...of)).split('\n');

  test('is a few lines with units', () => {
    const { p50, p99, max } = (stages[1] as StageReport).deliveryLatency;
    const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
    const text = lines(samplePlan('fanin', { clients: 1200 }), report());
    expect(text[0]).toBe('bench fanin: 1,200 clients, QoS 1, 180 bytes, closed loop');
    expect(text[1]).toBe('  sent                  1,000/s, steady 500/s');
    expect(text[2]).toBe('  delivered             2,000/s, steady 1,000/s');
    expect(text[3]).toBe(
      `  latency               p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)} (under saturation: mostly the window waiting its turn)`,
    );
    expect(text[4]).toMatch(/^ {2}acknowledged within {3}p50 /);
    expect(text[5]).toMatch(/^ {2}connected within {6}p50 /);
    expect(text.slice(6)).toEqual([
      '  faults                none',
      '  simulator             26 % of a core, 143 MB',
      '',
    ]);
  });

  test('of connects has nothing of messages', () => {
    const text = lines(samplePlan('conn'), report({ totals: { ...clean, connects: 260, connectFailures: 9 } })).join(
      '\n',
    );
    expect(text).toMatch(/^bench conn: 1,000 clients\n {2}connects {14}260, 130\/s, 9 failed\n {2}connected within/);
    expect(text).not.toMatch(/sent|delivered|latency|bytes|QoS|connects failed/);
  });

  test('says what latency means in each kind of measurement', () => {
    const latency = (...of: Parameters<typeof samplePlan>): string | undefined =>
      lines(samplePlan(...of), report()).find((line) => line.startsWith('  latency'));
    expect(latency('iot')).toMatch(/ \(from when it was due\)$/);
    expect(latency('offline')).toMatch(/ \(the time in the queue is in it\)$/);
    expect(latency('p2p')).toMatch(/ \(under saturation: mostly the window waiting its turn\)$/);
  });

  test('has no acknowledgements with QoS 0, and tells what it did not deliver', () => {
    const { delivery } = report();
    const missed = { ...delivery, counts: { ...delivery.counts, missedQos0: { unexcused: 1234, excused: 5 } } };
    const text = lines(samplePlan('fanin', { qos: 0 }), report({ delivery: missed })).join('\n');
    expect(text).not.toContain('acknowledged');
    expect(text).toContain('\n  QoS 0 not delivered   1,234\n');
    expect(lines(samplePlan('fanin', { qos: 1 }), report({ delivery: missed })).join('\n')).not.toContain('QoS 0 not');
  });

  test('names faults, refusals, failed connects and what could not be sent', () => {
    const totals = { ...clean, refused: 4000, connectFailures: 2, unsent: 3 };
    const text = lines(samplePlan('fanin'), report({ totals, delivery: faultySample().delivery }));
    expect(text).toContain('  faults                lost 3, duplicated 2, sessionPresent 1');
    expect(text).toContain('  refused               4,000');
    expect(text).toContain('  connects failed       2');
    expect(text).toContain('  due and not sent      3');
  });

  test('has a dash where there is no sample, and ends with the doubts', () => {
    const text = lines(samplePlan('fanin'), report({ stages: [], interrupted: true, totals: figuresOf([], 0) }));
    expect(text).toContain('  sent                  0/s');
    expect(text).toContain('  connected within      -');
    expect(text.at(-2)).toBe('  note: It was ended before its time.');
  });
});
