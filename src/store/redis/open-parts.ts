import type { Logger } from '../../lib/logger.ts';
import { RecordReader } from '../record-reader.ts';
import type { Topology } from '../shared-store.ts';
import { BatchWriter } from './batch-writer.ts';
import { ClientClaims } from './client-claims.ts';
import { type InboxParts, InboxReader } from './inbox-reader.ts';
import { MailboxReader } from './mailbox-reader.ts';
import type { NodePlace } from './node-place.ts';
import { type Adopted, NodeWatch } from './node-watch.ts';
import { QueueReader } from './queue-reader.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisKeys } from './redis-keys.ts';
import { Replication } from './replication.ts';
import type { RetainedLayout } from './retained-layout.ts';
import { RouteWriter } from './route-writer.ts';
import { Scripts } from './script-runner.ts';
import type { ServerClock } from './server-clock.ts';
import { StateReader } from './state-reader.ts';
import { TopologyReader } from './topology-reader.ts';
import { TrashSweeper } from './trash-sweeper.ts';

/** How often a node says that it is alive, and looks after the others, per lease. */
const BEATS_PER_LEASE = 4;

/** Everything that there is once a Redis store is open. */
export interface OpenParts {
  readonly connection: RedisConnection;
  readonly scripts: Scripts;
  readonly replication: Replication;
  readonly place: NodePlace;
  readonly times: ServerClock;
  readonly states: StateReader;
  readonly writer: BatchWriter;
  readonly routes: RouteWriter;
  readonly queues: QueueReader;
  readonly mailboxes: MailboxReader;
  readonly claims: ClientClaims;
  readonly watch: NodeWatch;
  readonly sweeper: TrashSweeper;
  /** Undefined where no broker asked for a topology. */
  readonly topologyReader: TopologyReader | undefined;
  readonly beats: NodeJS.Timeout;
  /** Once the node listens to the others. */
  inbox?: InboxReader;
}

/** What the parts are made of. */
export interface Ingredients extends Pick<OpenParts, 'connection' | 'scripts' | 'place' | 'times'> {
  readonly retained: RetainedLayout;
  readonly keys: RedisKeys;
  readonly nodeId: string;
  readonly waitReplicas: number;
  readonly leaseMs: number;
  readonly timeoutMs: number;
  readonly logger: Logger;
  readonly topology: Topology | undefined;
  nextSharedId(): number;
  /** Whether the topology of this node has all its own changes. */
  isToldAll(): boolean;
  onAdopted(adopted: Adopted): Promise<void>;
  onBeat(): void;
}

/** Makes the parts of a store whose place is taken. */
export function openParts(ingredients: Ingredients): OpenParts {
  const { connection, scripts, place, times, retained, keys, nodeId, leaseMs, logger, topology } = ingredients;
  const { redis } = connection;
  const nextSharedId = (): number => ingredients.nextSharedId();
  const claims = new ClientClaims({ scripts, keys, place, nodeId });
  const { waitReplicas, timeoutMs } = ingredients;
  const mark = (): Promise<void> => place.mark(scripts);
  const replication = new Replication({ connection, waitReplicas, timeoutMs, logger, mark });
  const states = new StateReader({ redis, scripts, keys, reader: new RecordReader(times) });
  return {
    connection,
    scripts,
    replication,
    place,
    times,
    states,
    writer: new BatchWriter({
      nodeId,
      keys,
      retained,
      times,
      nextSharedId,
      knows: (clientId, queueId, record) =>
        ingredients.isToldAll() && topology?.knows(clientId, queueId, record) === true,
    }),
    routes: new RouteWriter(keys, times, nextSharedId),
    queues: new QueueReader(scripts, keys, times),
    mailboxes: new MailboxReader(scripts, keys, times),
    claims,
    topologyReader:
      topology === undefined ? undefined : new TopologyReader({ redis, keys, states, replication, topology }),
    watch: new NodeWatch({
      redis,
      scripts,
      keys,
      replication,
      place,
      nodeId,
      leaseMs,
      logger,
      claims,
      onAdopted: (adopted) => ingredients.onAdopted(adopted),
    }),
    sweeper: new TrashSweeper({ redis, scripts, keys, logger }),
    beats: setInterval(() => ingredients.onBeat(), Math.ceil(leaseMs / BEATS_PER_LEASE)),
  };
}

/** What an inbox is opened with besides the open store. */
export interface InboxIngredients
  extends Omit<InboxParts, 'mailboxes' | 'claims' | 'times' | 'replication' | 'onRead'> {
  readonly waitReplicas: number;
}

/** Makes the reader of a node's inbox; it does not read yet. */
export function openInbox(open: OpenParts, ingredients: InboxIngredients): InboxReader {
  const { mailboxes, claims, times, watch, place } = open;
  const { connection, waitReplicas, timeoutMs, logger, events, keys, nodeId } = ingredients;
  const scripts = new Scripts(connection.redis);
  const mark = (): Promise<void> => place.mark(scripts);
  return new InboxReader({
    ...ingredients,
    mailboxes,
    claims,
    times,
    replication: new Replication({ connection, waitReplicas, timeoutMs, logger, mark }),
    events: {
      onPosted: (messages) => events.onPosted(messages),
      onForwarded: (messages) => events.onForwarded(messages),
      onRetained: (topicName, message) => events.onRetained(topicName, message),
      onWanted: (wanted) => watch.onceKnown(wanted.clientId, () => events.onWanted(wanted)),
    },
    onRead: (lastId) => {
      // What stays is trimmed with the next.
      open.connection.redis.xtrim(keys.inbox(nodeId), 'MINID', lastId).catch(() => {});
    },
  });
}
