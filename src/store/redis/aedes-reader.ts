import AsyncRedisPersistence from 'aedes-persistence-redis/asyncPersistence.js';
import type { Redis } from 'ioredis';
import type { Message } from '../../protocol/message.ts';
import { propertiesOf } from '../../protocol/publish.ts';
import { isQos } from '../../protocol/qos.ts';
import { parseTopicFilter } from '../../protocol/topic.ts';
import type { SubscriptionRecord, WillRecord } from '../store.ts';
import { membersOf, messageOfPacket } from './aedes-packet.ts';
import { AedesQueue, type QueueLimits, type QueuedEntry } from './aedes-queue.ts';
import type { LeftOut } from './left-out.ts';
import { RetainedLayout } from './retained-layout.ts';
import { errorText } from '../../lib/error-text.ts';

/** Keys and members asked for at once. */
const SCAN_COUNT = 1000;
/** Queued packets read at once: each may be large. */
const PAGE = 200;
/** Packets remembered, bytes in Redis. */
const CACHE_BYTES = 32 * 1024 * 1024;
const PACKET_ID_MAX = 65_535;
/** Prefix of the broker's own topics, which are never stored. */
const BROKER_TOPICS = '$SYS/';

/** What Aedes keeps of one client. */
export interface AedesSession {
  clientId: string;
  subscriptions: SubscriptionRecord[];
  queue: readonly QueuedEntry[];
  /** Packet ids of QoS 2 messages it has sent and not released. */
  inbound: readonly number[];
  /** Whether Aedes counts it as one that comes back; false where only `inbound` is left of it. */
  isPersistent: boolean;
}

/**
 * Reads what aedes-persistence-redis, versions 9 to 12, keeps of clients. It sends commands that read and no others.
 * Client ids in keys are percent-encoded:
 *
 *     clients                            set of client ids
 *     client:<id>                        hash: topic filter -> subscription (left from version 8: a digit)
 *     outgoing:<id>                      list of the keys of queued packets, in order
 *     packet:<broker>:<counter>          a packet, for all who have it in their list
 *     outgoing:<id>:<broker>:<counter>   what has become of it for one client: released
 *     incoming:<id>:<packet id>          a QoS 2 packet received (from 12 on a hash `incoming:<id>` by packet id)
 *     will, will:<broker>:<id>           list of the keys of wills, and each of them
 */
export class AedesReader {
  readonly #redis: Redis;
  readonly #leftOut: LeftOut;
  readonly #limits: QueueLimits;
  #bytes: Buffer = Buffer.alloc(0);
  readonly #packets = new Map<string, object>();
  /** Bytes that those have in Redis. */
  #packetBytes = 0;
  readonly #messages = new WeakMap<object, Message>();
  /** Decodes what it is made to believe it has read. */
  readonly #library: AsyncRedisPersistence;

  constructor(redis: Redis, limits: QueueLimits, leftOut: LeftOut) {
    this.#redis = redis;
    this.#limits = limits;
    this.#leftOut = leftOut;
    this.#library = new AsyncRedisPersistence({ conn: { getBuffer: () => this.#bytes } });
  }

  /** Client ids of the sessions; one may come twice. */
  async *clientIds(): AsyncGenerator<string> {
    const pages: AsyncIterable<string[]> = this.#redis.sscanStream('clients', { count: SCAN_COUNT });
    for await (const clientIds of pages) yield* clientIds;
  }

  /** Everything kept of clients, each once. Looks through the whole keyspace once, for packet ids received. */
  async *sessions(): AsyncGenerator<AedesSession> {
    const inbound = await this.#inbound();
    const seen = new Set<string>();
    for await (const clientId of this.clientIds()) {
      if (seen.has(clientId)) continue;
      seen.add(clientId);
      const session = await this.#session(clientId, inbound.get(clientId) ?? []);
      inbound.delete(clientId);
      if (session !== undefined) yield session;
    }
    for (const [clientId, packetIds] of inbound) {
      if (this.#isUsable(clientId))
        yield { clientId, subscriptions: [], queue: [], inbound: packetIds, isPersistent: false };
    }
  }

  /** Wills of connections that were open when Aedes ended. Their user names are not known. */
  async *wills(): AsyncGenerator<WillRecord> {
    for (const key of new Set(await this.#redis.lrange('will', 0, -1))) {
      const bytes = await this.#redis.getBuffer(key);
      if (bytes === null) continue;
      const will = await this.#read(bytes, 'wills', key, (value) => {
        const { clientId } = membersOf(value, 'not a will');
        if (typeof clientId !== 'string' || clientId === '') throw new RangeError('it has no client id');
        return { clientId, message: messageOfPacket(value, 0) };
      });
      if (will === undefined || !this.#isUsable(will.clientId)) continue;
      const { topicName, payload, qos, retain } = will.message;
      if (topicName.startsWith(BROKER_TOPICS)) this.#leftOut.note("wills: the topic is the broker's own", topicName);
      else {
        const properties = propertiesOf(will.message);
        const record = { topicName, payload, qos, retain, properties };
        yield { clientId: will.clientId, username: '', will: record, publishAt: Number.POSITIVE_INFINITY };
      }
    }
  }

  /** Retained messages, as a deployment without Redis Cluster keeps them. One may come twice. */
  async *retained(): AsyncGenerator<Message> {
    const onDamaged = (topicName: string, reason: string): void =>
      this.#leftOut.note(`retained messages: ${reason}`, topicName);
    for await (const message of new RetainedLayout(false).readRetained(this.#redis, onDamaged)) {
      if (!message.topicName.startsWith(BROKER_TOPICS)) yield message;
      else this.#leftOut.note("retained messages: the topic is the broker's own", message.topicName);
    }
  }

  readonly #messageOf = (packet: unknown): Message => {
    const members = membersOf(packet, 'not a packet');
    const message = this.#messages.get(members) ?? messageOfPacket(members, 0);
    this.#messages.set(members, message);
    return message;
  };

  async #session(clientId: string, inbound: readonly number[]): Promise<AedesSession | undefined> {
    if (!this.#isUsable(clientId)) return undefined;
    const subscriptions = await this.#subscriptions(clientId);
    const queue = await this.#queue(clientId, subscriptions);
    if (subscriptions.length > 0 || queue.length > 0 || inbound.length > 0)
      return { clientId, subscriptions, queue, inbound, isPersistent: true };
    this.#leftOut.note('sessions: nothing is kept of them but the client id', clientId);
    return undefined;
  }

  #isUsable(clientId: string): boolean {
    const isUsable = clientId !== '' && !clientId.includes('\0') && !clientId.startsWith('$local/');
    if (!isUsable) this.#leftOut.note('sessions: the client id is none a client can have here', clientId);
    return isUsable;
  }

  async #subscriptions(clientId: string): Promise<SubscriptionRecord[]> {
    const key = `client:${encodeURIComponent(clientId)}`;
    // Not HGETALL of ioredis: its object loses a filter that is called like a member of all objects.
    const flat = (await this.#redis.callBuffer('HGETALL', key)) as Buffer[];
    const records: SubscriptionRecord[] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const topicFilter = (flat[i] as Buffer).toString();
      const value = flat[i + 1] as Buffer;
      const example = `${clientId}: ${topicFilter}`;
      const record =
        value.length === 1
          ? this.#try('subscriptions', example, () => subscriptionOf(topicFilter, { qos: Number(value.toString()) }))
          : await this.#read(value, 'subscriptions', example, (members) => subscriptionOf(topicFilter, members));
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  async #queue(clientId: string, subscriptions: readonly SubscriptionRecord[]): Promise<readonly QueuedEntry[]> {
    const list = `outgoing:${encodeURIComponent(clientId)}`;
    const queue = new AedesQueue({ clientId, subscriptions }, this.#limits, this.#leftOut, this.#messageOf);
    for (let from = 0; ; from += PAGE) {
      const keys = await this.#redis.lrange(list, from, from + PAGE - 1);
      if (keys.length === 0) return queue.finish();
      const own = `${list}:`;
      // What is released says so, and its message is still where all of them are.
      const packets = keys.map((key) => (key.startsWith(own) ? `packet:${key.slice(own.length)}` : key));
      const values = await this.#redis.mgetBuffer([...packets, ...keys.filter((key) => key.startsWith(own))]);
      let ownAt = keys.length;
      for (const [i, key] of keys.entries()) {
        const packet = await this.#packet(packets[i] as string, values[i]);
        if (key.startsWith(own)) queue.addOwn(key, await this.#decoded(values[ownAt++], key), packet);
        else if (packet !== undefined || values[i] === null) queue.add(key, packet);
      }
    }
  }

  /** A packet that several have in their lists stays one. */
  async #packet(key: string, bytes: Buffer | null | undefined): Promise<object | undefined> {
    const known = this.#packets.get(key);
    if (known !== undefined) return known;
    const packet = await this.#decoded(bytes, key);
    if (packet === undefined) return undefined;
    this.#packetBytes += bytes?.length ?? 0;
    if (this.#packetBytes > CACHE_BYTES) {
      this.#packets.clear();
      this.#packetBytes = bytes?.length ?? 0;
    }
    this.#packets.set(key, packet);
    return packet;
  }

  async #decoded(bytes: Buffer | null | undefined, key: string): Promise<object | undefined> {
    if (bytes === null || bytes === undefined) return undefined;
    return this.#read(bytes, 'queued messages', key, (value) => membersOf(value, 'not a packet'));
  }

  async #inbound(): Promise<Map<string, number[]>> {
    const found = new Map<string, number[]>();
    const pages: AsyncIterable<string[]> = this.#redis.scanStream({ match: 'incoming:*', count: SCAN_COUNT });
    for await (const keys of pages) {
      for (const key of new Set(keys)) {
        const [, encoded = '', text] = key.split(':');
        const clientId = this.#try('QoS 2 packet ids', key, () => decodeURIComponent(encoded));
        if (clientId === undefined) continue;
        const ids = found.get(clientId) ?? [];
        const texts = text === undefined ? await this.#redis.hkeys(key) : [text];
        for (const id of texts.map(Number)) {
          if (!Number.isInteger(id) || id < 1 || id > PACKET_ID_MAX)
            this.#leftOut.note('QoS 2 packet ids: not from 1 to 65,535', key);
          else if (!ids.includes(id)) ids.push(id);
        }
        if (ids.length > 0) found.set(clientId, ids);
      }
    }
    return found;
  }

  /** Decodes a MessagePack value and makes something of it; what cannot be is left out. */
  async #read<T>(bytes: Buffer, what: string, example: string, make: (value: unknown) => T): Promise<T | undefined> {
    let value: unknown;
    try {
      this.#bytes = bytes;
      value = await this.#library.incomingGetPacket({ id: '' }, { messageId: 0 });
    } catch {
      this.#leftOut.note(`${what}: not MessagePack`, example);
      return undefined;
    }
    return this.#try(what, example, () => make(value));
  }

  #try<T>(what: string, example: string, make: () => T): T | undefined {
    try {
      return make();
    } catch (error) {
      this.#leftOut.note(`${what}: ${errorText(error)}`, example);
      return undefined;
    }
  }
}

/** @throws RangeError for a subscription that cannot be one here. */
function subscriptionOf(topicFilter: string, value: unknown): SubscriptionRecord {
  const { qos, nl, rap, rh } = membersOf(value, 'not a subscription');
  const parsed = parseTopicFilter(topicFilter);
  if (parsed === undefined) throw new RangeError('not a topic filter');
  // Aedes takes it for the name of a topic, and so it has got nothing.
  if (parsed.shareName !== '') throw new RangeError('Aedes has no shared subscriptions');
  if (typeof qos !== 'number' || !isQos(qos)) throw new RangeError('the QoS is not 0, 1 or 2');
  return {
    topicFilter,
    qos,
    noLocal: nl === true,
    retainAsPublished: rap === true,
    retainHandling: rh === 1 || rh === 2 ? rh : 0,
    subscriptionIdentifier: 0,
  };
}
