import type { Message } from '../../protocol/message.ts';
import { RecordWriter } from '../record-writer.ts';
import type { Mutation, QueueRecord } from '../store.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { RetainedCommand, RetainedLayout } from './retained-layout.ts';
import { COMMIT_KEYS, Op } from './scripts.ts';

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
}

/** What the writer draws its names from. */
export interface BatchContext {
  readonly keys: RedisKeys;
  readonly retained: RetainedLayout;
  /** An id for a shared message that no node ever uses again. */
  nextSharedId(): number;
}

/** Turns batches into the operations of the commit script. */
export class BatchWriter {
  readonly #context: BatchContext;
  /** Highest sequence put so far, by queue: what is above needs no look at what it replaces. */
  readonly #last: Map<number, number> = new Map();
  #writer: RecordWriter = new RecordWriter();
  #keys: string[] = [];
  #keyIndexes: Map<string, number> = new Map();
  /** By queue id, the index of its first key. */
  #queueIndexes: Map<number, number> = new Map();
  #sharedIds: Map<Message, number> = new Map();
  #apart: RetainedCommand[] = [];
  #needsRoom = false;
  #dropsQueues = false;

  constructor(context: BatchContext) {
    this.#context = context;
  }

  /** Notes what a queue that was read at start has. */
  known(queueId: number, lastSequence: number): void {
    this.#last.set(queueId, lastSequence);
  }

  /** Encodes a batch; everything is copied. */
  encode(batch: readonly Mutation[]): EncodedBatch {
    this.#writer.position = 0;
    this.#keys = [];
    this.#keyIndexes = new Map();
    this.#queueIndexes = new Map();
    this.#sharedIds = new Map();
    this.#apart = [];
    this.#needsRoom = false;
    this.#dropsQueues = false;
    const shared = sharedMessages(batch);
    for (const mutation of batch) this.#write(mutation, shared);
    const operations = Buffer.from(this.#writer.bytes.subarray(0, this.#writer.position));
    return {
      keys: this.#keys,
      operations,
      needsRoom: this.#needsRoom,
      dropsQueues: this.#dropsQueues,
      apart: this.#apart,
    };
  }

  #write(mutation: Mutation, shared: ReadonlySet<Message>): void {
    switch (mutation.kind) {
      case 'queue-put':
        this.#needsRoom = true;
        this.#put(mutation.record, shared.has(mutation.record.message));
        return;
      case 'queue-state':
        this.#entryOp(Op.state, mutation.queueId, mutation.sequence);
        this.#writer.u16(mutation.packetId);
        this.#writer.u8(STATE_CODES[mutation.state]);
        return;
      case 'queue-delete':
        this.#entryOp(Op.delete, mutation.queueId, mutation.sequence);
        return;
      case 'session-put':
        this.#field(mutation.record.clientId, 'r', () => this.#writer.session(mutation.record));
        return;
      case 'session-delete':
        this.#op(Op.sessionDelete, this.#key(this.#context.keys.session(mutation.clientId)));
        this.#writer.string(mutation.clientId);
        this.#dropQueue(mutation.queueId);
        return;
      case 'subscription-put': {
        const { clientId, record } = mutation;
        this.#field(clientId, `f${record.topicFilter}`, () => this.#writer.subscription(clientId, record));
        return;
      }
      case 'subscription-delete':
        this.#fieldDelete(mutation.clientId, `f${mutation.topicFilter}`);
        return;
      case 'group-put':
        this.#op(Op.group, 0);
        this.#writer.string(mutation.record.shareKey);
        this.#value(() => this.#writer.group(mutation.record));
        return;
      case 'group-delete':
        this.#op(Op.groupDelete, 0);
        this.#writer.string(mutation.shareKey);
        this.#dropQueue(mutation.queueId);
        return;
      case 'inbound-put':
      case 'inbound-delete':
      case 'will-put':
      case 'will-delete':
      case 'retained-put':
      case 'retained-delete':
        this.#writeOther(mutation);
    }
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
    const { queueId, sequence, message } = record;
    const writer = this.#writer;
    const sharedId = isShared ? this.#sharedId(message) : 0;
    const last = this.#last.get(queueId) ?? -1;
    if (sequence > last) this.#last.set(queueId, sequence);
    this.#entryOp(sequence > last ? Op.putNew : Op.put, queueId, sequence);
    this.#value(() => {
      writer.entryHead(record, isShared);
      if (isShared) writer.f64(sharedId);
      else writer.message(message);
    });
  }

  #sharedId(message: Message): number {
    const known = this.#sharedIds.get(message);
    if (known !== undefined) return known;
    const id = this.#context.nextSharedId();
    this.#sharedIds.set(message, id);
    this.#op(Op.shared, 0);
    this.#writer.f64(id);
    this.#value(() => this.#writer.message(message));
    return id;
  }

  #dropQueue(queueId: number): void {
    this.#last.delete(queueId);
    this.#dropsQueues = true;
    this.#op(Op.dropQueue, this.#queueKeys(queueId));
  }

  #entryOp(op: number, queueId: number, sequence: number): void {
    this.#op(op, this.#queueKeys(queueId));
    this.#writer.f64(sequence);
  }

  #field(clientId: string, field: string, writeValue: () => void): void {
    this.#op(Op.field, this.#key(this.#context.keys.session(clientId)));
    this.#writer.string(clientId);
    this.#writer.string(field);
    this.#value(writeValue);
  }

  #fieldDelete(clientId: string, field: string): void {
    this.#op(Op.fieldDelete, this.#key(this.#context.keys.session(clientId)));
    this.#writer.string(clientId);
    this.#writer.string(field);
  }

  #retained(command: RetainedCommand): void {
    if (command.kind !== 'hset' && command.kind !== 'hdel') {
      this.#apart.push(command);
      return;
    }
    this.#op(command.kind === 'hset' ? Op.hashSet : Op.hashDelete, this.#key(command.key));
    this.#writer.string(command.field);
    if (command.kind === 'hset') this.#value(() => this.#writer.raw(command.value, 0, command.value.length));
  }

  #op(op: number, keyIndex: number): void {
    this.#writer.u8(op);
    this.#writer.u32(keyIndex);
  }

  /** Writes a value with its length in front. */
  #value(write: () => void): void {
    const writer = this.#writer;
    const start = writer.position;
    writer.u32(0);
    write();
    writer.bytes.writeUInt32LE(writer.position - start - 4, start);
  }

  #key(name: string): number {
    const known = this.#keyIndexes.get(name);
    if (known !== undefined) return known;
    const index = COMMIT_KEYS + this.#keys.push(name);
    this.#keyIndexes.set(name, index);
    return index;
  }

  /** Index of the first of the three keys that a queue has. */
  #queueKeys(queueId: number): number {
    const known = this.#queueIndexes.get(queueId);
    if (known !== undefined) return known;
    const { keys } = this.#context;
    const index = COMMIT_KEYS + this.#keys.push(keys.queue(queueId));
    this.#keys.push(keys.flight(queueId), keys.dropped(queueId));
    this.#queueIndexes.set(queueId, index);
    return index;
  }
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
