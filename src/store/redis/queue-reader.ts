import type { Message } from '../../protocol/message.ts';
import { RecordReader } from '../record-reader.ts';
import { type QueueRecord, type QueueState, StoreError } from '../store.ts';
import type { TimeOffset } from '../time-offset.ts';
import { decoded } from './decoded.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Scripts } from './script-runner.ts';

/** Bytes of the sequence in front of an entry. */
const SEQUENCE_BYTES = 8;
const STATES: readonly QueueState[] = ['waiting', 'sent', 'released'];

/** Reads windows of queues. */
export class QueueReader {
  readonly #scripts: Scripts;
  readonly #keys: RedisKeys;
  readonly #reader: RecordReader;
  readonly #messageReader: RecordReader;

  constructor(scripts: Scripts, keys: RedisKeys, times: TimeOffset) {
    this.#scripts = scripts;
    this.#keys = keys;
    this.#reader = new RecordReader(times);
    this.#messageReader = new RecordReader(times);
  }

  /** See `Store.readQueue`. @throws the error of the connection; StoreError when a message is missing. */
  async read(queueId: number, afterSequence: number, limit: number, maxBytes: number): Promise<QueueRecord[]> {
    const keys = [this.#keys.queue(queueId), this.#keys.flight(queueId), this.#keys.messages];
    const found = (await this.#scripts.runBuffer('readQueue', keys, [afterSequence, limit, maxBytes])) as Buffer[];
    const records: QueueRecord[] = [];
    for (let at = 0; at < found.length; at += 3) {
      const [member, state, message] = found.slice(at, at + 3) as [Buffer, Buffer, Buffer];
      records.push(decoded('message', () => this.#record(queueId, member, state, message)));
    }
    return records;
  }

  #record(queueId: number, member: Buffer, state: Buffer, shared: Buffer): QueueRecord {
    const entry = member.subarray(SEQUENCE_BYTES);
    this.#reader.reset(entry, entry.length);
    const record = this.#reader.entry(queueId, member.readDoubleLE(0), () => this.#shared(shared));
    if (state.length > 0) {
      record.packetId = state.readUInt16LE(0);
      record.state = STATES[state[2] as number] ?? 'waiting';
    }
    return record;
  }

  #shared(bytes: Buffer): Message {
    if (bytes.length === 0) throw new StoreError('A message that a queue refers to is missing in Redis.');
    this.#messageReader.reset(bytes, bytes.length);
    return this.#messageReader.message();
  }
}
