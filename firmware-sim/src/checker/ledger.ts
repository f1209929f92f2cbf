import type { MessageRecord } from './message-record.ts';
import type { Session, Taker } from './takers.ts';
import { ClientRecord } from './takers.ts';
import { Tally } from './tally.ts';
import { Topics } from './topics.ts';
import type { Fault } from './witness.ts';

/** Outages remembered. */
const outagesMax = 1000;

/** From when to when the broker was down, ms; Infinity for still. */
interface Outage {
  readonly from: number;
  to: number;
}

/** What all parts of a checker know: the clients, who takes which topic, what time it is, and what was found so far. */
export class Ledger {
  readonly tally: Tally = new Tally();
  readonly topics: Topics = new Topics();
  readonly clients: Map<number, ClientRecord> = new Map();
  /** In the order they were told; grows only. */
  readonly clientList: ClientRecord[] = [];
  /** Number of the fact that is being told. */
  tick = 0;
  /** Its time, ms. */
  at = 0;
  readonly #outages: Outage[] = [];

  /** The next fact. Threads tell theirs a little apart, so time may seem to go back: it stands still then. */
  step(at: number): void {
    this.tick++;
    if (at > this.at) this.at = at;
  }

  /** @throws Error for a client that was not told, which is the caller's mistake. */
  client(number: number): ClientRecord {
    const client = this.clients.get(number);
    if (client === undefined) throw new Error(`client ${number} was never told to the checker`);
    return client;
  }

  addClient(client: ClientRecord): void {
    if (this.clients.has(client.number)) throw new Error(`client ${client.number} is told a second time`);
    this.clients.set(client.number, client);
    this.clientList.push(client);
  }

  brokerDown(at: number): void {
    if (this.isBrokerDown) return;
    this.#outages.push({ from: at, to: Number.POSITIVE_INFINITY });
    if (this.#outages.length > outagesMax) this.#outages.shift();
  }

  brokerUp(at: number): void {
    const outage = this.#outages.at(-1);
    if (outage === undefined || !this.isBrokerDown) return;
    outage.to = at;
    this.tally.brokerRestarts++;
  }

  get isBrokerDown(): boolean {
    return this.#outages.at(-1)?.to === Number.POSITIVE_INFINITY;
  }

  /** When the broker last came back; 0 for never. */
  get brokerUpAt(): number {
    return this.#outages.at(-1)?.to ?? 0;
  }

  /** Whether the broker was down at any time between these two, ms. */
  wasDown(from: number, to: number): boolean {
    for (let place = this.#outages.length - 1; place >= 0; place--) {
      const outage = this.#outages[place] as Outage;
      if (outage.to < from) return false;
      if (outage.from <= to) return true;
    }
    return false;
  }

  /** The taker is no more: nothing is owed to it. */
  endTaker(taker: Taker): void {
    if (taker.isEnded) return;
    taker.isEnded = true;
    for (const qos of [0, 1, 2] as const) {
      this.tally.outstanding[qos] -= taker.awaiting[qos];
      taker.awaiting[qos] = 0;
    }
  }

  /** The message has to get to the taker at this place. */
  await(record: MessageRecord, place: number, taker: Taker): void {
    record.markAwaited(place);
    this.tally.outstanding[record.qos]++;
    taker.awaiting[record.qos]++;
    if (record.will === undefined || 'members' in taker) return;
    if (record.qos === 0 || record.list.slots[place]?.qos === 0) (taker.fleetingWills ??= new Set()).add(record);
  }

  /** It is there, or is owed no more. */
  unawait(record: MessageRecord, place: number, taker: Taker): void {
    record.clearAwaited(place);
    if (taker.isEnded) return;
    this.tally.outstanding[record.qos]--;
    taker.awaiting[record.qos]--;
    if (!('members' in taker)) taker.fleetingWills?.delete(record);
  }

  /** Counts a fault that happened to a client with a message. */
  fault(fault: Fault, who: ClientRecord, record: MessageRecord, what: string): void {
    this.tally.fault(fault, record.qos, who.className, {
      at: this.at,
      text: () => `${who.clientId}: ${what} ${this.describe(record)}`,
    });
  }

  /** Counts a fault for which there is no record of a message. */
  faultWithout(fault: Fault, who: ClientRecord, qos: number, text: string): void {
    this.tally.fault(fault, qos, who.className, { at: this.at, text: () => `${who.clientId}: ${text}` });
  }

  /** What a person needs to know of a message: whose, where, and how long ago what happened to it. */
  describe(record: MessageRecord): string {
    const { client, sequence, row, qos, retain, isEmpty, will, sentAt, ackAt, state } = record;
    const kind = will === undefined ? 'message' : 'will';
    const flags = `${retain ? ', retained' : ''}${isEmpty ? ', empty' : ''}`;
    const ago = (at: number): string => `${Math.round(this.at - at)} ms ago`;
    const sent = sentAt > 0 ? `; sent ${ago(sentAt)}` : '';
    const acknowledged = Number.isFinite(ackAt) && will === undefined ? `, acknowledged ${ago(ackAt)}` : '';
    const outage = sentAt > 0 && this.wasDown(sentAt, this.at) ? ', broker down since' : '';
    const end = state === 'limbo' ? ', refused or given up' : '';
    const what = `${kind} ${sequence} of ${client.clientId} on ${row.topic.name}, QoS ${qos}${flags}`;
    return `${what}${sent}${acknowledged}${end}${outage}`;
  }

  /** Whether a session could have got everything that is on its way, ms since when; -1 where it could not. */
  reachableSince(session: Session): number {
    if (!session.isUp || this.isBrokerDown) return -1;
    return Math.max(session.connectedAt, this.brokerUpAt);
  }
}
