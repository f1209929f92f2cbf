import AsyncRedisPersistence from 'aedes-persistence-redis/asyncPersistence.js';
import type { Cluster, Redis } from 'ioredis';
import type { Message } from '../../protocol/message.ts';
import type { Mutation } from '../store.ts';
import { LOCAL_TIMES, type TimeOffset } from '../time-offset.ts';
import { messageOfPacket, packetOf } from './aedes-packet.ts';
import { errorText } from '../../lib/error-text.ts';

/** A command for Redis: HSET or HDEL of the one hash, in a Redis Cluster SET or DEL of the topic's own key. */
export type RetainedCommand =
  | { kind: 'hset'; key: string; field: string; value: Buffer }
  | { kind: 'hdel'; key: string; field: string }
  | { kind: 'set'; key: string; value: Buffer }
  | { kind: 'del'; key: string }
  /** As `del`, if the message there has expired. */
  | { kind: 'del-expired'; key: string };

/** The mutations of retained messages. */
export type RetainedMutation = Extract<Mutation, { kind: 'retained-put' | 'retained-delete' }>;

/** Told of a value that is no retained message and was passed over. */
export type OnDamaged = (topicName: string, reason: string) => void;

/** Values asked for at once. */
const SCAN_COUNT = 1000;
/** What the keys begin with in a Cluster. */
const KEY_PREFIX = 'retained:';

/**
 * Retained messages as aedes-persistence-redis keeps them, so that a deployment of Aedes finds them and can go back.
 *
 *     alone       hash `retained`: topic name -> packet (MessagePack)
 *     in Cluster  string `retained:<topic name, percent-encoded>`: packet
 *
 * The library itself makes and reads them. It is given connections of ours: one that notes its commands instead of
 * sending them, and one that hands it what was read.
 */
export class RetainedLayout {
  readonly #isCluster: boolean;
  readonly #times: TimeOffset;
  readonly #library: AsyncRedisPersistence;
  #command: RetainedCommand | undefined = undefined;

  /**
   * @param isCluster whether the server is a Redis Cluster.
   * @param times by which clock expiries are kept.
   */
  constructor(isCluster: boolean, times: TimeOffset = LOCAL_TIMES) {
    this.#isCluster = isCluster;
    this.#times = times;
    const note = (command: RetainedCommand): void => {
      this.#command = command;
    };
    const conn = {
      hset: (key: string, field: string, value: Buffer) => note({ kind: 'hset', key, field, value }),
      hdel: (key: string, field: string) => note({ kind: 'hdel', key, field }),
      set: (key: string, value: Buffer) => note({ kind: 'set', key, value }),
      del: (key: string) => note({ kind: 'del', key }),
    };
    this.#library = new AsyncRedisPersistence({ conn, cluster: isCluster });
  }

  /**
   * The command that does what the mutation says. Its value is a copy.
   * @throws Error when the library makes none, which would be a version of it that is not known here.
   */
  commandFor(mutation: RetainedMutation): RetainedCommand {
    this.#command = undefined;
    const packet =
      mutation.kind === 'retained-put'
        ? packetOf(mutation.message, this.#times.offsetMs)
        : { topic: mutation.topicName, payload: Buffer.alloc(0) };
    // It gives its command before the first time it waits; what goes wrong before that shows in there being none.
    this.#library.storeRetained(packet).catch(() => undefined);
    const command = this.#command as RetainedCommand | undefined;
    if (command === undefined) throw new Error('aedes-persistence-redis made no command for a retained message');
    return command;
  }

  /**
   * Reads all retained messages, in no order; one may come twice when others are removed meanwhile. Cost: the whole
   * hash, or in a Cluster the whole keyspace, in pages of about a thousand.
   *
   * @param redis a Cluster exactly where the layout is that of one.
   * @throws the error of the connection.
   */
  async *readRetained(redis: Redis | Cluster, onDamaged: OnDamaged): AsyncGenerator<Message> {
    const entries = 'nodes' in redis ? clusterEntries(redis) : hashEntries(redis);
    const feed = new Feed(entries, onDamaged);
    const library = new AsyncRedisPersistence({ conn: feed, cluster: this.#isCluster });
    try {
      while (!feed.isAtEnd) {
        try {
          for await (const packet of library.createRetainedStreamCombi(['#'])) {
            const message = this.#messageFrom(packet, feed.take(), onDamaged);
            if (message !== undefined) yield message;
          }
        } catch (error) {
          // The value it was given made it fail: it goes on with the next.
          if (feed.isAtEnd) throw error;
          onDamaged(feed.take(), errorText(error));
        }
      }
    } finally {
      await entries.return(undefined);
    }
  }

  #messageFrom(packet: unknown, topicName: string, onDamaged: OnDamaged): Message | undefined {
    try {
      const message = messageOfPacket(packet, this.#times.offsetMs);
      if (message.topicName === topicName) return message;
      onDamaged(topicName, 'its topic is another one');
    } catch (error) {
      onDamaged(topicName, errorText(error));
    }
    return undefined;
  }
}

/** One retained message as it lies in Redis. */
interface Entry {
  /** As the key tells it. */
  readonly topicName: string;
  readonly key: Buffer;
  readonly value: Buffer;
}

async function* hashEntries(redis: Redis): AsyncGenerator<Entry> {
  const pages: AsyncIterable<Buffer[]> = redis.hscanBufferStream('retained', { count: SCAN_COUNT });
  for await (const page of pages) {
    for (let i = 0; i + 1 < page.length; i += 2) {
      const key = page[i] as Buffer;
      yield { topicName: key.toString(), key, value: page[i + 1] as Buffer };
    }
  }
}

async function* clusterEntries(cluster: Cluster): AsyncGenerator<Entry> {
  for (const node of cluster.nodes('master')) {
    const pages: AsyncIterable<Buffer[]> = node.scanBufferStream({ match: `${KEY_PREFIX}*`, count: SCAN_COUNT });
    for await (const page of pages) {
      const values = await Promise.all(page.map((key) => cluster.getBuffer(key)));
      for (const [i, key] of page.entries()) {
        const value = values[i];
        if (value instanceof Uint8Array) yield { topicName: decodedTopic(key), key, value };
      }
    }
  }
}

/** The topic name of a key, or the key itself where it is no name that was encoded. */
function decodedTopic(key: Buffer): string {
  const name = key.toString();
  try {
    return decodeURIComponent(name.slice(KEY_PREFIX.length));
  } catch {
    return name;
  }
}

/**
 * The connection the library reads from. It hands out entries one by one, so that the library fails at one of them and
 * not at a page; whoever asks again after that gets the next.
 */
class Feed {
  readonly #entries: AsyncGenerator<Entry>;
  readonly #onDamaged: OnDamaged;
  /** Handed out, and nothing has come of it yet. */
  #current: Entry | undefined = undefined;
  /** Whether all were handed out, or the connection broke. */
  isAtEnd = false;

  constructor(entries: AsyncGenerator<Entry>, onDamaged: OnDamaged) {
    this.#entries = entries;
    this.#onDamaged = onDamaged;
  }

  /** Takes the entry handed out last as dealt with. @returns its topic name. */
  take(): string {
    const topicName = this.#current?.topicName ?? '';
    this.#current = undefined;
    return topicName;
  }

  /** What the library calls outside a Cluster: keys and values in turn. */
  hscanBufferStream(): AsyncIterable<readonly Buffer[]> {
    return this.#each(({ key, value }) => [key, value]);
  }

  /** What it calls in a Cluster, whose nodes were gone through already. */
  nodes(): { scanBufferStream: () => AsyncIterable<Buffer> }[] {
    return [{ scanBufferStream: () => this.#each(({ key }) => key) }];
  }

  /** The value to the key handed out last; null where the library asks for another one. */
  getBuffer(key: string): Buffer | null {
    const entry = this.#current;
    return entry !== undefined && entry.key.toString() === key ? entry.value : null;
  }

  /** Without `return`: the library leaves it when it fails, and comes back. */
  #each<T>(shape: (entry: Entry) => T): AsyncIterable<T> {
    const next = async (): Promise<IteratorResult<T, undefined>> => {
      const entry = await this.#next();
      return entry === undefined ? { done: true, value: undefined } : { done: false, value: shape(entry) };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  async #next(): Promise<Entry | undefined> {
    if (this.#current !== undefined) this.#onDamaged(this.take(), 'not a packet');
    try {
      const { done, value } = await this.#entries.next();
      if (done === true) this.isAtEnd = true;
      else this.#current = value;
    } catch (error) {
      this.isAtEnd = true;
      throw error;
    }
    return this.#current;
  }
}
