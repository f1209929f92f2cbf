import type { QoS } from '../client/client.ts';
import type { ClientRecord, Session } from './takers.ts';
import type { Row, TakerList } from './topics.ts';
import type { WillState } from './will-watch.ts';

/** Takers whose bits fit into one number each. */
const narrowMax = 31;

/**
 * A message while something about it is open. Takers are places in `list`, which is as it was when the message was
 * sent; three bits say of each whether it has the message, has to get it (`awaited`), or should (`hoped`: QoS 0, which
 * may be lost). Recycled, so that a run makes no garbage.
 */
export class MessageRecord {
  client!: ClientRecord;
  row!: Row;
  list!: TakerList;
  sequence = 0;
  qos: QoS = 0;
  retain = false;
  isEmpty = false;
  /**
   *     sent -> open -> settled         open: acknowledged (or QoS 0), and not everybody has it
   *        \-> limbo                    limbo: refused or given up, may come or not
   */
  state: 'sent' | 'open' | 'settled' | 'limbo' = 'sent';
  sentTick = 0;
  sentAt = 0;
  /** When it may have been routed at the earliest: wills before their connection is known to have ended. */
  earliestTick = 0;
  /** Infinity for not yet. */
  ackTick = 0;
  ackAt = 0;
  /** PUBACK or PUBCOMP: the broker has routed it. Infinity for not yet. */
  completeTick = 0;
  completeAt = 0;
  /** When it may have expired, ms; Infinity for never. */
  expiresAt = 0;
  /** Takers that are awaited or hoped for. */
  left = 0;
  will: WillState | undefined;
  /** How often who is not in `list` got it. */
  extras: Map<Session, number> | undefined;
  /** Further copies by place, where one taker may get several. */
  copies: Map<number, number> | undefined;
  /** Which client got it for the group at a place, where it could have been for another taker. */
  claims: Map<number, ClientRecord> | undefined;
  /** Places that have it only for what a damaged stamp says. */
  guesses: Set<number> | undefined;
  #had = 0;
  #awaited = 0;
  #hoped = 0;
  /** The bits of places from 31 on: had, awaited, hoped, one third each. */
  #wide: Uint32Array | undefined;
  #words = 0;

  /** Begins a message. Everything not given is as for one that was just sent. */
  begin(row: Row, sequence: number, list: TakerList): void {
    this.client = row.client;
    this.row = row;
    this.list = list;
    this.sequence = sequence;
    this.qos = row.qos;
    this.state = 'sent';
    this.ackTick = this.ackAt = this.completeTick = this.completeAt = this.expiresAt = Number.POSITIVE_INFINITY;
    this.left = 0;
    this.will = this.extras = this.copies = this.claims = this.guesses = undefined;
    this.#had = this.#awaited = this.#hoped = 0;
    if (list.slots.length <= narrowMax) this.#wide = undefined;
    else this.#widen(list.slots.length);
  }

  /** Takes another list, in which nobody is awaited or hoped for; who has it still has it. */
  relist(list: TakerList): void {
    const had = this.list.slots.filter((_, place) => this.isHad(place)).map(({ taker }) => taker);
    this.left = this.#had = this.#awaited = this.#hoped = 0;
    this.copies = this.claims = this.extras = undefined;
    this.list = list;
    if (list.slots.length <= narrowMax) this.#wide = undefined;
    else this.#widen(list.slots.length);
    for (const taker of had) {
      const place = list.placeOf(taker);
      if (place !== -1 && !this.isHad(place)) this.markHad(place);
    }
  }

  isHad(place: number): boolean {
    return place < narrowMax ? ((this.#had >>> place) & 1) === 1 : this.#wideBit(0, place);
  }

  isAwaited(place: number): boolean {
    return place < narrowMax ? ((this.#awaited >>> place) & 1) === 1 : this.#wideBit(1, place);
  }

  isHoped(place: number): boolean {
    return place < narrowMax ? ((this.#hoped >>> place) & 1) === 1 : this.#wideBit(2, place);
  }

  markHad(place: number): void {
    if (place < narrowMax) this.#had |= 1 << place;
    else this.#flip(0, place);
  }

  markAwaited(place: number): void {
    this.left++;
    if (place < narrowMax) this.#awaited |= 1 << place;
    else this.#flip(1, place);
  }

  markHoped(place: number): void {
    this.left++;
    if (place < narrowMax) this.#hoped |= 1 << place;
    else this.#flip(2, place);
  }

  /** Takes `awaited` back; only where it is. */
  clearAwaited(place: number): void {
    this.left--;
    if (place < narrowMax) this.#awaited &= ~(1 << place);
    else this.#flip(1, place);
  }

  /** Takes `hoped` back; only where it is. */
  clearHoped(place: number): void {
    this.left--;
    if (place < narrowMax) this.#hoped &= ~(1 << place);
    else this.#flip(2, place);
  }

  #widen(places: number): void {
    const words = Math.ceil((places - narrowMax) / 32);
    this.#words = words;
    if (this.#wide === undefined || this.#wide.length < 3 * words) this.#wide = new Uint32Array(3 * words);
    else this.#wide.fill(0);
  }

  #wideBit(plane: number, place: number): boolean {
    const bit = place - narrowMax;
    return ((((this.#wide as Uint32Array)[plane * this.#words + (bit >>> 5)] as number) >>> (bit & 31)) & 1) === 1;
  }

  #flip(plane: number, place: number): void {
    const bit = place - narrowMax;
    const word = plane * this.#words + (bit >>> 5);
    const wide = this.#wide as Uint32Array;
    wide[word] = (wide[word] as number) ^ (1 << (bit & 31));
  }
}
