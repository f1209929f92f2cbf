import { type Config, createConfig } from '../../src/config.ts';
import type { QueuePolicy, SharePolicy } from '../../src/session/settings.ts';
import type { ProtocolVersion } from '../../src/protocol/packets.ts';
import type { NetworkFaults } from '../fakes/fake-network.ts';
import type { Random } from '../fakes/random.ts';
import type { Character } from './client.ts';

/** What a run is made of, all of it drawn from its seed. */
export interface Plan {
  /** Brokers that share a store; 1 for one alone. */
  readonly nodes: number;
  readonly config: Config;
  readonly clients: readonly Character[];
  readonly network: NetworkFaults;
  /** Longest time a commit or a read takes, ms. */
  readonly storeDelayMs: number;
  readonly steps: number;
  /** Which faults of the broker's process and store come up. */
  readonly crashes: boolean;
  readonly fullDisks: boolean;
  readonly brokenDisks: boolean;
  /** Whether queues are so small that they drop messages. */
  readonly isLossy: boolean;
}

/** Draws the plan of a run. */
export function planOf(random: Random): Plan {
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)] as T;
  const isLossy = random.chance(0.15);
  const config = createConfig({
    listeners: { tcp: { port: 'off' }, websocket: { port: 'off' } },
    limits: {
      writeDelayMs: 0,
      receiveMaximum: pick([3, 20, 1024]),
      topicAliasMaximum: pick([0, 2, 64]),
      topicAliasMaximumOutgoing: 2,
      // The memory of this process is none of the simulation's.
      memoryBytesMax: 0,
    },
    session: {
      queueMessagesMax: isLossy ? pick([3, 10]) : 100_000,
      queuePolicy: pick<QueuePolicy>(['drop-oldest', 'drop-newest', 'refuse']),
      queueQos0: random.chance(0.3),
      queueWindowMessages: pick([1, 3, 1000]),
      queueMemoryBytes: pick([0, 3000, 1_000_000]),
      inFlightMessagesMax: pick([1, 4, 100]),
      sharePolicy: pick<SharePolicy>(['round-robin', 'random', 'sticky', 'least-in-flight']),
    },
    store: { type: 'memory', minFreeBytes: 1000, holdMs: pick([0, 0, 4]) },
    admin: { sysIntervalSeconds: 0, drainTimeoutMs: 2000 },
  });
  return {
    nodes: 1,
    config,
    clients: Array.from({ length: 3 + random.below(5) }, (_, index) => characterOf(random, index)),
    network: {
      splitChance: pick([0, 0.5, 0.9]),
      maxDelayMs: pick([0, 5, 40]),
      windowBytes: pick([50, 2000, 65_536]),
    },
    storeDelayMs: pick([0, 5, 60]),
    steps: 50 + random.below(250),
    crashes: random.chance(0.6),
    fullDisks: random.chance(0.2),
    brokenDisks: random.chance(0.1),
    isLossy,
  };
}

/** The first client keeps the groups alive: its session never ends. */
function characterOf(random: Random, index: number): Character {
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)] as T;
  const version = pick<ProtocolVersion>([3, 4, 5, 5, 5]);
  const forever = Number.POSITIVE_INFINITY;
  const expirySeconds = index === 0 ? forever : pick(version === 5 ? [0, 5, 60, forever] : [0, forever]);
  return {
    clientId: `c${index}`,
    version,
    expirySeconds,
    receiveMaximum: version === 5 ? pick([1, 2, 10, 65_535]) : 65_535,
    maximumPacketSize: version === 5 ? pick([150, 1000, 100_000]) : 100_000,
    topicAliasMaximum: version === 5 ? pick([0, 1, 10]) : 0,
    keepAlive: pick([0, 0, 10]),
    patience: pick([0, 0, 1, 5]),
    isSteady: index === 0 || (expirySeconds === forever && random.chance(0.5)),
  };
}
