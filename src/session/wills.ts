import type { Deadline } from '../lib/deadline-heap.ts';
import type { Will } from '../protocol/packets.ts';
import type { WillRecord } from '../store/store.ts';
import type { SessionContext } from './context.ts';
import type { Session } from './session.ts';

/** Whose a will is. */
export type WillOwner = Pick<WillRecord, 'clientId' | 'username' | 'identity'>;

/** Publishes a will that is due, with the rights of who left it, and tells `Wills.forget` in the same turn. */
export type PublishWill = (owner: WillOwner, will: Will) => void;

/** After how long a will that found no room is tried again, ms. */
const RETRY_MS = 2000;

class PendingWill implements Deadline {
  readonly owner: WillOwner;
  readonly will: Will;
  readonly #onDue: (pending: PendingWill) => void;
  at = 0;
  index = -1;

  constructor(owner: WillOwner, will: Will, onDue: (pending: PendingWill) => void) {
    this.owner = owner;
    this.will = will;
    this.#onDue = onDue;
  }

  onDeadline(): void {
    this.#onDue(this);
  }
}

/**
 * Will messages from CONNECT until they are published or dropped, section 3.1.2.5; in the store as well, so that a
 * crash of the broker is an unclean end for its clients, once.
 *
 *     armed --DISCONNECT 0x00--> gone
 *     armed --connection lost--> due now, or pending for the will delay --session resumed--> gone
 *                                                                       --session ended, delay over--> due
 */
export class Wills {
  readonly #context: SessionContext;
  readonly #publish: PublishWill;
  readonly #wills: Map<string, PendingWill> = new Map();

  constructor(context: SessionContext, publish: PublishWill) {
    this.#context = context;
    this.#publish = publish;
  }

  /** Wills armed or pending. */
  get size(): number {
    return this.#wills.size;
  }

  /** Whether there is a will of the client, armed or pending. */
  has(clientId: string): boolean {
    return this.#wills.has(clientId);
  }

  /** Stores the will of a new connection [MQTT-3.1.2-7]. */
  arm(owner: WillOwner, will: Will): void {
    this.#add(owner, will);
    const publishAt = Number.POSITIVE_INFINITY;
    this.#context.writePath.add({ kind: 'will-put', record: { ...owner, will, publishAt } });
  }

  /** Something else was proven of the client of a connection: its will, if any, is judged by that when it is due. */
  changeOwner(owner: WillOwner): void {
    const pending = this.#wills.get(owner.clientId);
    if (pending !== undefined) this.arm(owner, pending.will);
  }

  /** Drops a will: clean end [MQTT-3.1.2-10], session resumed in time [MQTT-3.1.3-9], or published. */
  forget(clientId: string): boolean {
    const pending = this.#wills.get(clientId);
    if (pending === undefined) return false;
    this.release(clientId);
    this.#context.writePath.add({ kind: 'will-delete', clientId });
    return true;
  }

  /** Tries again a little later to publish a will for which there was no room. */
  postpone(clientId: string): void {
    const pending = this.#wills.get(clientId);
    if (pending !== undefined) this.#context.deadlines.schedule(pending, this.#context.clock.now() + RETRY_MS);
  }

  /** Whether this is still the will of the client. */
  isCurrent(clientId: string, will: Will): boolean {
    return this.#wills.get(clientId)?.will === will;
  }

  /** The connection ended without a clean DISCONNECT [MQTT-3.1.2-8]; the session, if it outlives it, is told. */
  connectionLost(clientId: string, session: Session | undefined): void {
    const pending = this.#wills.get(clientId);
    if (pending === undefined) return;
    const delay = pending.will.properties.willDelayInterval ?? 0;
    if (delay === 0 || session === undefined) {
      this.#publish(pending.owner, pending.will);
      return;
    }
    const publishAt = this.#context.clock.now() + delay * 1000;
    this.#context.deadlines.schedule(pending, publishAt);
    const { owner, will } = pending;
    this.#context.writePath.add({ kind: 'will-put', record: { ...owner, will, publishAt } });
  }

  /** The session ended: a will still pending is due now [MQTT-3.1.3-9]. */
  sessionEnded(clientId: string): void {
    const pending = this.#wills.get(clientId);
    if (pending !== undefined && pending.index !== -1) this.#publish(pending.owner, pending.will);
  }

  /** Forgets the will of a client id that another node has now; in the store it stays. */
  release(clientId: string): void {
    const pending = this.#wills.get(clientId);
    if (pending === undefined) return;
    this.#context.deadlines.cancel(pending);
    this.#wills.delete(clientId);
  }

  /** Takes over the wills of before a restart: those of connections open then were cut by it. */
  restore(records: readonly WillRecord[], sessionOf: (clientId: string) => Session | undefined): void {
    this.adopt(records, sessionOf);
  }

  /** Takes over the wills of another node, after its sessions: those of connections open then were cut with it. */
  adopt(records: readonly WillRecord[], sessionOf: (clientId: string) => Session | undefined): void {
    for (const { will, publishAt, ...owner } of records) {
      const { clientId } = owner;
      const pending = this.#add(owner, will);
      // [MQTT-3.1.3-9] it is due when its session has ended meanwhile
      if (publishAt === Number.POSITIVE_INFINITY || sessionOf(clientId) === undefined)
        this.connectionLost(clientId, sessionOf(clientId));
      else this.#context.deadlines.schedule(pending, publishAt);
    }
  }

  #add(owner: WillOwner, will: Will): PendingWill {
    const old = this.#wills.get(owner.clientId);
    if (old !== undefined) this.#context.deadlines.cancel(old);
    const pending = new PendingWill(owner, will, (due) => this.#publish(due.owner, due.will));
    this.#wills.set(owner.clientId, pending);
    return pending;
  }
}
