/** Run by remote-table.test.ts with --expose-gc: prints the bytes of heap that 200,000 subscriptions take, and times. */
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { RemoteTable } from '../../src/cluster/remote-table.ts';
import { decodeChanges, encodeChanges, type TopologyChange } from '../../src/cluster/topology.ts';
import { Message } from '../../src/protocol/message.ts';

const SESSIONS = 100_000;
const PER_SESSION = 2;
const PER_LIST = 1000;
const PASSES = 5;

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

const table = new RemoteTable('n0', { overlap: 'once' });
const payload = Buffer.alloc(0);
const found = (topicName: string, qos: 0 | 1): number => {
  const { entries, nodes } = table.match(new Message({ topicName, qos, payload }));
  return entries.length + nodes.length;
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

const message = new Message({ topicName: 's/none/1/t', qos: 1, payload });
const known = new Message({ topicName: 's/e/7/t', qos: 1, payload });
const names = sessions.map((session) => new Message({ topicName: `s/e/${session}/t`, qos: 1, payload }));
const others = sessions.map((session) => new Message({ topicName: `s/x/${session}/t`, qos: 1, payload }));
const few = names.slice(0, 5000);
/** Nanoseconds a match takes in the last pass. */
function matchNs(list: readonly Message[]): number {
  let ms = 0;
  for (let pass = 0; pass < PASSES; pass++) ms = timed(() => list.forEach((item) => table.match(item)));
  return Math.round((ms * 1e6) / list.length);
}
const nothingNs = matchNs(others);
const newNs = matchNs(names);
const keptNs = matchNs(few);
const sameNs = matchNs(names.map(() => known));
const sameNothingNs = matchNs(names.map(() => message));

const moveMs = timed(() => {
  const moved = sessions.map((i): TopologyChange => ({ kind: 'session-moved', clientId: `client-${i}`, nodeId: 'n0' }));
  table.apply(moved, ++version);
});
const own = heapUsed() - before;
const deleteMs = timed(() => {
  table.apply([{ kind: 'node-delete', nodeId: 'n1' }], ++version);
  const ended = sessions.map((i): TopologyChange => ({ kind: 'session-delete', clientId: `client-${i}` }));
  table.apply(ended, ++version);
});
names.length = 0;
others.length = 0;
few.length = 0;
const empty = heapUsed() - before;
const left = found('s/e/7/t', 1);
const times = { loadMs, moveMs, deleteMs, nothingNs, newNs, keptNs, sameNs, sameNothingNs };
process.stdout.write(JSON.stringify({ remote, own, empty, targets, left, lists: lists.length, ...times }));
