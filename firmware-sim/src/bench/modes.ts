/** What `trellis bench` can measure. */
export type BenchMode = 'fanin' | 'fanout' | 'p2p' | 'iot' | 'conn' | 'retained' | 'offline';

/** How a mode measures where no flag says otherwise. */
export interface ModeDefaults {
  readonly clients: number;
  /** Between two connects, ms. */
  readonly intervalMs: number;
  /** Between two messages of a client, ms; undefined: as fast as the broker takes them. */
  readonly messageIntervalMs: number | undefined;
  readonly subscribers: number;
  readonly qos: 0 | 1 | 2;
  readonly topic: string;
  /** First line of its help. */
  readonly about: string;
  /** What the number of clients counts. */
  readonly clientsAre: string;
}

export const modes: ReadonlyMap<BenchMode, ModeDefaults> = new Map<BenchMode, ModeDefaults>([
  [
    'fanin',
    {
      clients: 50,
      intervalMs: 2,
      messageIntervalMs: undefined,
      subscribers: 1,
      qos: 1,
      topic: 'bench/fanin/%i',
      about: 'Many publishers, each on a topic of its own, and few subscribers that get everything.',
      clientsAre: 'publishers',
    },
  ],
  [
    'fanout',
    {
      clients: 100,
      intervalMs: 2,
      messageIntervalMs: undefined,
      subscribers: 0,
      qos: 1,
      topic: 'bench/fanout',
      about: 'One publisher, and many subscribers of its topic.',
      clientsAre: 'subscribers',
    },
  ],
  [
    'p2p',
    {
      clients: 50,
      intervalMs: 2,
      messageIntervalMs: undefined,
      subscribers: 0,
      qos: 1,
      topic: 'bench/p2p/%i',
      about: 'Pairs of clients: each publishes to a topic that it alone reads back.',
      clientsAre: 'pairs, each one client that publishes to itself',
    },
  ],
  [
    'iot',
    {
      clients: 1000,
      intervalMs: 2,
      messageIntervalMs: 1000,
      subscribers: 5,
      qos: 1,
      topic: 'bench/iot/%i',
      about: 'Many devices that send a small message now and then, and a few dashboards that see all of it.',
      clientsAre: 'devices',
    },
  ],
  [
    'conn',
    {
      clients: 1000,
      intervalMs: 1,
      messageIntervalMs: undefined,
      subscribers: 0,
      qos: 0,
      topic: '',
      about: 'Connects, and nothing else: how fast, and how long each takes.',
      clientsAre: 'clients',
    },
  ],
  [
    'retained',
    {
      clients: 1000,
      intervalMs: 1,
      messageIntervalMs: undefined,
      subscribers: 2,
      qos: 1,
      topic: 'bench/retained/%i',
      about: 'One retained message per client, and subscribers of all of them that come anew every five seconds.',
      clientsAre: 'retained messages, and clients that write them',
    },
  ],
  [
    'offline',
    {
      clients: 10,
      intervalMs: 2,
      messageIntervalMs: 20,
      subscribers: 0,
      qos: 1,
      topic: 'bench/offline/%i',
      about: 'Publishers to readers that sleep: messages wait in stored sessions and are fetched every ten seconds.',
      clientsAre: 'publishers, and as many readers',
    },
  ],
]);
