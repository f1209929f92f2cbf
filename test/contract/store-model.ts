import type { Message } from '../../src/protocol/message.ts';
import { forOneNode, type Mutation, type QueueRecord, type StoredState } from '../../src/store/store.ts';

/** A message as plain text, to be compared. */
function describeMessage(message: Message): string {
  return JSON.stringify([
    message.topicName,
    Buffer.from(message.payload).toString('hex'),
    message.qos,
    message.retain,
    message.publisherId,
    Buffer.from(message.properties).toString('hex'),
    String(message.expiresAt),
    message.size,
  ]);
}

/** A queue entry as plain values, to be compared. */
export function describeEntry(record: QueueRecord): object {
  const { message, subscriptionIdentifiers, ...others } = record;
  return {
    ...others,
    subscriptionIdentifiers: [...subscriptionIdentifiers],
    message: describeMessage(message),
  };
}

interface ModelRow {
  table: string;
  owner: string;
  id: string;
  value: unknown;
}

/** What a store must hold, as one list of rows that is searched from end to end: too slow to be wrong. */
export class StoreModel {
  #rows: ModelRow[] = [];
  #entries: QueueRecord[] = [];

  apply(change: Mutation): void {
    const mutation = forOneNode(change);
    switch (mutation.kind) {
      case 'session-put':
        return this.#put('session', mutation.record.clientId, '', { ...mutation.record });
      case 'session-delete':
        for (const table of ['session', 'subscription', 'inbound']) this.#deleteOwner(table, mutation.clientId);
        return this.#deleteQueue(mutation.queueId);
      case 'subscription-put':
        return this.#put('subscription', mutation.clientId, mutation.record.topicFilter, {
          clientId: mutation.clientId,
          record: { ...mutation.record },
        });
      case 'subscription-delete':
        return this.#delete('subscription', mutation.clientId, mutation.topicFilter);
      case 'group-put':
        return this.#put('group', mutation.record.shareKey, '', { ...mutation.record });
      case 'group-delete':
        this.#deleteOwner('group', mutation.shareKey);
        return this.#deleteQueue(mutation.queueId);
      case 'queue-put':
        this.#deleteEntry(mutation.record.queueId, mutation.record.sequence);
        this.#entries.push({ ...mutation.record });
        return;
      case 'queue-state':
        for (const entry of this.#entries) {
          if (entry.queueId !== mutation.queueId || entry.sequence !== mutation.sequence) continue;
          entry.packetId = mutation.packetId;
          entry.state = mutation.state;
        }
        return;
      case 'queue-delete':
        return this.#deleteEntry(mutation.queueId, mutation.sequence);
      case 'inbound-put': {
        const { clientId, packetId } = mutation;
        return this.#put('inbound', clientId, String(packetId), { clientId, packetId });
      }
      case 'inbound-delete':
        return this.#delete('inbound', mutation.clientId, String(mutation.packetId));
      case 'will-put':
        return this.#put('will', mutation.record.clientId, '', { ...mutation.record });
      case 'will-delete':
        return this.#delete('will', mutation.clientId, '');
      case 'retained-put':
        return this.#put('retained', mutation.message.topicName, '', describeMessage(mutation.message));
      case 'retained-delete':
        return this.#delete('retained', mutation.topicName, '');
    }
  }

  /** All entries of a queue in order. */
  queue(queueId: number): QueueRecord[] {
    return this.#entries.filter((entry) => entry.queueId === queueId).sort((a, b) => a.sequence - b.sequence);
  }

  /** The same shape as `describeState` of what a store returns. */
  describe(): Record<string, string[]> {
    const table = (name: string): string[] =>
      sorted(this.#rows.filter((row) => row.table === name).map((row) => row.value));
    const queueIds = [...new Set(this.#entries.map((entry) => entry.queueId))];
    return {
      sessions: table('session'),
      subscriptions: table('subscription'),
      groups: table('group'),
      inbound: table('inbound'),
      wills: table('will'),
      retained: table('retained'),
      queues: sorted(
        queueIds.map((queueId) => {
          const entries = this.queue(queueId);
          return {
            queueId,
            count: entries.length,
            bytes: entries.reduce((sum, entry) => sum + entry.message.size, 0),
            firstSequence: entries[0]?.sequence,
            lastSequence: entries.at(-1)?.sequence,
          };
        }),
      ),
    };
  }

  #put(table: string, owner: string, id: string, value: unknown): void {
    this.#delete(table, owner, id);
    this.#rows.push({ table, owner, id, value });
  }

  #delete(table: string, owner: string, id: string): void {
    this.#rows = this.#rows.filter((row) => row.table !== table || row.owner !== owner || row.id !== id);
  }

  #deleteOwner(table: string, owner: string): void {
    this.#rows = this.#rows.filter((row) => row.table !== table || row.owner !== owner);
  }

  #deleteEntry(queueId: number, sequence: number): void {
    this.#entries = this.#entries.filter((entry) => entry.queueId !== queueId || entry.sequence !== sequence);
  }

  #deleteQueue(queueId: number): void {
    this.#entries = this.#entries.filter((entry) => entry.queueId !== queueId);
  }
}

/** What `open` returned, in an order of its own and as text, to be compared. */
export function describeState(state: StoredState): Record<string, string[]> {
  return {
    sessions: sorted(state.sessions),
    subscriptions: sorted(state.subscriptions),
    groups: sorted(state.groups),
    inbound: sorted(state.inbound),
    wills: sorted(state.wills),
    retained: sorted(state.retained.map(describeMessage)),
    queues: sorted(state.queues),
  };
}

function sorted(values: readonly unknown[]): string[] {
  return values.map((value) => stableText(value)).sort();
}

function stableText(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (member === Number.POSITIVE_INFINITY) return 'Infinity';
    if (member instanceof Uint8Array) return Buffer.from(member).toString('hex');
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
    if ((member as { type?: unknown }).type === 'Buffer')
      return Buffer.from((member as { data: number[] }).data).toString('hex');
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
