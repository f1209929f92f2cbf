/** The flags of `load.ts` for each scenario, by name. */
export const PLAN: ReadonlyMap<string, string> = new Map([
  ['fanin-q0', '--scenario fanin --pubs 50 --qos 0 --window 100'],
  ['fanin-q1', '--scenario fanin --pubs 50 --qos 1 --window 20'],
  ['fanin-q2', '--scenario fanin --pubs 50 --qos 2 --window 20'],
  ['fanout10-q0', '--scenario fanout --subs 10 --pubs 1 --qos 0 --window 100'],
  ['fanout100-q0', '--scenario fanout --subs 100 --pubs 1 --qos 0 --window 50'],
  ['iot1k', '--scenario iot --pubs 1000 --subs 5 --rate 4 --qos 0'],
  ['idle10k', '--scenario connections --count 10000'],
  ['fanout1000-q0', '--scenario fanout --subs 1000 --pubs 1 --qos 0 --window 20'],
  ['fanout100-q1', '--scenario fanout --subs 100 --pubs 1 --qos 1 --window 20'],
  ['pairs50-q1', '--scenario pairs --pubs 50 --qos 1 --window 20'],
  ['pairs500-q1', '--scenario pairs --pubs 500 --qos 1 --window 10'],
  ['iot10k', '--scenario iot --pubs 10000 --subs 5 --rate 0.4 --qos 0 --window 4'],
  ['retained100k', '--scenario retained --count 100000 --qos 1 --window 100'],
  ['offline50k', '--scenario offline --count 50000 --qos 1 --window 100'],
  ['persist-q1', '--scenario fanin --pubs 50 --qos 1 --window 20 --persistent'],
]);

/** What runs unless scenarios are named. */
export const DEFAULT_SCENARIOS: readonly string[] = [...PLAN.keys()].slice(0, 7);
