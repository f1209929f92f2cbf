import type { Socket } from 'node:net';
import { errorText } from '../../lib/error-text.ts';
import type { Logger } from '../../lib/logger.ts';
import { RecordReader } from '../record-reader.ts';
import type { NodeEvents, Topology } from '../shared-store.ts';
import { StoreError } from '../store.ts';
import type { TimeOffset } from '../time-offset.ts';
import type { ClientClaims } from './client-claims.ts';
import { type InboxFrame, readFrame } from './inbox-frame.ts';
import type { MailboxReader } from './mailbox-reader.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { Replication } from './replication.ts';
import type { StreamEntry, TopologyReader } from './topology-reader.ts';

/** Before the first entry of a stream. */
const NONE = '0-0';
/** Entries of each stream read at a time. */
const ENTRIES_AT_ONCE = 50;
/** Longest time Redis is let wait for something to come, ms. */
const BLOCK_MS = 5_000;

/** What an inbox is read with. */
export interface InboxParts {
  /** For reading alone: it waits at Redis for what comes. */
  readonly connection: RedisConnection;
  /** Of the same connection. */
  readonly replication: Replication;
  /** Shorter than what makes the connection take Redis for silent, ms. */
  readonly timeoutMs: number;
  readonly keys: RedisKeys;
  /** By which clock messages expire in Redis. */
  readonly times: TimeOffset;
  readonly nodeId: string;
  readonly topology: Topology;
  readonly topologyReader: TopologyReader;
  readonly mailboxes: MailboxReader;
  readonly claims: ClientClaims;
  readonly events: Pick<NodeEvents, 'onPosted' | 'onForwarded' | 'onRetained' | 'onWanted'>;
  readonly logger: Logger;
  /** The topology has changed. */
  readonly onTopology: () => void;
  /** A client id was handed over that nobody waits for. */
  readonly onUnasked: (clientId: string) => void;
  /** Removes what was read, up to this id. */
  readonly onRead: (lastId: string) => void;
  /** What was read last is not there any more, which only this node may remove. */
  readonly onGone: () => Promise<void>;
  /** It cannot go on. */
  readonly onBroken: (error: unknown) => void;
}

/** Reads what other nodes put into this node's inbox, and the changes of the topology, as they come. */
export class InboxReader {
  readonly #parts: InboxParts;
  readonly #reader: RecordReader;
  /** Id of the last entry of the inbox that was read. */
  #lastId = NONE;
  /** By which connection it was read last. */
  #line: Socket | undefined = undefined;
  #waiting: { id: string; version: number; resolve: () => void }[] = [];
  #isClosed = false;
  #running: Promise<void> | undefined = undefined;

  constructor(parts: InboxParts) {
    this.#parts = parts;
    this.#reader = new RecordReader(parts.times);
  }

  /** Begins to read. @throws StoreError when there is no connection. */
  async start(): Promise<void> {
    await this.#parts.connection.open();
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#isClosed) this.#parts.onBroken(error);
    });
  }

  /** Resolves once the inbox was read up to this id, and the topology is known up to this version. */
  reached(id: string, version: number): Promise<void> {
    if (this.#hasReached(id, version)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ id, version, resolve }));
  }

  /** Stops; nothing is told any more when it resolves. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#parts.replication.close();
    await this.#parts.connection.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { connection, logger } = this.#parts;
    while (!this.#isClosed) {
      let streams: readonly (readonly [key: Buffer, entries: readonly StreamEntry[]])[];
      try {
        streams = await this.#read();
      } catch (error) {
        if (this.#isClosed) return;
        logger.debug('the inbox in Redis could not be read', { error: errorText(error) });
        await connection.beforeAgain();
        continue;
      }
      await this.#take(streams);
    }
  }

  async #read(): Promise<readonly (readonly [key: Buffer, entries: readonly StreamEntry[]])[]> {
    const { connection, replication, keys, nodeId, topology, timeoutMs } = this.#parts;
    const { line } = replication;
    if (line !== this.#line) await this.#checkLast();
    this.#line = line;
    const blockMs = Math.min(BLOCK_MS, Math.floor(timeoutMs / 3));
    const names = [keys.changes, keys.inbox(nodeId)];
    const ids = [`${topology.version}-0`, this.#lastId];
    const streams = await connection.redis.xreadBuffer(
      'COUNT',
      ENTRIES_AT_ONCE,
      'BLOCK',
      blockMs,
      'STREAMS',
      ...names,
      ...ids,
    );
    // Its type knows nothing of the time-out, which brings null.
    if (streams === null) return [];
    await replication.seen(line);
    return streams;
  }

  /**
   * Looks whether what was read last is still there, after Redis was away. Where it is not, Redis has lost what other nodes
   * had posted, and what they post from then on looks as if it had been read: so this node cannot go on.
   */
  async #checkLast(): Promise<void> {
    const { connection, keys, nodeId, onGone } = this.#parts;
    const id = this.#lastId;
    if (id === NONE || (await connection.redis.xrange(keys.inbox(nodeId), id, id)).length > 0) return;
    await onGone();
  }

  async #take(streams: readonly (readonly [key: Buffer, entries: readonly StreamEntry[]])[]): Promise<void> {
    const { keys, topologyReader, onTopology, onRead } = this.#parts;
    for (const [key, entries] of streams) {
      if (key.toString() === keys.changes) {
        if (!topologyReader.take(entries)) await this.#loadTopology();
        onTopology();
        continue;
      }
      for (const entry of entries) this.#takeEntry(entry);
      const last = entries.at(-1);
      if (last === undefined) continue;
      this.#lastId = last[0].toString('latin1');
      onRead(this.#lastId);
    }
    if (this.#waiting.length > 0) this.#tellWaiting();
  }

  async #loadTopology(): Promise<void> {
    for (;;) {
      try {
        await this.#parts.topologyReader.load();
        return;
      } catch (error) {
        if (this.#isClosed || error instanceof StoreError) throw error;
        await this.#parts.connection.beforeAgain();
      }
    }
  }

  #takeEntry([, fields]: StreamEntry): void {
    const { events, mailboxes } = this.#parts;
    const [name, value] = fields as readonly [Buffer, Buffer];
    if (name.toString('latin1') === 'f') this.#takeFrame(readFrame(value, this.#reader));
    else events.onPosted(mailboxes.readNotice(value, fields[3] as Buffer));
  }

  #takeFrame(frame: InboxFrame): void {
    const { events, claims } = this.#parts;
    switch (frame.kind) {
      case 'forward':
        events.onForwarded(frame.messages);
        return;
      case 'retained':
        for (const { topicName, message } of frame.changes) events.onRetained(topicName, message);
        return;
      case 'wanted':
        events.onWanted(frame.wanted);
        return;
      case 'handed-over':
      case 'refused':
        if (!claims.hear(frame.clientId, frame.kind) && frame.kind === 'handed-over')
          this.#parts.onUnasked(frame.clientId);
    }
  }

  #tellWaiting(): void {
    const still = this.#waiting.filter(({ id, version }) => !this.#hasReached(id, version));
    const done = this.#waiting.filter((each) => !still.includes(each));
    this.#waiting = still;
    for (const { resolve } of done) resolve();
  }

  #hasReached(id: string, version: number): boolean {
    return this.#parts.topology.version >= version && !isBefore(this.#lastId, id);
  }
}

/** Whether an id of a stream comes before another: milliseconds, then a number. */
function isBefore(one: string, other: string): boolean {
  const [ms, number] = partsOf(one);
  const [otherMs, otherNumber] = partsOf(other);
  return ms < otherMs || (ms === otherMs && number < otherNumber);
}

function partsOf(id: string): readonly [number, number] {
  const [ms, number] = id.split('-');
  return [Number(ms), Number(number)];
}
