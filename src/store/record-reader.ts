import { Message } from '../protocol/message.ts';
import type { Properties, Qos } from '../protocol/packets.ts';
import { EntryFlag, MessageFlag, SubscriptionFlag, WillFlag } from './record-writer.ts';
import type { GroupRecord, QueueRecord, QueueState, SessionRecord, SubscriptionRecord, WillRecord } from './store.ts';
import { LOCAL_TIMES, type TimeOffset } from './time-offset.ts';

const STATES: readonly QueueState[] = ['waiting', 'sent', 'released'];
const SIZE_AT = 3;

/** Message of an entry: itself, or the id of the shared copy that holds it. */
export type ReadMessage = (sharedId: number) => Message;

/**
 * Reads the records that `RecordWriter` wrote. The bytes given to `reset` may be memory that changes with the next read:
 * whatever is returned is copied out of them. Times are returned as the local clock has them.
 */
export class RecordReader {
  #bytes: Buffer = Buffer.alloc(0);
  #position = 0;
  readonly #times: TimeOffset;

  constructor(times: TimeOffset = LOCAL_TIMES) {
    this.#times = times;
  }

  reset(bytes: Uint8Array, length: number): void {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, length);
    this.#position = 0;
  }

  /** Message size of the entry, without decoding the rest. */
  entrySize(): number {
    return this.#bytes.readUInt32LE(SIZE_AT);
  }

  /** Id of the shared message that the entry refers to, 0 where it holds its own. */
  entrySharedId(): number {
    return (this.#bytes[0]! & EntryFlag.shared) === 0 ? 0 : this.#bytes.readDoubleLE(this.#bytes.length - 8);
  }

  entry(queueId: number, sequence: number, readMessage: ReadMessage): QueueRecord {
    const flags = this.#u8();
    const packetId = this.#u16();
    this.#u32();
    const subscriptionIdentifiers: number[] = [];
    if ((flags & EntryFlag.identifiers) !== 0) {
      const count = this.#u32();
      this.#need(count * 4);
      for (let i = 0; i < count; i++) subscriptionIdentifiers.push(this.#u32());
    }
    const shareKey = (flags & EntryFlag.shareKey) === 0 ? '' : this.#string();
    const state = STATES[(flags & EntryFlag.stateMask) >>> EntryFlag.stateShift];
    if (state === undefined) throw damagedRecord();
    const message = (flags & EntryFlag.shared) === 0 ? this.message() : readMessage(this.#f64());
    return {
      queueId,
      sequence,
      message,
      qos: toQos(flags & EntryFlag.qosMask),
      retain: (flags & EntryFlag.retain) !== 0,
      subscriptionIdentifiers,
      packetId,
      state,
      shareKey,
    };
  }

  message(): Message {
    const flags = this.#u8();
    const expiresAt = (flags & MessageFlag.expires) === 0 ? Number.POSITIVE_INFINITY : this.#time();
    const topicName = this.#string();
    const publisherId = this.#string();
    const properties = this.#raw(this.#u32());
    return new Message({
      topicName,
      payload: this.#rest(),
      qos: toQos(flags & MessageFlag.qosMask),
      retain: (flags & MessageFlag.retain) !== 0,
      properties,
      expiresAt,
      publisherId,
    });
  }

  session(): SessionRecord {
    const clientId = this.#string();
    const epoch = this.#f64();
    const queueId = this.#f64();
    const sessionExpiryInterval = this.#u32();
    const expiresAt = this.#time();
    return { clientId, epoch, queueId, sessionExpiryInterval, expiresAt, username: this.#string() };
  }

  subscription(): { clientId: string; record: SubscriptionRecord } {
    const clientId = this.#string();
    const topicFilter = this.#string();
    const flags = this.#u8();
    const retainHandling = flags >>> SubscriptionFlag.retainHandlingShift;
    if (retainHandling !== 0 && retainHandling !== 1 && retainHandling !== 2) throw damagedRecord();
    return {
      clientId,
      record: {
        topicFilter,
        qos: toQos(flags & SubscriptionFlag.qosMask),
        noLocal: (flags & SubscriptionFlag.noLocal) !== 0,
        retainAsPublished: (flags & SubscriptionFlag.retainAsPublished) !== 0,
        retainHandling,
        subscriptionIdentifier: this.#u32(),
      },
    };
  }

  group(): GroupRecord {
    const shareKey = this.#string();
    return { shareKey, queueId: this.#f64() };
  }

  inbound(): { clientId: string; packetId: number } {
    const packetId = this.#u16();
    return { clientId: this.#string(), packetId };
  }

  will(): WillRecord {
    const clientId = this.#string();
    const username = this.#string();
    const publishAt = this.#time();
    const topicName = this.#string();
    const flags = this.#u8();
    const properties = propertiesFromJson(this.#string());
    const identity = (flags & WillFlag.identity) === 0 ? {} : { identity: this.#string() };
    const qos = toQos(flags & WillFlag.qosMask);
    const retain = (flags & WillFlag.retain) !== 0;
    const will = { topicName, payload: this.#rest(), qos, retain, properties };
    return { clientId, username, ...identity, publishAt, will };
  }

  /** A string that is the whole value. */
  text(): string {
    return this.#bytes.toString('utf8');
  }

  #string(): string {
    const length = this.#u32();
    this.#need(length);
    const start = this.#position;
    this.#position += length;
    return this.#bytes.toString('utf8', start, this.#position);
  }

  #raw(length: number): Uint8Array {
    this.#need(length);
    const copy = Buffer.allocUnsafeSlow(length);
    this.#bytes.copy(copy, 0, this.#position, this.#position + length);
    this.#position += length;
    return copy;
  }

  #rest(): Uint8Array {
    return this.#raw(this.#bytes.length - this.#position);
  }

  #u8(): number {
    this.#need(1);
    return this.#bytes[this.#position++]!;
  }

  #u16(): number {
    const value = this.#bytes.readUInt16LE(this.#position);
    this.#position += 2;
    return value;
  }

  #u32(): number {
    const value = this.#bytes.readUInt32LE(this.#position);
    this.#position += 4;
    return value;
  }

  #f64(): number {
    const value = this.#bytes.readDoubleLE(this.#position);
    this.#position += 8;
    return value;
  }

  /** Infinity stays what it is. */
  #time(): number {
    return this.#f64() - this.#times.offsetMs;
  }

  #need(length: number): void {
    if (this.#position + length > this.#bytes.length) throw damagedRecord();
  }
}

function toQos(value: number): Qos {
  if (value !== 0 && value !== 1 && value !== 2) throw damagedRecord();
  return value;
}

function damagedRecord(): Error {
  return new Error('a stored record is damaged');
}

function propertiesFromJson(text: string): Properties {
  const { correlationData, ...others } = JSON.parse(text) as Properties & { correlationData?: string };
  return correlationData === undefined
    ? others
    : { ...others, correlationData: new Uint8Array(Buffer.from(correlationData, 'base64')) };
}
