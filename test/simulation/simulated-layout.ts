import { copyWillRecord } from '../../src/store/copies.ts';
import type { AdoptedState, Topology } from '../../src/store/shared-store.ts';
import type { Mutation } from '../../src/store/store.ts';
import { NO_MEMBERS, type TopologyChange } from '../../src/store/topology-change.ts';
import type { SimulatedRedis } from './simulated-redis.ts';

/** What a batch changes of who takes messages where, as src/store/redis/batch-writer.ts says it. */
export function encodeChangesOf(
  nodeId: string,
  mutations: readonly Mutation[],
  knows: Topology['knows'],
): TopologyChange[] {
  const changes: TopologyChange[] = [];
  const changed: Set<string> = new Set();
  const note = (clientId: string, change: TopologyChange): void => {
    changed.add(clientId);
    changes.push(change);
  };
  for (const mutation of mutations) {
    if (mutation.kind === 'session-delete') {
      const { clientId } = mutation;
      note(clientId, { kind: 'session-delete', clientId });
    } else if (mutation.kind === 'subscription-put') {
      const { clientId, queueId, record } = mutation;
      if (isShared(record.topicFilter) || (!changed.has(clientId) && knows(clientId, queueId, record))) continue;
      note(clientId, { kind: 'subscription-put', clientId, nodeId, queueId, record });
    } else if (mutation.kind === 'subscription-delete') {
      const { clientId, topicFilter } = mutation;
      if (!isShared(topicFilter)) note(clientId, { kind: 'subscription-delete', clientId, topicFilter });
    } else if (mutation.kind === 'group-put') {
      const { record, online } = mutation;
      changes.push({ kind: 'share-put', nodeId, ...record, online });
    } else if (mutation.kind === 'group-delete') {
      const { shareKey, queueId } = mutation;
      changes.push({ kind: 'share-delete', nodeId, shareKey, queueId });
    } else if (mutation.kind === 'interest-put' || mutation.kind === 'interest-delete') {
      const { topicFilter } = mutation;
      changes.push({ kind: mutation.kind === 'interest-put' ? 'route-put' : 'route-delete', nodeId, topicFilter });
    } else if (mutation.kind === 'session-move' && mutation.queueId !== 0) {
      const { clientId } = mutation;
      note(clientId, { kind: 'session-moved', clientId, nodeId: mutation.nodeId });
    }
  }
  return changes;
}

/** Reads all of the topology anew, as src/store/redis/topology-reader.ts does. */
export async function loadTopology(
  redis: SimulatedRedis,
  topology: Topology,
  ask: <T>(work: () => T) => Promise<T>,
): Promise<void> {
  for (;;) {
    const version = await ask(() => redis.topology);
    const changes = await readAll(redis, ask);
    const entries = await ask(() => redis.changesSince(version));
    if (entries.length > 0 && entries[0]?.version !== version + 1) continue;
    const moved = entries.flatMap((entry) => entry.changes).filter((change) => change.kind === 'session-moved');
    const nodeIds = new Map(moved.map(({ clientId, nodeId }) => [clientId, nodeId]));
    const found = await ask(() => readSessions(redis, [...nodeIds.keys()]));
    pushSubscriptions(found, (clientId) => nodeIds.get(clientId) as string, changes);
    topology.load(changes, version);
    return;
  }
}

async function readAll(redis: SimulatedRedis, ask: <T>(work: () => T) => Promise<T>): Promise<TopologyChange[]> {
  const [nodeIds, gone] = await ask(() => [[...redis.nodes], [...redis.gone]] as const);
  const changes: TopologyChange[] = nodeIds.map((nodeId) => ({ kind: 'node-put', nodeId }));
  for (const nodeId of [...nodeIds, ...gone]) {
    const clientIds = await ask(() => [...(redis.own.get(nodeId) ?? [])]);
    const found = await ask(() => readSessions(redis, clientIds));
    pushSubscriptions(found, () => nodeId, changes);
  }
  for (const nodeId of nodeIds) {
    const topicFilters = await ask(() => [...(redis.interests.get(nodeId) ?? [])]);
    for (const topicFilter of topicFilters) changes.push({ kind: 'route-put', nodeId, topicFilter });
    const groups = await ask(() => [...(redis.groups.get(nodeId)?.values() ?? [])].map((group) => ({ ...group })));
    for (const { record, online } of groups) changes.push({ kind: 'share-put', nodeId, ...record, online });
  }
  for (const nodeId of gone) {
    const groups = await ask(() => [...(redis.groups.get(nodeId)?.values() ?? [])]);
    for (const { record } of groups) changes.push({ kind: 'share-put', nodeId, ...record, online: NO_MEMBERS });
  }
  return changes;
}

function pushSubscriptions(
  { sessions, subscriptions }: Pick<AdoptedState, 'sessions' | 'subscriptions'>,
  nodeOf: (clientId: string) => string,
  changes: TopologyChange[],
): void {
  const queueIds = new Map(sessions.map((session) => [session.clientId, session.queueId]));
  for (const { clientId, record } of subscriptions) {
    const queueId = queueIds.get(clientId);
    if (queueId === undefined || isShared(record.topicFilter)) continue;
    changes.push({ kind: 'subscription-put', clientId, nodeId: nodeOf(clientId), queueId, record });
  }
}

/** What there is of these client ids. */
export function readSessions(
  redis: SimulatedRedis,
  clientIds: readonly string[],
): Omit<AdoptedState, 'mailboxes' | 'queues' | 'groups'> {
  const found = clientIds.flatMap((clientId) => {
    const hash = redis.sessions.get(clientId);
    return hash === undefined ? [] : [{ clientId, hash }];
  });
  return {
    sessions: found.flatMap(({ hash }) => (hash.record === undefined ? [] : [{ ...hash.record }])),
    subscriptions: found.flatMap(({ clientId, hash }) =>
      [...hash.subscriptions.values()].map((record) => ({ clientId, record: { ...record } })),
    ),
    inbound: found.flatMap(({ clientId, hash }) => [...hash.inbound].map((packetId) => ({ clientId, packetId }))),
    wills: found.flatMap(({ hash }) => (hash.will === undefined ? [] : [copyWillRecord(hash.will)])),
  };
}

function isShared(topicFilter: string): boolean {
  return topicFilter.startsWith('$share/');
}
