import type { Report } from '../../src/report/report.ts';
import { faultySample } from './sample-report.ts';

/** A name that tries everything: ends elements, scripts and attributes, and turns the direction of writing. */
export const hostileText = `</script></style><img src=x onerror="window.owned=1"><script>alert(1)</script>'"&\u2028\u202e\u0007`;

/** A report in which everything that came from scenarios, devices and brokers is hostile. */
export function hostileReport(): Report {
  const report = faultySample();
  const [name] = [hostileText];
  const { lost } = report.delivery.faults;
  return {
    ...report,
    scenario: { name, description: name, seed: 1 },
    command: ['trellis', name],
    broker: { url: name, software: name, isOwn: true, kills: 2 },
    environment: { ...report.environment, os: name, cpu: name, simulator: name, node: name },
    classes: { [name]: { ...(report.classes['wall'] as Report['classes'][string]), kind: name } },
    stages: report.stages.map((stage) => ({ ...stage, name, kind: name })),
    notes: { [name]: { count: 2, first: [name, name] } },
    delivery: {
      ...report.delivery,
      faults: { ...report.delivery.faults, lost: { ...lost, byClass: { [name]: 3 } } },
      examples: [{ fault: 'lost', at: 0, text: name }],
    },
    thresholds: [{ metric: name, test: '=', limit: 0, value: 0, holds: false, problem: name }],
    series: report.series.map((point) => ({ ...point, events: [...point.events, name] })),
    brokerFigures: [
      { name, start: 0, end: 1 },
      { name, start: 1, end: 1 },
    ],
  };
}
