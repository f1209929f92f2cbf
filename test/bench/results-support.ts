import type { ProtocolVersion } from '../../bench/load/packets.ts';
import type { Report } from '../../bench/load/run.ts';
import type { Outcome, Results } from '../../bench/results.ts';

/** A report without anything remarkable. */
const REPORT: Report = {
  seconds: 4,
  perSecond: 1000,
  brokerCpuPerMillion: 10,
  brokerCpuShare: 0.5,
  generatorCpuShare: 0.1,
  otherCpuShare: 0,
  peakResidentMb: 8,
  lost: 0,
  duplicates: 0,
  reordered: 0,
  invalid: 0,
  skipped: 0,
  stalls: 0,
};

/** A run of fanin-q0 in which this and otherwise nothing remarkable was measured. */
export function run(broker: string, round: number, report: Partial<Report>, version: ProtocolVersion = 4): Outcome {
  return { scenario: 'fanin-q0', version, broker, round, report: { ...REPORT, ...report } };
}

/** A comparison with these outcomes. */
export function resultsOf(outcomes: readonly Outcome[], date = '2026-01-02T03:04:05.000Z'): Results {
  const machine = { cpu: 'Some CPU', cores: 2, memoryMb: 8192, kernel: '6.1' };
  return { date, machine, brokers: { trellis: '0.1.0', mosquitto: '2.0' }, durationS: 4, outcomes };
}
