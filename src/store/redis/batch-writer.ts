import type { Message } from '../../protocol/message.ts';
import { RecordWriter } from '../record-writer.ts';
import {
  isForNodes,
  type LocalMutation,
  type Mutation,
  type NodeMutation,
  type QueueRecord,
  type SubscriptionRecord,
} from '../store.ts';
import type { TimeOffset } from '../time-offset.ts';
import type { TopologyChange } from '../topology-change.ts';
import { CommitKeys } from './commit-keys.ts';
import { COMMIT_KEYS, Op, RUN_MAX } from './commit-script.ts';
import { FrameWriter } from './inbox-frame.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { RetainedCommand, RetainedLayout } from './retained-layout.ts';

const STATE_CODES = { waiting: 0, sent: 1, released: 2 } as const;

/** A batch as the commit script takes it. */
export interface EncodedBatch {
  /** The keys of its operations. */
  readonly keys: readonly string[];
  readonly operations: Buffer;
  /** Whether it adds messages, so that it must wait while Redis is full. */
  readonly needsRoom: boolean;
  /** Whether it leaves queues to be emptied. */
  readonly dropsQueues: boolean;
  /** What is not in the slot of the others, in a Redis Cluster; to be done when the script is. */
  readonly apart: readonly RetainedCommand[];
  /** What the batch changes of who takes messages where. */
  readonly changes: readonly TopologyChange[];
}

/** What the writer draws its names from. */
export interface BatchContext {
  /** Owner of the queues that are made. */
  readonly nodeId: string;
  readonly keys: RedisKeys;
  readonly retained: RetainedLayout;
  /** By which clock times are stored. */
  readonly times: TimeOffset;
  /** An id for a shared message that no node ever uses again. */
  nextSharedId(): number;
  /** Whether all nodes know a subscription as it is, so that nothing has to be said of it. */
  knows(clientId: string, queueId: number, record: SubscriptionRecord): boolean;
}

type StateChange = Extract<Mutation, { kind: 'queue-state' }>;

/**
 * Changes of a queue that are not written yet, to be one operation of each kind: a call of a command costs Redis more than
 * what it does. No sequence is in two of the three, so that their order does not matter.
 */
interface Runs {
  readonly queueId: number;
  /** New entries; sequences go up. */
  puts: QueueRecord[];
  /** Sequences follow one another. */
  states: StateChange[];
  /** The first sequence and how many follow one another; 0 for none. */
  deleteFirst: number;
  deleteCount: number;
}

/** Turns batches into the operations of the commit script. */
export class BatchWriter {
  readonly #context: BatchContext;
  /** Highest sequence put so far, by queue: what is above needs no look at what it replaces. */
  readonly #last: Map<number, number> = new Map();
  readonly #writer: RecordWriter;
  #keys: CommitKeys;
  #sharedIds: Map<Message, number> = new Map();
  /** By queue id. */
  #runs: Map<number, Runs> = new Map();
  #apart: RetainedCommand[] = [];
  #changes: TopologyChange[] = [];
  /** Clients of whose subscriptions this batch has said something. */
  #changed: Set<string> = new Set();
  readonly #frames: FrameWriter = new FrameWriter();
  #needsRoom = false;
  #dropsQueues = false;

  constructor(context: BatchContext) {
    this.#context = context;
    this.#writer = new RecordWriter(context.times);
    this.#keys = new CommitKeys(context.keys, COMMIT_KEYS);
  }

  /** Notes what a queue that was read at start has. */
  known(queueId: number, lastSequence: number): void {
    this.#last.set(queueId, lastSequence);
  }

  /** Encodes a batch; everything is copied. */
  encode(batch: readonly Mutation[]): EncodedBatch {
    this.#writer.position = 0;
    this.#keys = new CommitKeys(this.#context.keys, COMMIT_KEYS);
    this.#sharedIds = new Map();
    this.#runs = new Map();
    this.#apart = [];
    this.#changes = [];
    this.#changed = new Set();
    this.#needsRoom = false;
    this.#dropsQueues = false;
    const shared = sharedMessages(batch);
    for (const mutation of batch) this.#write(mutation, shared);
    for (const runs of this.#runs.values()) this.#writeRuns(runs);
    const operations = this.#writer.copy();
    return {
      keys: this.#keys.names,
      operations,
      needsRoom: this.#needsRoom,
      dropsQueues: this.#dropsQueues,
      apart: this.#apart,
      changes: this.#changes,
    };
  }

  #write(mutation: Mutation, shared: ReadonlySet<Message>): void {
    if (isForNodes(mutation)) this.#writeForNodes(mutation);
    else this.#writeLocal(mutation, shared);
  }

  #writeLocal(mutation: LocalMutation, shared: ReadonlySet<Message>): void {
    switch (mutation.kind) {
      case 'queue-put':
        if (mutation.isAccepted !== true) this.#needsRoom = true;
        this.#put(mutation.record, shared.has(mutation.record.message));
        return;
      case 'queue-state':
        this.#state(mutation);
        return;
      case 'queue-delete':
        this.#delete(mutation.queueId, mutation.sequence);
        return;
      case 'session-put':
        this.#field(mutation.record.clientId, 'r', () => this.#writer.session(mutation.record));
        this.#field(mutation.record.clientId, 'o', () => this.#writer.bytesOf(this.#context.nodeId));
        this.#own(mutation.record.queueId);
        return;
      case 'session-delete':
        this.#op(Op.sessionDelete, this.#keys.indexOf(this.#context.keys.session(mutation.clientId)));
        this.#writer.string(mutation.clientId);
        this.#dropQueue(mutation.queueId);
        this.#change(mutation.clientId, { kind: 'session-delete', clientId: mutation.clientId });
        return;
      case 'subscription-put':
        this.#subscription(mutation);
        return;
      case 'subscription-delete': {
        const { clientId, topicFilter } = mutation;
        this.#fieldDelete(clientId, `f${topicFilter}`);
        if (!isShareFilter(topicFilter)) this.#change(clientId, { kind: 'subscription-delete', clientId, topicFilter });
        return;
      }
      case 'group-put':
        this.#group(mutation);
        return;
      case 'group-delete': {
        const { shareKey, queueId } = mutation;
        this.#op(Op.groupDelete, 0);
        this.#writer.string(`${queueId}`);
        this.#dropQueue(queueId);
        this.#changes.push({ kind: 'share-delete', nodeId: this.#context.nodeId, shareKey, queueId });
        return;
      }
      case 'inbound-put':
      case 'inbound-delete':
      case 'will-put':
      case 'will-delete':
      case 'retained-put':
      case 'retained-delete':
        this.#writeOther(mutation);
    }
  }

  #subscription({ clientId, queueId, record }: Extract<Mutation, { kind: 'subscription-put' }>): void {
    this.#field(clientId, `f${record.topicFilter}`, () => this.#writer.subscription(clientId, record));
    if (isShareFilter(record.topicFilter)) return;
    // Clients subscribe again to the same when they come back.
    if (!this.#changed.has(clientId) && this.#context.knows(clientId, queueId, record)) return;
    const { nodeId } = this.#context;
    this.#change(clientId, { kind: 'subscription-put', clientId, nodeId, queueId, record });
  }

  #group({ record, online }: Extract<Mutation, { kind: 'group-put' }>): void {
    const { shareKey, queueId } = record;
    this.#op(Op.group, 0);
    this.#writer.string(`${queueId}`);
    this.#value(() => {
      this.#writer.group(record);
      this.#writer.u32(online);
    });
    this.#own(queueId);
    const { nodeId } = this.#context;
    this.#changes.push({ kind: 'share-put', nodeId, shareKey, queueId, online });
  }

  #change(clientId: string, change: TopologyChange): void {
    this.#changed.add(clientId);
    this.#changes.push(change);
  }

  /** What only a store knows that nodes share. Messages for other nodes are not written here, see `RouteWriter`. */
  #writeForNodes(mutation: NodeMutation): void {
    const { keys, nodeId, retained } = this.#context;
    switch (mutation.kind) {
      case 'route':
        this.#needsRoom = true;
        return;
      case 'post':
        return;
      case 'interest-put':
      case 'interest-delete': {
        const { kind, topicFilter } = mutation;
        this.#op(kind === 'interest-put' ? Op.interest : Op.interestDelete, 0);
        this.#writer.string(topicFilter);
        this.#changes.push({ kind: kind === 'interest-put' ? 'route-put' : 'route-delete', nodeId, topicFilter });
        return;
      }
      case 'posted-delete':
        this.#op(Op.taken, this.#keys.queue(mutation.queueId));
        this.#writer.u32(mutation.count);
        return;
      case 'session-move':
        this.#move(mutation);
        return;
      case 'client-release':
        this.#op(Op.release, this.#keys.indexOf(keys.session(mutation.clientId)));
        this.#writer.string(mutation.clientId);
        this.#writer.string(nodeId);
        return;
      case 'retained-expire':
        this.#expire(retained.commandFor({ kind: 'retained-delete', topicName: mutation.message.topicName }));
    }
  }

  #move({ clientId, queueId, nodeId }: Extract<Mutation, { kind: 'session-move' }>): void {
    const { keys } = this.#context;
    const queueKeys = queueId === 0 ? 0 : this.#keys.queue(queueId);
    const [session, own, inbox] = [keys.session(clientId), keys.own(nodeId), keys.inbox(nodeId)].map((key) =>
      this.#keys.indexOf(key),
    ) as [number, number, number];
    // What was written to its queue before comes before.
    if (queueId !== 0) this.#writeRuns(this.#runsOf(queueId));
    this.#last.delete(queueId);
    this.#op(Op.move, session);
    const writer = this.#writer;
    writer.u32(queueKeys);
    writer.u32(own);
    writer.u32(inbox);
    writer.string(clientId);
    writer.string(this.#context.nodeId);
    writer.string(nodeId);
    this.#value(() => writer.bytesOf(this.#frames.handedOver(clientId)));
    if (queueId !== 0) this.#change(clientId, { kind: 'session-moved', clientId, nodeId });
  }

  #expire(command: RetainedCommand): void {
    if (command.kind !== 'hdel') {
      this.#apart.push({ kind: 'del-expired', key: command.key });
      return;
    }
    this.#op(Op.hashDeleteExpired, this.#keys.indexOf(command.key));
    this.#writer.string(command.field);
  }

  #writeOther(
    mutation: Extract<
      Mutation,
      { kind: 'inbound-put' | 'inbound-delete' | 'will-put' | 'will-delete' | 'retained-put' | 'retained-delete' }
    >,
  ): void {
    switch (mutation.kind) {
      case 'inbound-put':
        this.#needsRoom = true;
        this.#field(mutation.clientId, `i${mutation.packetId}`, () => {});
        return;
      case 'inbound-delete':
        this.#fieldDelete(mutation.clientId, `i${mutation.packetId}`);
        return;
      case 'will-put':
        this.#field(mutation.record.clientId, 'w', () => this.#writer.will(mutation.record));
        return;
      case 'will-delete':
        this.#fieldDelete(mutation.clientId, 'w');
        return;
      case 'retained-put':
      case 'retained-delete':
        if (mutation.kind === 'retained-put') this.#needsRoom = true;
        this.#retained(this.#context.retained.commandFor(mutation));
    }
  }

  #put(record: QueueRecord, isShared: boolean): void {
    const { queueId, sequence } = record;
    if (isShared) this.#shareMessage(record.message);
    const runs = this.#runsOf(queueId);
    if (sequence <= (this.#last.get(queueId) ?? -1)) {
      this.#writeRuns(runs);
      this.#writePuts(Op.put, queueId, [record]);
      return;
    }
    this.#last.set(queueId, sequence);
    if (isAmongStates(runs, sequence)) this.#writeStates(runs);
    if (isAmongDeletes(runs, sequence)) this.#writeDeletes(runs);
    runs.puts.push(record);
    if (runs.puts.length === RUN_MAX) this.#writeNew(runs);
  }

  #state(change: StateChange): void {
    const { sequence } = change;
    const runs = this.#runsOf(change.queueId);
    if (isAmongPuts(runs, sequence)) this.#writeNew(runs);
    if (isAmongDeletes(runs, sequence)) this.#writeDeletes(runs);
    const before = runs.states.at(-1);
    if (before !== undefined && (sequence !== before.sequence + 1 || runs.states.length === RUN_MAX))
      this.#writeStates(runs);
    runs.states.push(change);
  }

  #delete(queueId: number, sequence: number): void {
    const runs = this.#runsOf(queueId);
    if (isAmongPuts(runs, sequence)) this.#writeNew(runs);
    if (isAmongStates(runs, sequence)) this.#writeStates(runs);
    if (sequence !== runs.deleteFirst + runs.deleteCount || runs.deleteCount === RUN_MAX) this.#writeDeletes(runs);
    if (runs.deleteCount === 0) runs.deleteFirst = sequence;
    runs.deleteCount += 1;
  }

  #runsOf(queueId: number): Runs {
    const known = this.#runs.get(queueId);
    if (known !== undefined) return known;
    const runs: Runs = { queueId, puts: [], states: [], deleteFirst: 0, deleteCount: 0 };
    this.#runs.set(queueId, runs);
    return runs;
  }

  #writeRuns(runs: Runs): void {
    this.#writeNew(runs);
    this.#writeStates(runs);
    this.#writeDeletes(runs);
  }

  #writeNew(runs: Runs): void {
    if (runs.puts.length === 0) return;
    this.#writePuts(Op.putNew, runs.queueId, runs.puts);
    runs.puts = [];
  }

  #writePuts(op: number, queueId: number, records: readonly QueueRecord[]): void {
    const writer = this.#writer;
    this.#op(op, this.#keys.queue(queueId));
    writer.u32(records.length);
    for (const record of records) {
      const sharedId = this.#sharedIds.get(record.message);
      const start = writer.position;
      writer.u32(0);
      writer.f64(record.sequence);
      writer.entryHead(record, sharedId !== undefined);
      if (sharedId === undefined) writer.message(record.message);
      else writer.f64(sharedId);
      this.#noteLength(start);
    }
  }

  #writeStates(runs: Runs): void {
    const [first] = runs.states;
    if (first === undefined) return;
    this.#runOp(Op.states, runs.queueId, first.sequence, runs.states.length);
    for (const { packetId, state } of runs.states) {
      this.#writer.u16(packetId);
      this.#writer.u8(STATE_CODES[state]);
    }
    runs.states = [];
  }

  #writeDeletes(runs: Runs): void {
    if (runs.deleteCount === 0) return;
    this.#runOp(Op.deletes, runs.queueId, runs.deleteFirst, runs.deleteCount);
    runs.deleteCount = 0;
  }

  #shareMessage(message: Message): void {
    if (this.#sharedIds.has(message)) return;
    const id = this.#context.nextSharedId();
    this.#sharedIds.set(message, id);
    this.#op(Op.shared, 0);
    this.#writer.f64(id);
    this.#value(() => this.#writer.message(message));
  }

  #own(queueId: number): void {
    this.#op(Op.owner, this.#keys.queue(queueId));
    this.#writer.string(this.#context.nodeId);
  }

  #dropQueue(queueId: number): void {
    this.#writeRuns(this.#runsOf(queueId));
    this.#last.delete(queueId);
    this.#dropsQueues = true;
    this.#op(Op.dropQueue, this.#keys.queue(queueId));
  }

  /** Entries of a queue whose sequences follow one another. */
  #runOp(op: number, queueId: number, first: number, count: number): void {
    this.#op(op, this.#keys.queue(queueId));
    this.#writer.f64(first);
    this.#writer.u32(count);
  }

  #field(clientId: string, field: string, writeValue: () => void): void {
    this.#op(Op.field, this.#keys.indexOf(this.#context.keys.session(clientId)));
    this.#writer.string(clientId);
    this.#writer.string(field);
    this.#value(writeValue);
  }

  #fieldDelete(clientId: string, field: string): void {
    this.#op(Op.fieldDelete, this.#keys.indexOf(this.#context.keys.session(clientId)));
    this.#writer.string(clientId);
    this.#writer.string(field);
  }

  #retained(command: RetainedCommand): void {
    if (command.kind !== 'hset' && command.kind !== 'hdel') {
      this.#apart.push(command);
      return;
    }
    this.#op(command.kind === 'hset' ? Op.hashSet : Op.hashDelete, this.#keys.indexOf(command.key));
    this.#writer.string(command.field);
    if (command.kind === 'hset') this.#value(() => this.#writer.bytesOf(command.value));
  }

  #op(op: number, keyIndex: number): void {
    this.#writer.u8(op);
    this.#writer.u32(keyIndex);
  }

  /** Writes a value with its length in front. */
  #value(write: () => void): void {
    const start = this.#writer.position;
    this.#writer.u32(0);
    write();
    this.#noteLength(start);
  }

  /** Fills in the length that stands at `start`, of all behind it. */
  #noteLength(start: number): void {
    const { bytes, position } = this.#writer;
    bytes.writeUInt32LE(position - start - 4, start);
  }
}

function isAmongPuts({ puts }: Runs, sequence: number): boolean {
  const [first] = puts;
  return first !== undefined && sequence >= first.sequence && sequence <= puts[puts.length - 1]!.sequence;
}

function isAmongStates({ states }: Runs, sequence: number): boolean {
  const [first] = states;
  return first !== undefined && sequence >= first.sequence && sequence < first.sequence + states.length;
}

function isAmongDeletes({ deleteFirst, deleteCount }: Runs, sequence: number): boolean {
  return sequence >= deleteFirst && sequence < deleteFirst + deleteCount;
}

function isShareFilter(topicFilter: string): boolean {
  return topicFilter.startsWith('$share/');
}

/** Messages that several queues of a batch hold. */
function sharedMessages(batch: readonly Mutation[]): ReadonlySet<Message> {
  const seen = new Set<Message>();
  const shared = new Set<Message>();
  for (const mutation of batch) {
    if (mutation.kind !== 'queue-put') continue;
    const { message } = mutation.record;
    if (seen.has(message)) shared.add(message);
    else seen.add(message);
  }
  return shared;
}
