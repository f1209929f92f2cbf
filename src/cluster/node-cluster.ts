import type { Message } from '../protocol/message.ts';
import type { Neighbours } from '../session/neighbours.ts';
import type { Session } from '../session/session.ts';
import type { FlushWaiter, WritePath } from '../session/write-path.ts';
import type {
  AdoptedState,
  ForwardedMessage,
  MailboxMessage,
  MessageRoute,
  NodeEvents,
  OwnedState,
  RouteMutation,
  SharedStore,
  Topology,
  WantedClient,
} from '../store/shared-store.ts';
import type { PostedMessage, SubscriptionRecord } from '../store/store.ts';
import type { TopologyChange } from '../store/topology-change.ts';
import type { Cluster } from './cluster.ts';
import { Departures } from './departures.ts';
import { Mailboxes } from './mailboxes.ts';
import { RemoteTable, type RemoteTableSettings } from './remote-table.ts';
import type { RemoteEntry, RemoteShare, RemoteTargets } from './remote-targets.ts';

const NOWHERE: MessageRoute = { posts: [], nodes: [] };
const NO_SHARES: readonly string[] = [];

/** What a node of a cluster needs of its broker. */
export interface NodeBroker {
  readonly writePath: WritePath;
  /** Queue of the session that is here under a client id. */
  sessionQueue(clientId: string): number | undefined;
  /** Whether a queue of a session or of a part of a shared subscription is here. */
  hasQueue(queueId: number): boolean;
  /** Whether a will of the client id is still to be published or dropped. */
  hasWill(clientId: string): boolean;
  /** Parts here of the shared subscriptions that match a topic name. */
  localParts(topicName: string): readonly { readonly shareKey: string; readonly queueId: number }[];
  /** The queue of a part here of a shared subscription, with members or without. */
  anyPart(shareKey: string): number | undefined;
  /** Takes over sessions, parts of shared subscriptions and wills. `isClaimed`: a client here has claimed the client ids. */
  adopt(state: AdoptedState, isClaimed: boolean): Promise<void>;
  /** Delivers messages to sessions that were not here when these were dispatched. */
  deliverLate(messages: readonly Message[], clientIds: ReadonlySet<string>): void;
  takePosted(messages: readonly MailboxMessage[]): void;
  forward(messages: readonly ForwardedMessage[]): void;
  applyRetained(topicName: string, message: Message | undefined): void;
  handOverGroups(): void;
  /** Books QoS 0 messages that another node was too slow for. */
  unsent(count: number): void;
  /**
   * Ends the connection of a client id, and lets another node have its stored session.
   * @returns what there was: 'refused' where it belongs to another user, 'session' where a stored session was released.
   */
  release(clientId: string, nodeId: string, username: string): 'refused' | 'session' | 'nothing';
  fail(error: unknown): void;
}

/** How something comes here: claimed by a client, or with what another node left. */
interface Origin {
  /** The client id that was claimed. */
  readonly claimed?: string;
  /** Whether a client id was claimed here since the state was read: then it is out of date. */
  readonly wasClaimed?: (clientId: string) => boolean;
}

/** One of several nodes that share a store, see docs/decisions/0009-nodes.md. */
export class NodeCluster implements Cluster, Neighbours, Topology, NodeEvents, FlushWaiter {
  readonly nodeId: string;
  readonly #store: SharedStore;
  readonly #broker: NodeBroker;
  readonly #table: RemoteTable;
  readonly #departures: Departures = new Departures();
  readonly #mailboxes: Mailboxes;
  #epoch = 0;
  /** Client ids that are this node's, with the claims that nothing has become of yet. */
  readonly #held: Map<string, number> = new Map();
  /** In which tenure a client id is this node's, where it was claimed. */
  readonly #tenures: Map<string, number> = new Map();
  /** Of each shared subscription, by queue id, how near the turn of a part is; begun anew when the parts change. */
  readonly #turns: WeakMap<RemoteShare, Map<number, number>> = new WeakMap();
  /** Claims under way, by client id. */
  readonly #claims: Map<string, Promise<boolean>> = new Map();
  /** By client id, ticket of the batch that lets go of it. */
  readonly #letting: Map<string, number> = new Map();
  waitingFor = 0;

  constructor(store: SharedStore, broker: NodeBroker, settings: RemoteTableSettings) {
    this.nodeId = store.nodeId;
    this.#store = store;
    this.#broker = broker;
    const isHere = (clientId: string, queueId: number): boolean => broker.sessionQueue(clientId) === queueId;
    this.#table = new RemoteTable(this.nodeId, settings, isHere, (queueId) => broker.hasQueue(queueId));
    this.#mailboxes = new Mailboxes({
      isHere: (queueId) => broker.hasQueue(queueId),
      take: (messages) => broker.takePosted(messages),
      read: async (queueId) => (await store.readMailboxes([queueId]))[0],
      onError: (error) => broker.fail(error),
    });
  }

  // Client ids

  claim(clientId: string, username: string): number | Promise<number | undefined> {
    this.#epoch += 1;
    const epoch = this.#epoch;
    if (this.holds(clientId)) {
      this.#held.set(clientId, (this.#held.get(clientId) ?? 0) + 1);
      return epoch;
    }
    return this.#claim(clientId, username, epoch);
  }

  holds(clientId: string): boolean {
    return this.#held.has(clientId) || this.#broker.sessionQueue(clientId) !== undefined;
  }

  settle(clientId: string): void {
    const claims = this.#held.get(clientId) ?? 0;
    if (claims > 0) this.#held.set(clientId, claims - 1);
    if (claims <= 1 && this.#broker.sessionQueue(clientId) === undefined) this.letGo(clientId);
  }

  willDone(clientId: string): void {
    if (this.#broker.sessionQueue(clientId) === undefined) this.letGo(clientId);
  }

  letGo(clientId: string): void {
    // Somebody has claimed it meanwhile, or a will has to be published first: `settle` or `willDone` follows.
    if ((this.#held.get(clientId) ?? 0) > 0 || this.#broker.hasWill(clientId)) return;
    this.#forget(clientId);
    this.#broker.writePath.add({ kind: 'client-release', clientId });
    this.#noteLetting(clientId);
  }

  async #claim(clientId: string, username: string, epoch: number): Promise<number | undefined> {
    // Several of one client wait for the same; each has to be let in for itself.
    while (!this.holds(clientId)) {
      const pending = this.#claims.get(clientId);
      if (pending !== undefined) {
        await pending;
        continue;
      }
      const claim = this.#ask(clientId, username).finally(() => this.#claims.delete(clientId));
      this.#claims.set(clientId, claim);
      if (!(await claim)) return undefined;
    }
    this.#held.set(clientId, (this.#held.get(clientId) ?? 0) + 1);
    return epoch;
  }

  async #ask(clientId: string, username: string): Promise<boolean> {
    // What lets go of it must come before, or it would let go of this claim.
    if (this.#letting.has(clientId)) await this.#broker.writePath.drained();
    const claim = await this.#store.claim(clientId, username);
    if (claim === undefined) return false;
    const { tenure, state } = claim;
    this.#tenures.set(clientId, tenure);
    // What the client had published elsewhere comes before what it publishes here. And what had come for it elsewhere and
    // here, as for others on both nodes, does not come again.
    await this.#store.caughtUp();
    const { read } = await this.#adopt(state, { claimed: clientId });
    await read;
    await this.#mailboxes.settled();
    return true;
  }

  #noteLetting(clientId: string): void {
    const { writePath } = this.#broker;
    this.#letting.set(clientId, writePath.ticket);
    writePath.wait(this);
  }

  onFlushed(flushed: number): void {
    for (const [clientId, ticket] of this.#letting) if (ticket <= flushed) this.#letting.delete(clientId);
    this.#departures.settle(flushed);
    this.#waitOn();
  }

  onStoreFull(failed: number, retriedAs: number): void {
    for (const [clientId, ticket] of this.#letting) if (ticket === failed) this.#letting.set(clientId, retriedAs);
    this.#departures.retry(failed, retriedAs);
    this.#waitOn();
  }

  #waitOn(): void {
    if (this.#letting.size > 0 || !this.#departures.isEmpty) this.#broker.writePath.wait(this);
  }

  // Neighbours

  get view(): number {
    return this.#departures.view;
  }

  hasTakers(message: Message, servedShares: readonly string[]): boolean {
    const { entries, nodes, shares } = this.#table.match(message);
    if (shares.some(({ shareKey }) => !servedShares.includes(shareKey))) return true;
    return entries.length > 0 || nodes.some((nodeId) => nodeId !== this.nodeId);
  }

  onlineElsewhere(shareKey: string): number | undefined {
    const share = this.#table.share(shareKey);
    return share === undefined ? undefined : onlineOf(share.parts);
  }

  partElsewhere(shareKey: string, takesOrphans: boolean): number | undefined {
    const share = this.#table.share(shareKey);
    // One that was another node's may be here before the change that says so is known.
    const parts = share?.parts.filter(({ queueId }) => !this.#broker.hasQueue(queueId)) ?? [];
    if (share === undefined || parts.length === 0) return undefined;
    const part = this.#choose(share, parts);
    return part.isOrphan && !takesOrphans ? undefined : part.queueId;
  }

  cameHere({ clientId, queueId }: Session): void {
    this.#departures.came(queueId);
    this.#table.setHere(clientId, true);
  }

  wentAway({ clientId, queueId }: Session): void {
    const { writePath } = this.#broker;
    this.#departures.went(queueId, writePath.ticket);
    this.#table.setHere(clientId, false);
    this.#mailboxes.went(queueId);
    this.#forget(clientId);
    this.#noteLetting(clientId);
  }

  /** A session has ended: nothing is posted for it any more. */
  sessionEnded({ queueId }: Session): void {
    this.#mailboxes.went(queueId);
  }

  async caughtUp(): Promise<void> {
    await this.#broker.writePath.drained();
    await this.#store.caughtUp();
  }

  // What the store asks

  get version(): number {
    return this.#table.version;
  }

  get nodeIds(): Iterable<string> {
    return this.#table.nodeIds;
  }

  routeOf({ message, view, servedShares }: RouteMutation): MessageRoute {
    const targets = this.#table.match(message);
    const own = message.qos > 0 ? this.#unservedParts(message, targets, servedShares) : [];
    if (targets.entries.length + targets.nodes.length + targets.shares.length + own.length === 0) return NOWHERE;
    const posts: MessageRoute['posts'][number][] = [];
    for (const entry of targets.entries) {
      if (!this.#departures.wasHere(entry.queueId, view)) posts.push(postOf(entry));
    }
    const nodes = new Map<string, string[]>();
    for (const nodeId of targets.nodes) if (this.#isThere(nodeId)) nodes.set(nodeId, []);
    for (const share of targets.shares) {
      if (servedShares.includes(share.shareKey)) continue;
      const { nodeId, queueId } = this.#choose(share);
      if (message.qos > 0) posts.push(postToPart(queueId, share.shareKey, message));
      else if (this.#isThere(nodeId)) nodes.set(nodeId, [...(nodes.get(nodeId) ?? NO_SHARES), share.shareKey]);
    }
    for (const { queueId, shareKey } of own) posts.push(postToPart(queueId, shareKey, message));
    return { posts, nodes: [...nodes].map(([nodeId, shareKeys]) => ({ nodeId, shareKeys })) };
  }

  /** Whether another node can be told something. */
  #isThere(nodeId: string): boolean {
    return nodeId !== this.nodeId && this.#table.nodeIds.has(nodeId);
  }

  redirect({ queueId, shareKey }: PostedMessage): number {
    const share = this.#table.share(shareKey);
    const isKnown = share?.parts.some((part) => part.queueId === queueId) === true;
    if (isKnown || this.#broker.hasQueue(queueId)) return queueId;
    const other = share === undefined ? undefined : this.#choose(share);
    return other?.queueId ?? this.#broker.anyPart(shareKey) ?? queueId;
  }

  knows(clientId: string, queueId: number, record: SubscriptionRecord): boolean {
    return this.#table.knows(clientId, queueId, record);
  }

  apply(changes: readonly TopologyChange[], version: number): void {
    this.#table.apply(changes, version);
  }

  load(changes: readonly TopologyChange[], version: number): void {
    this.#table.clear();
    this.#table.apply(changes, version);
  }

  /** Parts here that were not to get the message, as another node's was, which has gone since. */
  #unservedParts(
    message: Message,
    { shares }: RemoteTargets,
    servedShares: readonly string[],
  ): readonly { shareKey: string; queueId: number }[] {
    return this.#broker
      .localParts(message.topicName)
      .filter(
        ({ shareKey }) => !servedShares.includes(shareKey) && !shares.some((share) => share.shareKey === shareKey),
      );
  }

  /**
   * One part in turn, each as often as it has connected members; where none has any, each as often as the others. One
   * without members only where there is no other.
   */
  #choose(share: RemoteShare, among: RemoteShare['parts'] = share.parts): RemoteShare['parts'][number] {
    const withMembers = among.filter(({ isOrphan }) => !isOrphan);
    const parts = withMembers.length > 0 ? withMembers : among;
    const first = parts[0] as RemoteShare['parts'][number];
    if (parts.length === 1) return first;
    const online = onlineOf(parts);
    const turns = this.#turns.get(share) ?? new Map<number, number>();
    this.#turns.set(share, turns);
    let [next, most] = [first, Number.NEGATIVE_INFINITY];
    for (const part of parts) {
      const turn = (turns.get(part.queueId) ?? 0) + (online === 0 ? 1 : part.online);
      turns.set(part.queueId, turn);
      if (turn > most) [next, most] = [part, turn];
    }
    turns.set(next.queueId, most - (online === 0 ? parts.length : online));
    return next;
  }

  // What other nodes do

  /** Takes over what was found at start; sessions and groups follow. */
  restore({ mailboxes, groups }: Pick<AdoptedState, 'groups'> & Partial<Pick<AdoptedState, 'mailboxes'>>): void {
    for (const mailbox of mailboxes ?? []) this.#mailboxes.coming(mailbox);
    // The topology was read when they were not here yet.
    for (const { shareKey, queueId } of groups) this.#table.partCame(shareKey, queueId);
  }

  onPosted(messages: readonly MailboxMessage[]): void {
    this.#mailboxes.onPosted(messages);
  }

  onForwarded(messages: readonly ForwardedMessage[]): void {
    this.#broker.forward(messages);
  }

  onRetained(topicName: string, message: Message | undefined): void {
    this.#broker.applyRetained(topicName, message);
  }

  onUnsent(count: number): void {
    this.#broker.unsent(count);
  }

  onTopology(): void {
    this.#broker.handOverGroups();
  }

  async onAdopted(state: OwnedState, wasClaimed: (clientId: string) => boolean): Promise<void> {
    const { read } = await this.#adopt(state, { wasClaimed });
    read.catch((error: unknown) => this.#broker.fail(error));
  }

  onWanted(wanted: WantedClient): void {
    const { clientId, nodeId, username, tenure } = wanted;
    const pending = this.#claims.get(clientId);
    if (pending !== undefined) {
      const again = (): void => this.onWanted(wanted);
      pending.then(again, again);
      return;
    }
    const known = this.#tenures.get(clientId);
    if (known !== undefined && known !== tenure) return;
    // A session that ends here now has its client id handed over, and not let go of before.
    const claims = this.#held.get(clientId);
    this.#held.set(clientId, (claims ?? 0) + 1);
    const released = this.#broker.release(clientId, nodeId, username);
    if (released === 'refused') {
      if (claims === undefined) this.#held.delete(clientId);
      else this.#held.set(clientId, claims);
      this.#store.refuse(clientId, nodeId);
      return;
    }
    if (released === 'session') return;
    this.#forget(clientId);
    this.#broker.writePath.add({ kind: 'session-move', clientId, queueId: 0, nodeId });
    this.#noteLetting(clientId);
  }

  #forget(clientId: string): void {
    this.#held.delete(clientId);
    this.#tenures.delete(clientId);
  }

  /**
   * Takes over what is this node's now. Messages published here that are not with the store yet would come by its mailboxes,
   * behind what is published here from now on: so the mailboxes are read while no batch is under way, and what is in the
   * open one is delivered at once.
   * @returns when it is here; `read` resolves when what members of groups had in flight is known as well.
   */
  async #adopt(state: OwnedState, origin: Origin): Promise<{ read: Promise<void> }> {
    const queueIds = [...state.sessions, ...state.groups].map(({ queueId }) => queueId);
    if (queueIds.length === 0) return this.#takeOver({ ...state, mailboxes: [] }, origin);
    return this.#broker.writePath.between(async () =>
      this.#takeOver({ ...state, mailboxes: await this.#store.readMailboxes(queueIds) }, origin),
    );
  }

  #takeOver(state: AdoptedState, { claimed, wasClaimed }: Origin): { read: Promise<void> } {
    // Counted as held from here on, whatever becomes of the session that was found.
    if (claimed !== undefined) this.#held.set(claimed, 0);
    // One may have come by a claim and with the belongings of a dead node; it may even have ended since.
    const isNew = ({ clientId }: { clientId: string }): boolean =>
      this.#broker.sessionQueue(clientId) === undefined && wasClaimed?.(clientId) !== true;
    const sessions = state.sessions.filter(isNew);
    const known = new Set([...sessions, ...state.groups].map(({ queueId }) => queueId));
    const clientIds = new Set(sessions.map(({ clientId }) => clientId));
    const mailboxes = state.mailboxes.filter(({ queueId }) => known.has(queueId));
    for (const mailbox of mailboxes) this.#mailboxes.coming(mailbox);
    // What is published on the way, as wills, reaches the sessions by itself.
    const unsent = sessions.length > 0 ? this.#broker.writePath.unsent() : [];
    const read = this.#broker.adopt(
      {
        ...state,
        sessions,
        mailboxes,
        subscriptions: state.subscriptions.filter(({ clientId }) => clientIds.has(clientId)),
        inbound: state.inbound.filter(({ clientId }) => clientIds.has(clientId)),
        wills: state.wills.filter(isNew),
        queues: state.queues.filter(({ queueId }) => known.has(queueId)),
      },
      claimed !== undefined,
    );
    this.#broker.deliverLate(unsent, clientIds);
    for (const queueId of known) this.#mailboxes.came(queueId);
    for (const { shareKey, queueId } of state.groups) this.#table.partCame(shareKey, queueId);
    return { read };
  }
}

function onlineOf(parts: RemoteShare['parts']): number {
  return parts.reduce((sum, { online }) => sum + online, 0);
}

function postOf({ queueId, qos, retain, subscriptionIdentifiers }: RemoteEntry): MessageRoute['posts'][number] {
  return { queueId, qos, retain, subscriptionIdentifiers, shareKey: '' };
}

function postToPart(queueId: number, shareKey: string, { qos }: Message): MessageRoute['posts'][number] {
  return { queueId, qos, retain: false, subscriptionIdentifiers: [], shareKey };
}
