import type { Ledger } from './ledger.ts';
import type { MessageRecord } from './message-record.ts';
import type { MessageWatch } from './message-watch.ts';
import type { RetainedWatch } from './retained-watch.ts';
import type { ClientRecord, Session, Taker } from './takers.ts';
import type { Slot } from './topics.ts';
import type { Delivery, SessionTerms, WillMessage } from './witness.ts';

/** Events at the broker and at a client that are closer than this may have come in either order, ms. */
const marginMs = 2000;
/** Wills of earlier connections that a client is remembered by. */
const formerMax = 3;
/** The same where nobody got them yet. */
const openMax = 100;

/** What is known of a will, besides the message. */
export interface WillState {
  /**
   *     armed -> pending -> due        armed: the connection is up; pending: it ended, and the will may come
   *       |  \      |                  due: it has to be published
   *       |   \-----+-> free           free: it may come or not, as when the broker was killed
   *       \--------------> forbidden   taken back by DISCONNECT, or by coming back within the delay
   */
  state: 'armed' | 'pending' | 'due' | 'free' | 'forbidden';
  readonly delayMs: number;
  /** How long the session lives on, ms; DISCONNECT may have changed it, if it was heard. */
  expiryMinMs: number;
  expiryMaxMs: number;
  readonly keepAliveMs: number;
  /** CONNACK came. */
  wasUp: boolean;
  endedAt: number;
  /** The connection ended without the broker being told. */
  isSilent: boolean;
  /** When it has to be out, ms; Infinity for not known. */
  deadlineAt: number;
  /** How often each got it. */
  readonly copies: Map<Taker, number>;
  /** How often it was published, by the taker who got it most often. */
  publications: number;
  /** Of these, counted as faults. */
  counted: number;
  firstAt: number;
}

/** Follows the will of every connection. */
export class WillWatch {
  readonly #ledger: Ledger;
  readonly #messages: MessageWatch;
  readonly #retained: RetainedWatch;
  /** Per client, the one of the current connection last. */
  readonly #wills: Map<ClientRecord, MessageRecord[]> = new Map();
  /** Pending, or due for so short a time that the broker may not have routed them. */
  readonly #moving: Set<MessageRecord> = new Set();
  /** When a CONNECT of the client was last given up without an answer, ms: it may take effect after the next one. */
  readonly #strays: Map<ClientRecord, number> = new Map();
  /** When the first of them has to be looked at, ms. */
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(ledger: Ledger, messages: MessageWatch, retained: RetainedWatch) {
    this.#ledger = ledger;
    this.#messages = messages;
    this.#retained = retained;
  }

  connecting(client: ClientRecord, terms: SessionTerms, will: WillMessage | undefined): void {
    if (will === undefined) return;
    const row = this.#ledger.topics.rowOf(client, will.topicName, will.qos);
    if (will.sequence > row.lastWill) row.lastWill = will.sequence;
    const record = this.#messages.begin(row, will);
    record.will = {
      state: 'armed',
      delayMs: will.delaySeconds * 1000,
      expiryMinMs: terms.expirySeconds * 1000,
      expiryMaxMs: terms.expirySeconds * 1000,
      keepAliveMs: terms.keepAliveSeconds * 1000,
      wasUp: false,
      endedAt: 0,
      isSilent: false,
      deadlineAt: Number.POSITIVE_INFINITY,
      copies: new Map(),
      publications: 0,
      counted: 0,
      firstAt: 0,
    };
    record.expiresAt = Number.POSITIVE_INFINITY; // Counts from when it is published, which nobody knows.
    const wills = this.#wills.get(client) ?? [];
    wills.push(record);
    this.#wills.set(client, wills);
    if (wills.length > formerMax + 1) this.#forget(client, wills);
  }

  connected(client: ClientRecord): void {
    for (const record of this.#wills.get(client) ?? []) {
      const will = record.will as WillState;
      if (will.state === 'armed') will.wasUp = true;
      else if (will.state === 'pending') this.#cameBack(record, will, client.terms.cleanStart);
      const isOver = will.state !== 'armed' && (will.wasUp || this.#ledger.at - will.endedAt > marginMs);
      if (isOver && record.retain) this.#retained.over(record);
    }
  }

  /** DISCONNECT with another expiry is written. */
  disconnecting(client: ClientRecord, expirySeconds: number): void {
    const will = this.#wills.get(client)?.at(-1)?.will;
    if (will?.state !== 'armed') return;
    will.expiryMinMs = Math.min(will.expiryMinMs, expirySeconds * 1000);
    will.expiryMaxMs = Math.max(will.expiryMaxMs, expirySeconds * 1000);
  }

  /** The connection is gone. @param takenAt when DISCONNECT took the will back, ms; undefined where none did. */
  ended(client: ClientRecord, how: 'closed' | 'silent', takenAt: number | undefined): void {
    const record = this.#wills.get(client)?.at(-1);
    const will = record?.will;
    if (record === undefined || will === undefined || will.state !== 'armed') {
      this.#unanswered(client, undefined);
      return;
    }
    const { at } = this.#ledger;
    const isStray = at - (this.#strays.get(client) ?? Number.NEGATIVE_INFINITY) < 2 * marginMs;
    if (!will.wasUp) {
      this.#begin(record, will, how, 'free');
      this.#unanswered(client, record);
      this.#strays.set(client, at);
    } else if (isStray || this.#ledger.wasDown(client.session?.connectedAt ?? at, at + marginMs)) {
      this.#begin(record, will, how, 'free');
    } else if (takenAt !== undefined) {
      // It may have been published because the broker gave the connection up at the same time.
      const isCrossed = will.publications > 0 && will.firstAt <= takenAt && takenAt - will.firstAt < marginMs;
      if (how === 'silent' || isCrossed) this.#begin(record, will, how, 'free');
      else this.#forbid(record, will);
    } else {
      this.#begin(record, will, how, 'pending');
      if (will.deadlineAt <= at) this.#due(record, will);
      else this.#move(record, will.deadlineAt);
    }
  }

  /** The broker is killed: what it had not published yet, or had not made sure of, may be gone. */
  brokerDown(at: number): void {
    for (const [, wills] of this.#wills) {
      for (const record of wills) {
        const will = record.will as WillState;
        const isFresh = at - will.endedAt < marginMs;
        if (will.state === 'pending' || (isFresh && (will.state === 'due' || will.state === 'forbidden'))) {
          this.#free(record, will);
        }
      }
    }
  }

  /** Looks after wills whose time has come. */
  advance(at: number): void {
    if (at < this.#nextAt) return;
    this.#nextAt = Number.POSITIVE_INFINITY;
    for (const record of this.#moving) {
      const will = record.will as WillState;
      if (will.state === 'pending' && will.deadlineAt <= at) this.#due(record, will);
      else if (will.state === 'due' && will.deadlineAt + marginMs <= at) {
        this.#moving.delete(record);
        this.#messages.completed(record);
        if (record.retain && will.publications > 0) this.#retained.stored(record);
      } else this.#move(record, will.state === 'due' ? will.deadlineAt + marginMs : will.deadlineAt);
    }
  }

  delivered(record: MessageRecord, client: ClientRecord, delivery: Delivery): void {
    const will = record.will as WillState;
    const { at } = this.#ledger;
    const session = client.session as Session;
    const isBack = will.publications > 0 && session.connectedAt > will.firstAt;
    const mayRepeat = delivery.qos === 1 && (delivery.dup || isBack);
    const copies = this.#messages.willTaken(record, client, delivery, mayRepeat);
    if (will.publications === 0) will.firstAt = at;
    will.publications = Math.max(will.publications, copies);
    this.#judge(record, will);
  }

  /** It was found retained, and so was published. */
  foundRetained(record: MessageRecord): void {
    const will = record.will as WillState;
    if (will.publications > 0) return;
    will.publications = 1;
    will.firstAt = this.#ledger.at;
    this.#judge(record, will);
  }

  /** Judges what is still open; see MessageWatch.finish. */
  finish(client: ClientRecord, graceMs: number): void {
    const { at } = this.#ledger;
    for (const record of this.#wills.get(client) ?? []) {
      const will = record.will as WillState;
      if (will.state === 'armed' && at - will.firstAt >= Math.max(graceMs, marginMs) && client.link === 'up') {
        this.#extra(record, will, will.publications, 'was published while its client was connected:');
      }
      if (record.state === 'open') this.#judgeMissing(record, will, graceMs);
    }
  }

  #begin(record: MessageRecord, will: WillState, how: 'closed' | 'silent', state: 'pending' | 'free'): void {
    const { tick, at } = this.#ledger;
    const waitMs = Math.min(will.delayMs, will.expiryMaxMs);
    const noticeMs = how === 'closed' ? 0 : will.keepAliveMs === 0 ? Number.POSITIVE_INFINITY : 1.5 * will.keepAliveMs;
    will.state = state;
    will.endedAt = at;
    will.isSilent = how === 'silent';
    will.deadlineAt = at + waitMs + noticeMs;
    record.sentTick = tick;
    record.sentAt = at;
    this.#messages.relist(record);
    if (record.retain) this.#retained.sent(record);
    // Published long before the end of the connection: not because of it.
    if (will.publications > 0 && will.firstAt < at - marginMs - Math.max(10_000, 1.5 * will.keepAliveMs)) {
      this.#extra(record, will, will.publications, 'was published while its client was connected:');
    }
    this.#judge(record, will);
  }

  #due(record: MessageRecord, will: WillState): void {
    const { tally, tick, at } = this.#ledger;
    will.state = 'due';
    will.deadlineAt = at;
    tally.willsDue++;
    tally.sent[record.qos]++;
    record.state = 'open';
    record.ackTick = tick;
    record.ackAt = at;
    this.#messages.owe(record);
    this.#move(record, at + marginMs);
  }

  /** The client is back while its will is pending. */
  #cameBack(record: MessageRecord, will: WillState, isClean: boolean): void {
    const { at } = this.#ledger;
    const waitMs = Math.min(will.delayMs, will.expiryMinMs);
    if (waitMs === 0)
      this.#due(record, will); // Taken over at the latest now.
    else if (!isClean && at < will.endedAt + waitMs - marginMs) {
      if (record.retain && will.publications === 0) this.#retained.withdrawn(record);
      this.#forbid(record, will); // [MQTT-3.1.3-9]
    } else this.#free(record, will);
  }

  #forbid(record: MessageRecord, will: WillState): void {
    will.state = 'forbidden';
    will.endedAt = this.#ledger.at;
    this.#moving.delete(record);
    this.#judge(record, will);
  }

  /** A CONNECT without an answer may have taken back what waits for its delay. */
  #unanswered(client: ClientRecord, except: MessageRecord | undefined): void {
    if (client.link === 'up') return;
    for (const record of this.#wills.get(client) ?? []) {
      const will = record.will as WillState;
      if (record !== except && will.state === 'pending' && will.delayMs > 0) this.#free(record, will);
    }
  }

  #free(record: MessageRecord, will: WillState): void {
    will.state = 'free';
    this.#moving.delete(record);
    if (record.state === 'open') this.#messages.letGo(record);
    record.state = 'settled';
  }

  #move(record: MessageRecord, at: number): void {
    this.#moving.add(record);
    if (at < this.#nextAt) this.#nextAt = at;
  }

  #judge(record: MessageRecord, will: WillState): void {
    const allowed = will.state === 'forbidden' ? 0 : 1;
    const what = allowed === 0 ? 'was published though it was taken back:' : 'was published again:';
    if (will.state !== 'armed') this.#extra(record, will, will.publications - allowed, what);
  }

  #extra(record: MessageRecord, will: WillState, extra: number, what: string): void {
    for (; will.counted < extra; will.counted++) this.#ledger.fault('will', record.client, record, what);
  }

  /** One fault where nobody got it, since it was not published then; otherwise one for each who did not. */
  #judgeMissing(record: MessageRecord, will: WillState, graceMs: number): void {
    const { slots } = record.list;
    let missing = 0;
    for (let place = 0; record.left > 0 && place < slots.length; place++) {
      const slot = slots[place] as Slot;
      if (!record.isAwaited(place) || !this.#messages.isMissing(record, slot, graceMs)) continue;
      this.#ledger.unawait(record, place, slot.taker);
      missing++;
    }
    const faults = will.publications === 0 ? Math.min(1, missing) : missing;
    for (let count = 0; count < faults; count++) {
      const what = will.publications === 0 ? 'was not published:' : 'did not get to everybody:';
      this.#ledger.fault('will', record.client, record, what);
    }
  }

  #forget(client: ClientRecord, wills: MessageRecord[]): void {
    const place = wills.findIndex(
      ({ state, will }) => state !== 'open' && will?.state !== 'pending' && will?.state !== 'armed',
    );
    if (place === -1 && wills.length < openMax) return;
    const [record] = wills.splice(Math.max(0, place), 1);
    if (record === undefined) return;
    this.#moving.delete(record);
    if (record.state === 'open') {
      this.#judgeMissing(record, record.will as WillState, 0);
      this.#messages.letGo(record);
    }
    client.open.delete(record.sequence);
  }
}
