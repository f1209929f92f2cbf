import type { Neighbours } from '../../src/session/neighbours.ts';
import type { Session } from '../../src/session/session.ts';
import type { AdoptedState } from '../../src/store/shared-store.ts';
import type { Mutation, PostedMessage } from '../../src/store/store.ts';
import { RecordingLink } from './recording-link.ts';
import { messageOf, SessionBench, type TestMessage } from './session-bench.ts';

/** Other nodes as a test wants them; notes what it is told. */
export class FakeNeighbours implements Neighbours {
  view = 7;
  /** Topic names that have takers elsewhere. */
  readonly taken: Set<string> = new Set();
  /** Members connected elsewhere, by share key. */
  readonly online: Map<string, number> = new Map();
  /** Queues of the parts elsewhere, by share key. */
  readonly parts: Map<string, number> = new Map();
  /** What it was told, in order: `came c`, `went c`, `let go c`. */
  readonly told: string[] = [];
  /** Shared subscriptions that the last message was said to have been served for. */
  served: readonly string[] = [];
  /** Calls of `caughtUp` that wait; undefined to answer at once. */
  waiting: (() => void)[] | undefined = undefined;

  hasTakers({ topicName }: { topicName: string }, servedShares: readonly string[]): boolean {
    this.served = servedShares;
    return this.taken.has(topicName);
  }

  onlineElsewhere(shareKey: string): number | undefined {
    return this.online.get(shareKey);
  }

  partElsewhere(shareKey: string, _takesOrphans: boolean): number | undefined {
    return this.parts.get(shareKey);
  }

  cameHere({ clientId }: Session): void {
    this.view += 1;
    this.told.push(`came ${clientId}`);
  }

  wentAway({ clientId }: Session): void {
    this.view += 1;
    this.told.push(`went ${clientId}`);
  }

  letGo(clientId: string): void {
    this.told.push(`let go ${clientId}`);
  }

  caughtUp(): Promise<void> {
    const { waiting } = this;
    if (waiting === undefined) return Promise.resolve();
    return new Promise((resolve) => waiting.push(resolve));
  }

  /** There is a part elsewhere, with so many members connected. */
  share(shareKey: string, queueId: number, online: number): void {
    this.parts.set(shareKey, queueId);
    this.online.set(shareKey, online);
  }
}

/** A bench with other nodes. */
export async function benchAmong(
  neighbours: FakeNeighbours,
  settings: ConstructorParameters<typeof SessionBench>[0] = {},
  other?: SessionBench,
): Promise<SessionBench> {
  return new SessionBench(settings, other?.store.disk, other?.clock, neighbours).start();
}

/** Connects a session. */
export function connect(session: Session, receiveMaximum?: number): RecordingLink {
  const link = new RecordingLink(receiveMaximum);
  session.attach(link);
  return link;
}

/** Mutations of that kind that have reached the store. */
export function applied<Kind extends Mutation['kind']>(
  bench: SessionBench,
  kind: Kind,
): Extract<Mutation, { kind: Kind }>[] {
  return bench.store.applied.filter((one): one is Extract<Mutation, { kind: Kind }> => one.kind === kind);
}

/** A message that another node posted for a queue. */
export function postedOf(queueId: number, fields: TestMessage, shareKey = ''): PostedMessage & { number: number } {
  const message = messageOf(fields);
  return { queueId, message, qos: message.qos, retain: false, subscriptionIdentifiers: [], shareKey, number: 1 };
}

/** What a disk holds of a client, of all groups, and nothing that was posted. */
export function stateOf(bench: SessionBench, clientId: string): AdoptedState {
  const state = bench.store.disk.read();
  const isOfClient = (record: { clientId: string }): boolean => record.clientId === clientId;
  const sessions = state.sessions.filter(isOfClient);
  const queueIds = new Set([...sessions, ...state.groups].map(({ queueId }) => queueId));
  return {
    sessions,
    subscriptions: state.subscriptions.filter(isOfClient),
    groups: state.groups,
    queues: state.queues.filter(({ queueId }) => queueIds.has(queueId)),
    inbound: state.inbound.filter(isOfClient),
    wills: state.wills.filter(isOfClient),
    mailboxes: [],
  };
}
