import { isUtf8 } from 'node:buffer';
import { parseTopicFilter } from '../protocol/topic.ts';
import { RecordWriter, SubscriptionFlag } from './record-writer.ts';
import type { SubscriptionRecord } from './store.ts';
import { LOCAL_TIMES } from './time-offset.ts';

/**
 * In place of how many members of a part of a shared subscription are connected: it has no member at all, and stands in
 * until there is another part, which gets what it holds.
 */
export const NO_MEMBERS = 0xffff_ffff;
/** The same: it is about to be deleted, and gets nothing more. */
export const ENDING = 0xffff_fffe;

/**
 * What nodes tell each other of who takes messages where. Deleting what is not there is no error, and a put replaces
 * what was there, so that each of them may be applied twice in a row.
 */
export type TopologyChange =
  /** A subscription of a stored session, not a shared one; `queueId` is the session's queue, `nodeId` who takes care of it. */
  | { kind: 'subscription-put'; clientId: string; nodeId: string; queueId: number; record: SubscriptionRecord }
  | { kind: 'subscription-delete'; clientId: string; topicFilter: string }
  | { kind: 'session-delete'; clientId: string }
  /** Another node takes care of a stored session from now on. */
  | { kind: 'session-moved'; clientId: string; nodeId: string }
  /** On that node is at least one taker that is not a stored session. */
  | { kind: 'route-put'; nodeId: string; topicFilter: string }
  | { kind: 'route-delete'; nodeId: string; topicFilter: string }
  /**
   * The part that a node has of a shared subscription (`share name/topic filter`); `online`: its members that are connected,
   * NO_MEMBERS or ENDING. A queue is one part, whatever node it was with before.
   */
  | { kind: 'share-put'; nodeId: string; shareKey: string; queueId: number; online: number }
  | { kind: 'share-delete'; nodeId: string; shareKey: string; queueId: number }
  /** The node has started: it has no routes, and its shares have no members yet. */
  | { kind: 'node-put'; nodeId: string }
  /** The node is gone: its routes with it, its stored sessions and shares not (they are moved or deleted one by one). */
  | { kind: 'node-delete'; nodeId: string };

/** Version of the layout below; a list of another one is refused. */
const LAYOUT = 1;

/** First byte of a change. */
const CODES = {
  'subscription-put': 1,
  'subscription-delete': 2,
  'session-delete': 3,
  'session-moved': 4,
  'route-put': 5,
  'route-delete': 6,
  'share-put': 7,
  'share-delete': 8,
  'node-delete': 9,
  'node-put': 10,
} as const satisfies Record<TopologyChange['kind'], number>;

const KINDS: ReadonlyMap<number, TopologyChange['kind']> = new Map(
  Object.entries(CODES).map(([kind, code]) => [code, kind as TopologyChange['kind']]),
);

const SUBSCRIPTION_IDENTIFIER_MAX = 268_435_455;
const FIRST_CAPACITY = 512;
/** Characters of a damaged string that an error shows. */
const SHOWN_MAX = 80;

/**
 * Encodes a list of changes. Numbers are little-endian; a string is its length in bytes (u32) and its UTF-8.
 *
 *     list                 layout u8 = 1 | count u32 | changes
 *     subscription-put     1 | clientId | nodeId | queueId f64 | topicFilter | options u8 | subscriptionIdentifier u32
 *     subscription-delete  2 | clientId | topicFilter
 *     session-delete       3 | clientId
 *     session-moved        4 | clientId | nodeId
 *     route-put, -delete   5, 6 | nodeId | topicFilter
 *     share-put            7 | nodeId | shareKey | queueId f64 | online u32
 *     share-delete         8 | nodeId | shareKey | queueId f64
 *     node-delete, -put    9, 10 | nodeId
 *     options              QoS (2 bits), No Local, Retain As Published, Retain Handling (2 bits), from the lowest bit
 */
export function encodeChanges(changes: readonly TopologyChange[]): Buffer {
  const writer = new RecordWriter(LOCAL_TIMES, FIRST_CAPACITY);
  writer.u8(LAYOUT);
  writer.u32(changes.length);
  for (const change of changes) writeChange(writer, change);
  return writer.bytes.subarray(0, writer.position);
}

/**
 * Decodes a list of changes that `encodeChanges` made.
 *
 * @throws Error that says what is wrong and at which byte, for a list that is damaged, cut off, or of an unknown layout.
 */
export function decodeChanges(bytes: Uint8Array): TopologyChange[] {
  const reader = new ChangeReader(bytes);
  const layout = reader.u8();
  if (layout !== LAYOUT) throw reader.damaged(`layout ${layout} is not known`);
  const count = reader.u32();
  const changes: TopologyChange[] = [];
  for (let i = 0; i < count; i++) changes.push(readChange(reader));
  reader.end();
  return changes;
}

function writeChange(writer: RecordWriter, change: TopologyChange): void {
  writer.u8(CODES[change.kind]);
  switch (change.kind) {
    case 'subscription-put':
      writer.string(change.clientId);
      writer.string(change.nodeId);
      writer.f64(change.queueId);
      writer.subscriptionOf(change.record);
      break;
    case 'subscription-delete':
      writer.string(change.clientId);
      writer.string(change.topicFilter);
      break;
    case 'session-delete':
      writer.string(change.clientId);
      break;
    case 'session-moved':
      writer.string(change.clientId);
      writer.string(change.nodeId);
      break;
    case 'route-put':
    case 'route-delete':
      writer.string(change.nodeId);
      writer.string(change.topicFilter);
      break;
    case 'share-put':
      writer.string(change.nodeId);
      writer.string(change.shareKey);
      writer.f64(change.queueId);
      writer.u32(change.online);
      break;
    case 'share-delete':
      writer.string(change.nodeId);
      writer.string(change.shareKey);
      writer.f64(change.queueId);
      break;
    case 'node-put':
    case 'node-delete':
      writer.string(change.nodeId);
      break;
  }
}

function readChange(reader: ChangeReader): TopologyChange {
  const code = reader.u8();
  const kind = KINDS.get(code);
  if (kind === undefined) throw reader.damaged(`a change of kind ${code} is not known`);
  switch (kind) {
    case 'subscription-put': {
      const clientId = reader.string();
      const nodeId = reader.string();
      const queueId = reader.queueId();
      return { kind, clientId, nodeId, queueId, record: readSubscription(reader) };
    }
    case 'subscription-delete': {
      const clientId = reader.string();
      return { kind, clientId, topicFilter: reader.topicFilter() };
    }
    case 'session-delete':
      return { kind, clientId: reader.string() };
    case 'session-moved': {
      const clientId = reader.string();
      return { kind, clientId, nodeId: reader.string() };
    }
    case 'route-put':
    case 'route-delete': {
      const nodeId = reader.string();
      return { kind, nodeId, topicFilter: reader.topicFilter() };
    }
    case 'share-put': {
      const nodeId = reader.string();
      const shareKey = reader.shareKey();
      const queueId = reader.queueId();
      return { kind, nodeId, shareKey, queueId, online: reader.u32() };
    }
    case 'share-delete': {
      const nodeId = reader.string();
      const shareKey = reader.shareKey();
      return { kind, nodeId, shareKey, queueId: reader.queueId() };
    }
    case 'node-put':
    case 'node-delete':
      return { kind, nodeId: reader.string() };
  }
}

function readSubscription(reader: ChangeReader): SubscriptionRecord {
  const topicFilter = reader.topicFilter();
  const options = reader.u8();
  const qos = options & SubscriptionFlag.qosMask;
  const retainHandling = options >>> SubscriptionFlag.retainHandlingShift;
  if ((qos !== 0 && qos !== 1 && qos !== 2) || (retainHandling !== 0 && retainHandling !== 1 && retainHandling !== 2))
    throw reader.damaged(`options 0x${options.toString(16)} of a subscription are not valid`);
  const subscriptionIdentifier = reader.u32();
  if (subscriptionIdentifier > SUBSCRIPTION_IDENTIFIER_MAX)
    throw reader.damaged(`subscription identifier ${subscriptionIdentifier} is too high`);
  return {
    topicFilter,
    qos,
    noLocal: (options & SubscriptionFlag.noLocal) !== 0,
    retainAsPublished: (options & SubscriptionFlag.retainAsPublished) !== 0,
    retainHandling,
    subscriptionIdentifier,
  };
}

/** Reads what `encodeChanges` wrote; whatever it returns is copied out of the bytes. */
class ChangeReader {
  readonly #bytes: Buffer;
  #position = 0;
  /** Where the last thing read begins, for errors. */
  #from = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The error for something wrong with what was read last. */
  damaged(what: string): Error {
    return new Error(`A list of topology changes is damaged at byte ${this.#from} of ${this.#bytes.length}: ${what}`);
  }

  /** @throws Error unless all of it was read. */
  end(): void {
    this.#from = this.#position;
    const left = this.#bytes.length - this.#position;
    if (left > 0) throw this.damaged(`${left} bytes follow the last change`);
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  queueId(): number {
    const queueId = this.#bytes.readDoubleLE(this.#take(8));
    if (!Number.isSafeInteger(queueId) || queueId < 0) throw this.damaged(`${queueId} is no queue id`);
    return queueId;
  }

  string(): string {
    const length = this.u32();
    const start = this.#take(length);
    const end = start + length;
    const bytes = this.#bytes;
    let at = start;
    while (at < end && bytes[at]! < 0x80) at++;
    if (at === end) return bytes.toString('latin1', start, end); // ASCII, as almost always
    if (!isUtf8(bytes.subarray(at, end))) throw this.damaged('a string is not UTF-8');
    return bytes.toString('utf8', start, end);
  }

  /** A valid topic filter that is not a shared one: what routes messages relies on that. */
  topicFilter(): string {
    const topicFilter = this.string();
    if (parseTopicFilter(topicFilter)?.shareName !== '') throw this.#invalid(topicFilter, 'topic filter');
    return topicFilter;
  }

  shareKey(): string {
    const shareKey = this.string();
    if (parseTopicFilter(`$share/${shareKey}`) === undefined) throw this.#invalid(shareKey, 'share key');
    return shareKey;
  }

  #invalid(text: string, what: string): Error {
    return this.damaged(`${JSON.stringify(text.slice(0, SHOWN_MAX))} is no ${what}`);
  }

  /** Goes on by so many bytes. @returns where they begin. */
  #take(length: number): number {
    const start = this.#position;
    this.#from = start;
    if (length > this.#bytes.length - start) throw this.damaged(`${length} bytes are missing or cut off`);
    this.#position += length;
    return start;
  }
}
