import type { SubscribeOptions } from '../client/client.ts';
import { Attribution } from './attribution.ts';
import { Ledger } from './ledger.ts';
import type { MessageRecord } from './message-record.ts';
import { MessageWatch } from './message-watch.ts';
import { RetainedWatch } from './retained-watch.ts';
import { SessionWatch } from './session-watch.ts';
import type { StampReading } from './stamp.ts';
import { SubscriptionWatch } from './subscription-watch.ts';
import { ClientRecord, type Session } from './takers.ts';
import { WillWatch } from './will-watch.ts';
import type { Delivery, SentMessage, SessionTerms, Verdict, WillMessage, Witness } from './witness.ts';

/** How long a round of looking after all clients takes, in how many steps. */
const sweepMs = 2000;
const sweepSteps = 50;

/** How long a delivery may be on its way through broker and network when nothing else is going on. */
const onItsWayMs = 50;

/**
 * Judges what a broker delivers, from what clients see alone, while it happens. Time is the number of facts told so far:
 * a message was routed somewhere between being sent and being acknowledged, so what has to come, and what may come,
 * follows from comparing such numbers. Whatever a correct broker may do is no fault.
 *
 * A message costs a record as long as somebody is owed it, and a while longer; all else it keeps grows with clients,
 * topics and subscriptions only. Work per message is that of looking at its takers, which topics share in lists.
 */
export class DeliveryChecker implements Witness {
  readonly #ledger = new Ledger();
  readonly #messages: MessageWatch;
  readonly #retained: RetainedWatch;
  readonly #wills: WillWatch;
  readonly #subscriptions: SubscriptionWatch;
  readonly #sessions: SessionWatch;
  readonly #attribution: Attribution;
  /** DISCONNECTs of connections that have not ended yet. */
  readonly #disconnecting: Map<ClientRecord, { readonly withWill: boolean; readonly at: number }> = new Map();
  #sweepAt = 0;
  #sweepPlace = 0;

  constructor(options: { readonly lateAfterSeconds: number }) {
    const ledger = this.#ledger;
    const messages = (this.#messages = new MessageWatch(ledger, options.lateAfterSeconds));
    const retained = (this.#retained = new RetainedWatch(ledger));
    this.#wills = new WillWatch(ledger, messages, retained);
    const subscriptions = new SubscriptionWatch(ledger, { messages, retained });
    this.#subscriptions = subscriptions;
    this.#sessions = new SessionWatch(ledger, { messages, subscriptions });
    this.#attribution = new Attribution(ledger, { messages, retained, wills: this.#wills });
  }

  /** Deliveries that are owed and not there: QoS 1 and 2, wills and retained messages. 0 is when nothing is left to wait for. */
  get outstanding(): number {
    const [zero, one, two] = this.#ledger.tally.outstanding;
    return zero + one + two + this.#retained.outstanding;
  }

  /** Names of the topics that may hold a retained message of this run. */
  get retainedTopics(): string[] {
    return this.#retained.topicNames;
  }

  /** What was found so far; before {@link finish}, what is owed still may come. */
  verdict(): Verdict {
    return this.#ledger.tally.verdict();
  }

  /** Lets time pass where no facts come: a will may fall due, a message expire. */
  advance(at: number): void {
    this.#step(at);
  }

  /**
   * Judges what is still open: from now on it is lost, where its taker was there to get it.
   * @param graceMs what became owed only so long ago may be on its way and is not judged; more where a run is interrupted.
   */
  finish(at: number, graceMs: number = onItsWayMs): void {
    this.#step(at);
    for (const client of this.#ledger.clientList) {
      this.#wills.finish(client, graceMs);
      this.#messages.finish(client, graceMs);
      if (client.session !== undefined) this.#retained.finish(client.session, graceMs);
    }
  }

  client(client: number, clientId: string, className: string): void {
    this.#ledger.addClient(new ClientRecord(client, clientId, className));
  }

  connecting(number: number, terms: SessionTerms, will: WillMessage | undefined, at: number): void {
    const client = this.#at(number, at);
    if (client.link !== 'off') this.#ended(client, 'silent');
    this.#sessions.connecting(client, terms);
    this.#wills.connecting(client, terms, will);
  }

  connected(number: number, sessionPresent: boolean, at: number): void {
    const client = this.#at(number, at);
    if (client.link !== 'connecting') return;
    this.#sessions.connected(client, sessionPresent);
    this.#wills.connected(client);
  }

  disconnecting(number: number, withWill: boolean, expirySeconds: number | undefined, at: number): void {
    const client = this.#at(number, at);
    if (client.link !== 'up') return;
    this.#disconnecting.set(client, { withWill, at: this.#ledger.at });
    if (expirySeconds === undefined) return;
    this.#sessions.disconnecting(client, expirySeconds);
    this.#wills.disconnecting(client, expirySeconds);
  }

  ended(number: number, how: 'closed' | 'silent', at: number): void {
    const client = this.#at(number, at);
    if (client.link !== 'off') this.#ended(client, how);
  }

  sent(number: number, message: SentMessage, at: number): void {
    const client = this.#at(number, at);
    const record = this.#messages.sent(client, message);
    if (message.retain) this.#retained.sent(record);
  }

  acknowledged(number: number, sequence: number, at: number): void {
    const record = this.#sentBy(this.#at(number, at), sequence);
    if (record === undefined) return;
    this.#messages.acknowledged(record);
    if (record.retain && record.qos === 1) this.#retained.stored(record);
  }

  completed(number: number, sequence: number, at: number): void {
    const record = this.#at(number, at).open.get(sequence);
    if (record === undefined || record.qos !== 2 || record.will !== undefined) return;
    this.#messages.completed(record);
    if (record.retain) this.#retained.stored(record);
  }

  refused(number: number, sequence: number, reasonCode: number, at: number): void {
    const record = this.#sentBy(this.#at(number, at), sequence);
    if (record === undefined || reasonCode < 0x80) return;
    this.#ledger.tally.refused[record.qos]++;
    if (record.retain) this.#retained.over(record);
    this.#messages.letGo(record);
  }

  abandoned(number: number, sequence: number, at: number): void {
    const record = this.#sentBy(this.#at(number, at), sequence);
    if (record === undefined) return;
    this.#ledger.tally.abandoned[record.qos]++;
    this.#messages.letGo(record);
  }

  subscribing(number: number, subscription: SubscribeOptions, at: number): void {
    const session = this.#sessionOf(number, at);
    if (session !== undefined) this.#subscriptions.subscribing(session, subscription);
  }

  subscribed(number: number, topicFilter: string, reasonCode: number, at: number): void {
    const session = this.#sessionOf(number, at);
    if (session !== undefined) this.#subscriptions.subscribed(session, topicFilter, reasonCode);
  }

  unsubscribing(number: number, topicFilter: string, at: number): void {
    const session = this.#sessionOf(number, at);
    if (session !== undefined) this.#subscriptions.unsubscribing(session, topicFilter);
  }

  unsubscribed(number: number, topicFilter: string, at: number): void {
    const session = this.#sessionOf(number, at);
    if (session !== undefined) this.#subscriptions.unsubscribed(session, topicFilter);
  }

  delivered(number: number, delivery: Delivery, reading: StampReading, at: number): void {
    const client = this.#at(number, at);
    this.#ledger.tally.delivered[delivery.qos]++;
    this.#attribution.delivered(client, delivery, reading);
  }

  broker(state: 'down' | 'up', at: number): void {
    this.#step(at);
    if (state === 'up') {
      this.#ledger.brokerUp(at);
      return;
    }
    this.#ledger.brokerDown(at);
    this.#wills.brokerDown(at);
  }

  #ended(client: ClientRecord, how: 'closed' | 'silent'): void {
    const disconnect = this.#disconnecting.get(client);
    this.#disconnecting.delete(client);
    const takenAt = disconnect === undefined || disconnect.withWill ? undefined : disconnect.at;
    this.#wills.ended(client, how, takenAt);
    this.#sessions.ended(client, how);
  }

  /** The message, where it waits for its acknowledgement. */
  #sentBy(client: ClientRecord, sequence: number): MessageRecord | undefined {
    const record = client.open.get(sequence);
    return record?.state === 'sent' && record.will === undefined ? record : undefined;
  }

  #sessionOf(number: number, at: number): Session | undefined {
    const { link, session } = this.#at(number, at);
    return link === 'up' ? session : undefined;
  }

  #at(number: number, at: number): ClientRecord {
    this.#step(at);
    return this.#ledger.client(number);
  }

  #step(at: number): void {
    const ledger = this.#ledger;
    ledger.step(at);
    this.#wills.advance(ledger.at);
    if (ledger.at < this.#sweepAt) return;
    this.#sweepAt = ledger.at + sweepMs / sweepSteps;
    const { clientList } = ledger;
    for (let left = Math.ceil(clientList.length / sweepSteps); left > 0; left--) {
      this.#sweepPlace = (this.#sweepPlace + 1) % clientList.length;
      this.#messages.sweep(clientList[this.#sweepPlace] as ClientRecord);
    }
  }
}
