/** Run by remote-table.test.ts with --expose-gc: prints the bytes of heap that 200,000 subscriptions take, and how long changes took. */
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { RemoteTable } from '../../src/cluster/remote-table.ts';
import { decodeChanges, encodeChanges, type TopologyChange } from '../../src/store/topology-change.ts';
import { Message } from '../../src/protocol/message.ts';

const SESSIONS = 100_000;
const PER_SESSION = 2;
const PER_LIST = 1000;
/** Nodes that come with a route and a share, and go. */
const NODES = 10_000;

function filterOf(session: number, i: number): string {
  if (i === 0) return `s/e/${session}/t`;
  return session % 3 === 0 ? `s/p/+/${session}` : `s/h/${session}/#`;
}

function changesOf(session: number): TopologyChange[] {
  return Array.from({ length: PER_SESSION }, (_, i) => ({
    kind: 'subscription-put',
    clientId: `client-${session}`,
    nodeId: `n${(session % 3) + 1}`,
    queueId: 2 ** 31 + session,
    record: {
      topicFilter: filterOf(session, i),
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
      subscriptionIdentifier: 0,
    },
  }));
}

function heapUsed(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

const table = new RemoteTable('n0', { overlap: 'once' }, () => false);
const payload = Buffer.alloc(0);
const found = (topicName: string, qos: 0 | 1): number => {
  const { entries, nodes, shares } = table.match(new Message({ topicName, qos, payload }));
  return entries.length + nodes.length + shares.length;
};
found('s/e/0/t', 1);

let version = 0;
const sessions = Array.from({ length: SESSIONS }, (_, session) => session);
const lists: Buffer[] = [];
for (let from = 0; from < SESSIONS * PER_SESSION; from += PER_LIST) {
  const first = from / PER_SESSION;
  lists.push(encodeChanges(sessions.slice(first, first + PER_LIST / PER_SESSION).flatMap(changesOf)));
}
const before = heapUsed();
const loadMs = timed(() => {
  for (const list of lists) table.apply(decodeChanges(list), ++version);
});
const remote = heapUsed() - before;
const targets = found('s/e/7/t', 1) + found('s/h/7/x/y', 0);

const moveMs = timed(() => {
  const moved = sessions.map((i): TopologyChange => ({ kind: 'session-moved', clientId: `client-${i}`, nodeId: 'n0' }));
  table.apply(moved, ++version);
});
const own = heapUsed() - before;
const deleteMs = timed(() => {
  const ended = sessions.map((i): TopologyChange => ({ kind: 'session-delete', clientId: `client-${i}` }));
  table.apply(ended, ++version);
});
for (let i = 0; i < NODES; i++) {
  const nodeId = `node-${i}`;
  table.apply([{ kind: 'route-put', nodeId, topicFilter: `r/${i}` }], ++version);
  table.apply([{ kind: 'share-put', nodeId, shareKey: `g/r/${i}`, queueId: i, online: 1 }], ++version);
  table.apply([{ kind: 'node-delete', nodeId }], ++version);
  table.apply([{ kind: 'share-delete', nodeId, shareKey: `g/r/${i}`, queueId: i }], ++version);
}
const empty = heapUsed() - before;
const left = found('s/e/7/t', 1) + found('r/7', 1);
process.stdout.write(JSON.stringify({ remote, own, empty, targets, left, loadMs, moveMs, deleteMs }));
