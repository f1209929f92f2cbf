import type { ConnectionContext } from './connection/context.ts';
import { hookMessageOf } from './connection/on-publish.ts';
import type { HookMessage } from './hooks/hooks.ts';
import type { Clock } from './lib/clock.ts';
import type { Message } from './protocol/message.ts';
import type { Qos } from './protocol/packets.ts';
import type { Link } from './session/link.ts';
import { replayRetained } from './session/retained-replay.ts';
import type { Session } from './session/session.ts';

/** Gets the messages of a subscription from inside; with QoS 1 a promise it returns holds the acknowledgement back. */
export type MessageListener = (message: HookMessage) => void | Promise<void>;

/** Messages a listener may have unfinished. */
const UNFINISHED_MAX = 1024;

/** The link of a session whose client is a function of the embedding program. It hears a message in a later turn than it was routed in. */
export class LocalSubscription implements Link {
  readonly receiveMaximum: number = UNFINISHED_MAX;
  readonly writable: boolean = true;
  readonly congested: boolean = false;
  readonly #clock: Clock;
  readonly #listener: MessageListener;
  readonly #onError: (error: unknown) => void;
  #waiting: { message: HookMessage; packetId: number }[] = [];
  #scheduled = false;
  session: Session | undefined = undefined;

  constructor(clock: Clock, listener: MessageListener, onError: (error: unknown) => void) {
    this.#clock = clock;
    this.#listener = listener;
    this.#onError = onError;
  }

  sendPublish(message: Message, qos: Qos, retain: boolean, _dup: boolean, packetId: number): boolean {
    const heard = {
      ...hookMessageOf(message, this.#clock.now()),
      payload: new Uint8Array(message.payload),
      qos,
      retain,
    };
    this.#waiting.push({ message: heard, packetId });
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#clock.setImmediate(() => this.#run());
    }
    return true;
  }

  sendPubrel(_packetId: number): void {
    throw new Error('a subscription from inside is granted QoS 1 at most');
  }

  /** Nobody takes over a session from inside. */
  close(): void {
    this.session = undefined;
  }

  #run(): void {
    this.#scheduled = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { message, packetId } of waiting) void this.#hear(message, packetId);
  }

  async #hear(message: HookMessage, packetId: number): Promise<void> {
    try {
      await this.#listener(message);
    } catch (error) {
      this.#onError(error);
    }
    if (packetId !== 0) this.session?.onPuback(packetId);
  }
}

/** Gives a link from inside a session with one subscription; its retained messages come first. @returns what ends it. */
export function subscribeLocally(
  { registry, retained, session: context }: Pick<ConnectionContext, 'registry' | 'retained' | 'session'>,
  link: LocalSubscription,
  { clientId, topicFilter, qos }: { clientId: string; topicFilter: string; qos: 0 | 1 },
): () => void {
  const request = { clientId, epoch: 0, cleanStart: true, sessionExpiryInterval: 0, username: '' };
  const { session } = registry.open(request);
  link.session = session;
  const options = { noLocal: false, retainAsPublished: false, retainHandling: 0, subscriptionIdentifier: 0 } as const;
  const record = { topicFilter, qos, ...options };
  registry.subscribe(session, record);
  session.attach(link);
  const source = { retained: retained.trie, subscriptions: registry.subscriptions };
  if (!topicFilter.startsWith('$share/')) replayRetained(context, source, session, [record]);
  return () => {
    if (!session.ended) registry.disconnect(session);
  };
}
