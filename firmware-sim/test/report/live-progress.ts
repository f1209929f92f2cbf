import type { LiveProgress, ViewPlan } from '../../src/report/live-view.ts';
import type { SeriesPoint } from '../../src/report/report.ts';
import { sampleReport } from './sample-report.ts';

/** The plan of the sample run. */
export const samplePlan: ViewPlan = {
  scenarioName: 'tour',
  stages: [
    { kind: 'ramp', name: 'ramp', seconds: 25 },
    { kind: 'hold', name: 'hold', seconds: 35 },
    { kind: 'burst', name: 'burst', seconds: 20 },
    { kind: 'storm', name: 'storm', seconds: 25 },
    { kind: 'drain', name: 'drain', seconds: 15 },
  ],
  devices: 200,
};

const series: readonly SeriesPoint[] = sampleReport().series;

/** What a view is told after `second` (1 to 120) of the sample run. */
export function progressAt(second: number, changes: Partial<LiveProgress> = {}): LiveProgress {
  let left = second;
  const stage = samplePlan.stages.find(({ seconds }) => (left -= seconds) <= 0)?.name ?? 'drain';
  return {
    point: series[second - 1] as SeriesPoint,
    stage,
    devices: Math.min(200, second * 8),
    elapsedSeconds: second,
    totalSeconds: 120,
    inFlight: 17,
    faults: {},
    brokerUrl: 'mqtt://127.0.0.1:1883',
    ...changes,
  };
}
