import { type BenchMode, modes } from '../../src/bench/modes.ts';
import type { BenchPlan } from '../../src/bench/plan.ts';

/** A mode's measurement with its defaults, as the command line fills them in, unless `more` says otherwise. */
export function samplePlan(mode: BenchMode, more: Partial<BenchPlan> = {}): BenchPlan {
  const defaults = modes.get(mode);
  if (defaults === undefined) throw new Error(`no mode ${mode}`);
  const { clients, intervalMs, messageIntervalMs, subscribers, qos, topic } = defaults;
  return {
    mode,
    broker: { tcp: { transport: 'tcp', host: '127.0.0.1', port: 1883, path: '/mqtt' } },
    transport: 'tcp',
    version: 5,
    clients,
    intervalMs,
    messageIntervalMs,
    subscribers,
    topic,
    sizeBytes: 256,
    qos,
    retain: false,
    durationSeconds: 10,
    window: 20,
    keepAliveSeconds: 60,
    seed: 1,
    ...more,
  };
}
