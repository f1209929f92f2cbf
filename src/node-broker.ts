import type { NodeBroker } from './cluster/node-cluster.ts';
import type { ConnectionTable } from './connection/connection-table.ts';
import type { Message } from './protocol/message.ts';
import { ReasonCode } from './protocol/reason-codes.ts';
import { takerList } from './router/taker.ts';
import type { Books } from './session/books.ts';
import type { Dispatcher } from './session/dispatcher.ts';
import type { SessionRegistry } from './session/registry.ts';
import type { RetainedMessages } from './session/retained-messages.ts';
import type { Wills } from './session/wills.ts';
import type { WritePath } from './session/write-path.ts';
import type { AdoptedState, ForwardedMessage, MailboxMessage } from './store/shared-store.ts';
import { UNCLAIMED } from './store/store.ts';

/** The parts of a broker that other nodes have to do with. */
export interface NodeBrokerParts {
  readonly writePath: WritePath;
  readonly registry: SessionRegistry;
  readonly dispatcher: Dispatcher;
  readonly retained: RetainedMessages;
  readonly wills: Wills;
  readonly connections: ConnectionTable;
  readonly books: Books;
  /** Whether clients prove who they are, so that a client id belongs to a user. */
  readonly knowsUsers: boolean;
  readonly fail: (error: unknown) => void;
}

/** A broker as one node among others. */
export class BrokerNode implements NodeBroker {
  readonly #parts: () => NodeBrokerParts;

  /** @param parts asked for when they are needed: the parts of a broker know each other. */
  constructor(parts: () => NodeBrokerParts) {
    this.#parts = parts;
  }

  get writePath(): WritePath {
    return this.#parts().writePath;
  }

  sessionQueue(clientId: string): number | undefined {
    return this.#parts().registry.get(clientId)?.queueId;
  }

  hasWill(clientId: string): boolean {
    return this.#parts().wills.has(clientId);
  }

  hasQueue(queueId: number): boolean {
    return this.#parts().registry.queueOwner(queueId) !== undefined;
  }

  localParts(topicName: string): readonly { shareKey: string; queueId: number }[] {
    const { registry } = this.#parts();
    if (registry.groupCount === 0) return [];
    return takerList(registry.groupSubscriptions.match(topicName)).map(({ subscriber }) => ({
      shareKey: subscriber.shareKey,
      queueId: subscriber.queue.queueId,
    }));
  }

  anyPart(shareKey: string): number | undefined {
    return this.#parts().registry.anyPart(shareKey);
  }

  async adopt(state: AdoptedState, isClaimed: boolean): Promise<void> {
    const { registry, wills } = this.#parts();
    const adopting = registry.adopt(state, { isClaimed });
    wills.adopt(state.wills, (clientId) => registry.get(clientId));
    await adopting;
  }

  deliverLate(messages: readonly Message[], clientIds: ReadonlySet<string>): void {
    this.#parts().dispatcher.deliverLate(messages, clientIds);
  }

  takePosted(messages: readonly MailboxMessage[]): void {
    this.#parts().registry.takePosted(messages);
  }

  forward(messages: readonly ForwardedMessage[]): void {
    this.#parts().dispatcher.forward(messages);
  }

  applyRetained(topicName: string, message: Message | undefined): void {
    this.#parts().retained.apply(topicName, message);
  }

  handOverGroups(): void {
    this.#parts().registry.handOverGroups();
  }

  unsent(count: number): void {
    const { books } = this.#parts();
    books.owed += count;
    books.dropped['slow-reader'] += count;
  }

  release(clientId: string, nodeId: string, username: string): 'refused' | 'session' | 'nothing' {
    const { registry, connections, wills, knowsUsers } = this.#parts();
    const owner = registry.get(clientId)?.username;
    if (knowsUsers && owner !== undefined && owner !== username && owner !== UNCLAIMED) return 'refused';
    // [MQTT-3.1.4-3] the old owner lets go, its will included, before the new one begins
    connections.owner(clientId)?.close(ReasonCode.sessionTakenOver, 'another connection uses this client id');
    // A will that waits is the other node's matter, with the session or without.
    wills.release(clientId);
    const session = registry.get(clientId);
    if (session === undefined) return 'nothing';
    registry.release(session, nodeId);
    return 'session';
  }

  fail(error: unknown): void {
    this.#parts().fail(error);
  }
}
