import type { Message } from '../protocol/message.ts';
import type { Session } from './session.ts';

/** The other nodes, as the sessions of this one see them; see docs/decisions/0009-nodes.md. */
export interface Neighbours {
  /** Counts up when a stored session goes elsewhere: says which were here when a message was dispatched. */
  readonly view: number;
  /** Whether a message has takers elsewhere, by what is known now, shared subscriptions that were served here left out. */
  hasTakers(message: Message, servedShares: readonly string[]): boolean;
  /** Members connected elsewhere of a shared subscription; undefined where no other node has a part of it. */
  onlineElsewhere(shareKey: string): number | undefined;
  /**
   * Queue of a part elsewhere, by chance among those with members connected, or if there is none among all; undefined for
   * none. `takesOrphans`: also of one without members, where there is no other.
   */
  partElsewhere(shareKey: string, takesOrphans: boolean): number | undefined;
  /** A stored session is here from now on; to be called when it is known to the registry. */
  cameHere(session: Session): void;
  /** A stored session is not here any more; to be called when the registry has forgotten it. */
  wentAway(session: Session): void;
  /** A session ended, and its client id is not used here any more. */
  letGo(clientId: string): void;
  /** Resolves once everything that was acknowledged anywhere before this call is known here. */
  caughtUp(): Promise<void>;
}
