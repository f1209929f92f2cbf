import type { Deadline } from '../lib/deadline-heap.ts';
import type { SessionContext } from './context.ts';
import type { Neighbours } from './neighbours.ts';
import { NO_IDENTIFIERS, type QueueEntry } from './queue-entry.ts';
import type { ShareGroup } from './share-group.ts';
import type { FlushWaiter } from './write-path.ts';

/** Messages handed over before others get their turn. */
const TURN_MESSAGES = 1000;

/** Knows the parts of shared subscriptions that are here. */
export interface PartOwner {
  /** The part here that has members, or is to have some. */
  partOf(shareKey: string): ShareGroup | undefined;
  /** An orphan has nothing left, and another part is there. */
  onOrphanEmpty(orphan: ShareGroup): void;
  /** Nothing more comes for an orphan, or there is nobody who could get it. */
  onOrphanDone(orphan: ShareGroup): void;
}

/**
 * Brings what waits in one part of a shared subscription to another: from a part without a connected member to a node
 * that has one, from an orphan (a part without any member) to whoever has a part.
 *
 * A message goes into the mailbox of the other part in the batch that takes it out of the queue here. It goes only when
 * it has been accepted: before that the store may still refuse it, and its publisher would send it again.
 */
export class HandOver implements FlushWaiter, Deadline {
  readonly #context: SessionContext;
  readonly #neighbours: Neighbours;
  readonly #group: ShareGroup;
  readonly #owner: PartOwner;
  #yielded = false;
  waitingFor = 0;
  at = 0;
  index = -1;

  constructor(context: SessionContext, neighbours: Neighbours, group: ShareGroup, owner: PartOwner) {
    this.#context = context;
    this.#neighbours = neighbours;
    this.#group = group;
    this.#owner = owner;
  }

  /** Whether what waits here, or absent members have in flight, is to go elsewhere. */
  get isDue(): boolean {
    const { isOrphan, online, shareKey } = this.#group;
    return isOrphan || (online === 0 && (this.#neighbours.onlineElsewhere(shareKey) ?? 0) > 0);
  }

  /** Hands over what may go now; the rest follows by itself, or when the queue has read it. */
  run(): void {
    const { queue, isOrphan } = this.#group;
    if (this.#yielded || queue.isClosed) return;
    if (queue.waiting > 0 && this.isDue) this.#post();
    if (isOrphan && queue.count === 0 && !queue.isClosed) this.#endOrphan();
  }

  onFlushed(): void {
    this.run();
  }

  onStoreFull(): void {
    this.run();
  }

  #post(): void {
    const { writePath, clock } = this.#context;
    const { queue } = this.#group;
    const now = clock.now();
    for (let left = TURN_MESSAGES; left > 0; left--) {
      if (writePath.overfull) {
        writePath.wait(this);
        return;
      }
      const target = this.#target();
      if (target === undefined) {
        // Another part may be there that is not known here yet; then this runs again.
        if (this.#group.isKnown) this.#waitOrEnd(now);
        return;
      }
      const entry = queue.shift(now);
      if (entry === undefined) return; // what is in the store only comes with `onQueueReady`
      if (entry.acceptedIn > writePath.flushed) {
        queue.putBack(entry);
        writePath.wait(this);
        return;
      }
      this.#send(entry, target);
    }
    if (queue.waiting > 0) this.#yield();
  }

  /** Both in one batch: the message changes queues or it does not. */
  #send(entry: QueueEntry, queueId: number): void {
    const { writePath, books, keep } = this.#context;
    const { queue, shareKey } = this.#group;
    const { message } = entry;
    keep(message);
    const { qos } = message;
    const post = { queueId, message, qos, retain: false, subscriptionIdentifiers: NO_IDENTIFIERS, shareKey };
    writePath.addMessage({ kind: 'post', post }, message);
    queue.remove(entry);
    books.moved += 1;
  }

  /**
   * An orphan that holds nothing stays for a while, whatever parts there are: the last member of those may go while a
   * member that was here is still on its way to another node.
   */
  #endOrphan(): void {
    if (!this.#group.isKnown) return;
    const now = this.#context.clock.now();
    if (this.#group.isEnded) this.#owner.onOrphanDone(this.#group);
    else if (this.#group.partUntil > now || this.#target() === undefined) this.#waitOrEnd(now);
    else this.#owner.onOrphanEmpty(this.#group);
  }

  #waitOrEnd(now: number): void {
    const { partUntil } = this.#group;
    if (partUntil <= now) this.#owner.onOrphanDone(this.#group);
    else if (this.index === -1) this.#context.deadlines.schedule(this, partUntil);
  }

  onDeadline(): void {
    this.run();
  }

  #target(): number | undefined {
    const { isOrphan, partUntil, shareKey } = this.#group;
    const here = isOrphan ? this.#owner.partOf(shareKey) : undefined;
    // An orphan that cannot wait any more leaves it to one that can.
    const isLate = isOrphan && partUntil <= this.#context.clock.now();
    return here?.queue.queueId ?? this.#neighbours.partElsewhere(shareKey, isLate);
  }

  #yield(): void {
    this.#yielded = true;
    this.#context.clock.setImmediate(() => {
      this.#yielded = false;
      this.run();
    });
  }
}
