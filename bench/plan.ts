/** A scenario of the comparison. */
export interface Scenario {
  readonly title: string;
  /** The flags of `load.ts`; empty where no load is needed, only a start. */
  readonly loadFlags: string;
  /** How many times as many deliveries as Mosquitto's a CPU second of Trellis is to give. */
  readonly goal?: number;
}

/** All scenarios by name. */
export const PLAN: ReadonlyMap<string, Scenario> = new Map<string, Scenario>([
  [
    'fanin-q0',
    { title: 'fan-in from 50, QoS 0', loadFlags: '--scenario fanin --pubs 50 --qos 0 --window 100', goal: 12 },
  ],
  [
    'fanin-q1',
    { title: 'fan-in from 50, QoS 1', loadFlags: '--scenario fanin --pubs 50 --qos 1 --window 20', goal: 11 },
  ],
  [
    'fanin-q2',
    { title: 'fan-in from 50, QoS 2', loadFlags: '--scenario fanin --pubs 50 --qos 2 --window 20', goal: 11 },
  ],
  [
    'fanout10-q0',
    { title: 'fan-out to 10, QoS 0', loadFlags: '--scenario fanout --subs 10 --pubs 1 --qos 0 --window 100', goal: 12 },
  ],
  [
    'fanout100-q0',
    {
      title: 'fan-out to 100, QoS 0',
      loadFlags: '--scenario fanout --subs 100 --pubs 1 --qos 0 --window 50',
      goal: 11,
    },
  ],
  [
    'fanout1000-q0',
    {
      title: 'fan-out to 1,000, QoS 0',
      loadFlags: '--scenario fanout --subs 1000 --pubs 1 --qos 0 --window 20',
      goal: 12,
    },
  ],
  [
    'fanout100-q1',
    { title: 'fan-out to 100, QoS 1', loadFlags: '--scenario fanout --subs 100 --pubs 1 --qos 1 --window 20', goal: 7 },
  ],
  ['pairs50-q1', { title: '50 pairs, QoS 1', loadFlags: '--scenario pairs --pubs 50 --qos 1 --window 20', goal: 8 }],
  ['pairs500-q1', { title: '500 pairs, QoS 1', loadFlags: '--scenario pairs --pubs 500 --qos 1 --window 10', goal: 6 }],
  ['iot1k', { title: '1,000 devices', loadFlags: '--scenario iot --pubs 1000 --subs 5 --rate 4 --qos 0', goal: 1 }],
  [
    'iot10k',
    {
      title: '10,000 devices',
      loadFlags: '--scenario iot --pubs 10000 --subs 5 --rate 0.4 --qos 0 --window 4',
      goal: 1,
    },
  ],
  ['idle10k', { title: '10,000 connects', loadFlags: '--scenario connections --count 10000', goal: 0.6 }],
  [
    'subs200k',
    {
      title: '200,000 subscriptions',
      loadFlags: '--scenario subscriptions --count 200000 --subs 50 --pubs 4 --qos 0 --window 100',
      goal: 5,
    },
  ],
  [
    'retained100k',
    { title: '100,000 retained', loadFlags: '--scenario retained --count 100000 --qos 1 --window 100', goal: 2 },
  ],
  [
    'offline50k',
    { title: 'drain of 50,000 queued', loadFlags: '--scenario offline --count 50000 --qos 1 --window 100', goal: 1.5 },
  ],
  [
    'persist-q1',
    {
      title: 'fan-in to a persistent session, QoS 1',
      loadFlags: '--scenario fanin --pubs 50 --qos 1 --window 20 --persistent',
      goal: 4,
    },
  ],
  [
    'fanout100-persist-q1',
    {
      title: 'fan-out to 100 persistent sessions, QoS 1',
      loadFlags: '--scenario fanout --subs 100 --pubs 1 --qos 1 --window 20 --persistent',
    },
  ],
  [
    'fanin20-persist-q1',
    {
      title: 'fan-in from 20 to a persistent session, QoS 1',
      loadFlags: '--scenario fanin --pubs 20 --qos 1 --window 50 --persistent',
    },
  ],
  [
    'pairs20-persist-q1',
    {
      title: '20 pairs, persistent sessions, QoS 1',
      loadFlags: '--scenario pairs --pubs 20 --qos 1 --window 50 --persistent',
    },
  ],
  [
    'stopped',
    {
      title: 'fan-out to 1,000 of which 100 stop',
      loadFlags: '--scenario stopped --subs 1000 --pubs 1 --count 100 --rate 40 --qos 0 --window 20',
    },
  ],
  ['start', { title: 'start to first CONNACK', loadFlags: '' }],
]);

/** What `--quick` runs unless scenarios are named. */
export const QUICK_SCENARIOS: readonly string[] = [
  'fanin-q0',
  'fanin-q1',
  'fanin-q2',
  'fanout100-q0',
  'pairs50-q1',
  'iot1k',
  'idle10k',
  'start',
];
