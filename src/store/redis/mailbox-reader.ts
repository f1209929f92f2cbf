import type { Message } from '../../protocol/message.ts';
import { RecordReader } from '../record-reader.ts';
import type { Mailbox, MailboxMessage } from '../shared-store.ts';
import { StoreError } from '../store.ts';
import type { TimeOffset } from '../time-offset.ts';
import { decoded } from './decoded.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Scripts } from './script-runner.ts';

/** Bytes of the number in front of a posted message. */
const NUMBER_BYTES = 8;
/** Mailboxes looked at in one call of a script. */
const MAILBOXES_AT_ONCE = 500;

/** Reads what was posted for queues. */
export class MailboxReader {
  readonly #scripts: Scripts;
  readonly #keys: RedisKeys;
  readonly #reader: RecordReader;
  readonly #messageReader: RecordReader;

  /** @param times by which clock messages expire in Redis. */
  constructor(scripts: Scripts, keys: RedisKeys, times: TimeOffset) {
    this.#scripts = scripts;
    this.#keys = keys;
    this.#reader = new RecordReader(times);
    this.#messageReader = new RecordReader(times);
  }

  /** The mailboxes of those of the queues for which anything was ever posted. @throws the error of the connection. */
  async read(queueIds: readonly number[]): Promise<Mailbox[]> {
    const mailboxes: Mailbox[] = [];
    for (let at = 0; at < queueIds.length; at += MAILBOXES_AT_ONCE) {
      const some = queueIds.slice(at, at + MAILBOXES_AT_ONCE);
      const keys = some.flatMap((id) => [this.#keys.flight(id), this.#keys.mailbox(id)]);
      const found = (await this.#scripts.runBuffer('mailboxes', [this.#keys.messages, ...keys], [])) as (
        | number
        | Buffer[]
      )[];
      for (const [index, queueId] of some.entries()) {
        const lastNumber = found[2 * index] as number;
        if (lastNumber > 0)
          mailboxes.push({
            queueId,
            lastNumber,
            messages: decoded('mailbox', () => this.#messages(queueId, found[2 * index + 1] as Buffer[])),
          });
      }
    }
    return mailboxes;
  }

  /**
   * Reads the messages of a notice.
   * @param bodies shared messages, each its id, its length and itself.
   * @param entries each the queue id, the length, and what the mailbox holds.
   */
  readNotice(bodies: Buffer, entries: Buffer): MailboxMessage[] {
    const shared = new Map<number, Message>();
    for (let at = 0; at < bodies.length; ) {
      const length = bodies.readUInt32LE(at + 8);
      const start = at + 12;
      shared.set(bodies.readDoubleLE(at), this.#message(bodies.subarray(start, start + length)));
      at = start + length;
    }
    const messages: MailboxMessage[] = [];
    for (let at = 0; at < entries.length; ) {
      const length = entries.readUInt32LE(at + 8);
      const start = at + 12;
      const member = entries.subarray(start, start + length);
      messages.push(this.#entry(entries.readDoubleLE(at), member, (id) => existing(shared.get(id))));
      at = start + length;
    }
    return messages;
  }

  #messages(queueId: number, list: readonly Buffer[]): MailboxMessage[] {
    const messages: MailboxMessage[] = [];
    for (let at = 0; at < list.length; at += 2) {
      const body = list[at + 1] as Buffer;
      messages.push(
        this.#entry(queueId, list[at] as Buffer, () => existing(body.length === 0 ? undefined : this.#message(body))),
      );
    }
    return messages;
  }

  #entry(queueId: number, member: Buffer, shared: (id: number) => Message): MailboxMessage {
    const entry = member.subarray(NUMBER_BYTES);
    this.#reader.reset(entry, entry.length);
    const { message, qos, retain, subscriptionIdentifiers, shareKey } = this.#reader.entry(queueId, 0, shared);
    const number = member.readDoubleLE(0);
    return { queueId, number, message, qos, retain, subscriptionIdentifiers, shareKey };
  }

  #message(bytes: Buffer): Message {
    this.#messageReader.reset(bytes, bytes.length);
    return this.#messageReader.message();
  }
}

function existing(message: Message | undefined): Message {
  if (message === undefined) throw new StoreError('A message that a mailbox refers to is missing in Redis.');
  return message;
}
