import { DeadlineHeap } from '../../src/lib/deadline-heap.ts';
import { Message } from '../../src/protocol/message.ts';
import type { Qos } from '../../src/protocol/packets.ts';
import { Books } from '../../src/session/books.ts';
import type { SessionContext } from '../../src/session/context.ts';
import { Dispatcher } from '../../src/session/dispatcher.ts';
import { InFlightBudget } from '../../src/session/in-flight-budget.ts';
import type { Neighbours } from '../../src/session/neighbours.ts';
import { SessionRegistry } from '../../src/session/registry.ts';
import { RetainedMessages } from '../../src/session/retained-messages.ts';
import type { Session } from '../../src/session/session.ts';
import type { SessionSettings } from '../../src/session/settings.ts';
import { WritePath } from '../../src/session/write-path.ts';
import { MemoryState } from '../../src/store/memory-state.ts';
import type { QueueRecord } from '../../src/store/store.ts';
import { Tick } from '../../src/tick.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { Random } from '../fakes/random.ts';
import { HeldStore } from './held-store.ts';

const SETTINGS: SessionSettings = {
  sessionExpiryIntervalMax: 0xffff_ffff,
  sessionsMax: 1000,
  queueMessagesMax: 1000,
  queueBytesMax: 1_000_000,
  queuePolicy: 'drop-oldest',
  queueQos0: false,
  queueWindowMessages: 100,
  queueWindowBytes: 100_000,
  queueMemoryBytes: 0,
  inFlightMessagesMax: 100,
  inFlightBytesMax: 0,
  subscriptionsPerSessionMax: 100,
  topicLevelsMax: 128,
  overlap: 'once',
  sharePolicy: 'round-robin',
  retainedMessagesMax: 1000,
  retainedBytesMax: 1_000_000,
};

/** What a message of a test is made of; topic `t`, QoS 1 and no expiry by default. */
export interface TestMessage {
  payload: string;
  topicName?: string;
  qos?: Qos;
  retain?: boolean;
  /** Milliseconds since the epoch. */
  expiresAt?: number;
  publisherId?: string;
}

/** Makes a message. */
export function messageOf(fields: TestMessage): Message {
  const { payload, topicName = 't', qos = 1, ...others } = fields;
  return new Message({ topicName, payload: Buffer.from(payload), qos, ...others });
}

/** A session that expires after an hour. */
export const DURABLE: number = 3600;

/** The session layer of a broker, wired as the broker does it, with a fake clock and a store that can be held. */
export class SessionBench {
  readonly clock: FakeClock;
  readonly store: HeldStore;
  readonly books: Books = new Books();
  readonly writePath: WritePath;
  readonly context: SessionContext;
  readonly registry: SessionRegistry;
  readonly retained: RetainedMessages;
  readonly dispatcher: Dispatcher;
  readonly settings: SessionSettings;
  /** Errors after which a broker would end. */
  readonly fatal: unknown[] = [];
  /** How often a message had to wait for `inFlightBytesMax`. */
  held = 0;
  /** Sessions that ended, with the reason. */
  readonly ended: string[] = [];
  readonly #deadlines: DeadlineHeap;

  constructor(
    settings: Partial<SessionSettings> = {},
    disk: MemoryState = new MemoryState(),
    clock: FakeClock = new FakeClock(),
    neighbours?: Neighbours,
  ) {
    this.settings = { ...SETTINGS, ...settings };
    this.clock = clock;
    const random = new Random(1);
    this.store = new HeldStore(disk);
    this.store.isShared = neighbours !== undefined;
    this.#deadlines = new DeadlineHeap(this.clock, (error) => this.fatal.push(error));
    const tick = new Tick(this.clock, 0);
    this.writePath = new WritePath(this.store, this.clock, 0, {
      onWork: () => tick.wake(),
      onFatal: (error) => this.fatal.push(error),
      onEntryLost: (entry) => this.registry.queueOwner(entry.queueId)?.forget(entry),
      onRouteLost: (message) => this.dispatcher.giveUp(message),
      onInboundLost: (clientId, packetId) => this.registry.get(clientId)?.inbound?.delete(packetId),
    });
    tick.writePath = this.writePath;
    this.context = {
      settings: this.settings,
      clock: this.clock,
      deadlines: this.#deadlines,
      store: this.store,
      writePath: this.writePath,
      books: this.books,
      waitingMemory: { bytes: 0 },
      inFlight: new InFlightBudget(this.settings.inFlightBytesMax, () => (this.held += 1)),
      onFatal: (error) => this.fatal.push(error),
      keep: (message) => tick.keep(message),
      noteInFlight: () => {},
      random: () => random.next() / 2 ** 32,
      neighbours,
    };
    this.registry = new SessionRegistry(this.context, {
      onSessionCreated: () => {},
      onSessionEnded: ({ clientId }, reason) => this.ended.push(`${clientId}: ${reason}`),
    });
    this.retained = new RetainedMessages(this.context);
    this.dispatcher = new Dispatcher(this.context, this.registry, this.retained);
  }

  /** Opens the store and takes over what it holds. */
  async start(): Promise<this> {
    const state = await this.store.open();
    this.writePath.start();
    this.retained.restore(state.retained);
    await this.registry.restore(state);
    return this;
  }

  /** A bench on the same disk and clock, as after a crash and that many milliseconds; the store must not be held. */
  async restarted(downMs = 0): Promise<SessionBench> {
    this.#deadlines.close();
    this.writePath.close();
    this.clock.advance(downMs);
    return new SessionBench(this.settings, this.store.disk, this.clock, this.context.neighbours).start();
  }

  /** Opens a session; `sessionExpiryInterval` in seconds, 0 by default. */
  open(clientId: string, sessionExpiryInterval = 0, cleanStart = false): Session {
    const request = { clientId, epoch: 1, cleanStart, sessionExpiryInterval, username: '' };
    return this.registry.open(request).session;
  }

  /** Subscribes a session with QoS 2 or the one given. */
  subscribe(session: Session, topicFilter: string, qos: Qos = 2, subscriptionIdentifier = 0): void {
    this.registry.subscribe(session, {
      topicFilter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
      subscriptionIdentifier,
    });
  }

  /** Publishes a message. @returns the reason code. */
  publish(fields: TestMessage): number {
    return this.dispatcher.publish(messageOf(fields));
  }

  /** What the disk holds of a queue. */
  stored(queueId: number): QueueRecord[] {
    return this.store.disk.readQueue(queueId, -1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  }

  /** The payloads of what the disk holds of a queue. */
  storedPayloads(queueId: number): string[] {
    return this.stored(queueId).map(({ message }) => Buffer.from(message.payload).toString());
  }
}
