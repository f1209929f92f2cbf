import type { Ledger } from './ledger.ts';
import type { MessageRecord } from './message-record.ts';
import type { MessageWatch } from './message-watch.ts';
import type { RetainedFinding, RetainedWatch } from './retained-watch.ts';
import type { StampReading } from './stamp.ts';
import { mayTake } from './taker-finder.ts';
import type { ClientRecord } from './takers.ts';
import type { WillWatch } from './will-watch.ts';
import { topicMatches } from './topic-filter.ts';
import type { Delivery } from './witness.ts';

/** Topics of others that are remembered. */
const foreignTopicsMax = 10_000;

/** Finds out which message a delivery brought, and has it judged. */
export class Attribution {
  readonly #ledger: Ledger;
  readonly #messages: MessageWatch;
  readonly #retained: RetainedWatch;
  readonly #wills: WillWatch;
  /** Topics on which others publish too. */
  readonly #foreign: Set<string> = new Set();

  constructor(ledger: Ledger, watches: { messages: MessageWatch; retained: RetainedWatch; wills: WillWatch }) {
    this.#ledger = ledger;
    this.#messages = watches.messages;
    this.#retained = watches.retained;
    this.#wills = watches.wills;
  }

  delivered(client: ClientRecord, delivery: Delivery, reading: StampReading): void {
    switch (reading.kind) {
      case 'intact':
        return this.#intact(client, delivery, reading);
      case 'damaged':
        return this.#damaged(client, delivery, reading);
      case 'empty':
        return this.#empty(client, delivery);
      case 'foreign':
        // Its own stamp tells that it is of another run; without one it may be one of ours that lost it.
        if (reading.sequence === 0) return this.#damaged(client, delivery, undefined);
        return this.#foreignOn(delivery.topicName);
    }
  }

  #intact(client: ClientRecord, delivery: Delivery, reading: StampReading): void {
    const publisher = this.#ledger.clients.get(reading.client);
    const record = publisher?.open.get(reading.sequence);
    const { topicName } = delivery;
    if (publisher === undefined || (record !== undefined && record.row.topic.name !== topicName)) {
      return this.#phantom(client, delivery, reading, record);
    }
    if (record !== undefined) {
      if (delivery.retain && record.retain) {
        const { sequence, qos, will } = record;
        const isLive = mayKeepFlag(client, topicName) && this.#messages.fit(record, client, delivery.qos) > 0;
        const what = { client: publisher, sequence, qos, isWill: will !== undefined, isLive };
        const isReplay = this.#foundRetained(client, delivery, what);
        if (!isLive && (isReplay || !mayKeepFlag(client, topicName))) {
          if (will !== undefined) this.#wills.foundRetained(record);
          return;
        }
      }
      if (record.will !== undefined) this.#wills.delivered(record, client, delivery);
      else if (!this.#messages.delivered(record, client, delivery, true)) this.#guess(client, delivery);
      return;
    }
    const qos = reading.qos === 2 ? 2 : reading.qos === 1 ? 1 : 0;
    const row = publisher.rows.get(topicName)?.rows[qos];
    if (row === undefined || reading.sequence > Math.max(row.lastSent, row.lastWill)) {
      return this.#phantom(client, delivery, reading, undefined);
    }
    const { sequence } = reading;
    if (delivery.retain)
      this.#foundRetained(client, delivery, { client: publisher, sequence, qos, isWill: false, isLive: false });
    else this.#messages.judge.longAfter(row, sequence, client, delivery);
  }

  #foundRetained(client: ClientRecord, delivery: Delivery, what: RetainedFinding): boolean {
    const { topicName } = delivery;
    if (client.session !== undefined && mayTake(client.session, false, topicName, 0)) {
      return this.#retained.delivered(client, delivery, what);
    }
    const text = `got message ${what.sequence} of ${what.client.clientId} as retained on ${topicName} without a subscription`;
    this.#ledger.faultWithout('leaked', client, what.qos, text);
    return true;
  }

  #phantom(client: ClientRecord, delivery: Delivery, reading: StampReading, record: MessageRecord | undefined): void {
    if (record !== undefined) {
      this.#ledger.fault('phantom', client, record, `got on ${JSON.stringify(delivery.topicName)}`);
      return;
    }
    const publisher =
      this.#ledger.clients.get(reading.client)?.clientId ?? `client ${reading.client}, whom nobody knows,`;
    const text = `got message ${reading.sequence} of ${publisher} on ${JSON.stringify(delivery.topicName)}, which was never sent`;
    this.#ledger.faultWithout('phantom', client, reading.qos, text);
  }

  /** Bytes changed, the stamp's own perhaps. It stands for a message that is owed, so that this one is not lost as well. */
  #damaged(client: ClientRecord, delivery: Delivery, reading: StampReading | undefined): void {
    const { topicName } = delivery;
    const topic = this.#ledger.topics.find(topicName);
    if (topic === undefined || (reading === undefined && this.#foreign.has(topicName)))
      return this.#foreignOn(topicName);
    const text = `got a damaged payload of ${delivery.length} bytes on ${JSON.stringify(topicName)}`;
    if (delivery.retain && this.#retained.isDue(client, topicName)) {
      this.#retained.paid(client, topicName);
      this.#ledger.tally.retainedChecked++;
      this.#ledger.faultWithout('corrupted', client, delivery.qos, text);
      return;
    }
    // The QoS that the stamp tells is believed where it may be: if it is what was damaged, the rest names the message.
    const told = reading !== undefined && reading.qos >= delivery.qos && reading.qos <= 2 ? reading.qos : undefined;
    const mayBe = ({ isEmpty, qos }: MessageRecord): boolean => !isEmpty && (told === undefined || qos === told);
    const record = this.#named(client, topicName, reading) ?? this.#likeliest(client, delivery, mayBe);
    if (record === undefined && reading === undefined) return this.#foreignOn(topicName);
    if (record === undefined) {
      this.#ledger.faultWithout('corrupted', client, told ?? delivery.qos, text);
      return;
    }
    this.#ledger.fault('corrupted', client, record, 'got damaged');
    if (record.will === undefined) this.#messages.delivered(record, client, delivery, false);
    else this.#wills.delivered(record, client, delivery);
  }

  /** A message that was delivered damaged was taken for another one, which has come now: it must have been another. */
  #guess(client: ClientRecord, delivery: Delivery): void {
    const other = this.#likeliest(client, delivery, ({ will, isEmpty }) => will === undefined && !isEmpty);
    if (other !== undefined) this.#messages.delivered(other, client, delivery, false);
  }

  /** No payload, and so no stamp: the oldest message without payload that the client has not got. */
  #empty(client: ClientRecord, delivery: Delivery): void {
    const { topicName } = delivery;
    if (this.#ledger.topics.find(topicName) === undefined) return this.#foreignOn(topicName);
    if (delivery.retain && !mayKeepFlag(client, topicName)) {
      const text = `got an empty message as retained on ${JSON.stringify(topicName)}`;
      this.#retained.paid(client, topicName);
      this.#ledger.faultWithout('retained', client, delivery.qos, text);
      return;
    }
    // Which of several it is cannot be told, and so neither whether it is a copy, nor whether they are in order.
    const record = this.#likeliest(client, delivery, ({ isEmpty }) => isEmpty);
    if (record !== undefined) this.#messages.took(record, client, delivery.qos);
    else if (this.#isKnownEmpty(topicName)) {
      if (delivery.qos === 1) this.#messages.judge.repeated(delivery, false);
    } else if (this.#foreign.has(topicName)) this.#foreignOn(topicName);
    else this.#damaged(client, delivery, undefined);
  }

  #foreignOn(topicName: string): void {
    this.#ledger.tally.foreign++;
    if (this.#foreign.size < foreignTopicsMax) this.#foreign.add(topicName);
  }

  /** The message that a damaged stamp names, where it is one that the client should still get on this topic. */
  #named(client: ClientRecord, topicName: string, reading: StampReading | undefined): MessageRecord | undefined {
    if (reading === undefined) return undefined;
    const record = this.#ledger.clients.get(reading.client)?.open.get(reading.sequence);
    if (record === undefined || record.row.topic.name !== topicName) return undefined;
    return this.#messages.fit(record, client, 0) > 0 ? record : undefined;
  }

  /** The message on the topic that fits a delivery best, the oldest of those, without what its payload says. */
  #likeliest(
    client: ClientRecord,
    { topicName, qos }: Delivery,
    isIt: (record: MessageRecord) => boolean,
  ): MessageRecord | undefined {
    let best: MessageRecord | undefined;
    let bestFit = 0;
    for (const record of this.#messages.onTopic(topicName)) {
      if (record.qos < qos || !isIt(record)) continue;
      const fit = this.#messages.fit(record, client, qos);
      if (fit < bestFit || fit === 0) continue;
      if (best === undefined || fit > bestFit || record.sentTick < best.sentTick) [best, bestFit] = [record, fit];
    }
    return best;
  }

  /** Whether there was an empty message lately. */
  #isKnownEmpty(topicName: string): boolean {
    for (const { isEmpty } of this.#messages.onTopic(topicName)) if (isEmpty) return true;
    return false;
  }
}

/** Whether the client may get messages on this topic with the flag as they were published. */
function mayKeepFlag({ session }: ClientRecord, topicName: string): boolean {
  if (session === undefined || session.isRevived) return session !== undefined;
  for (const some of [session.subscriptions.values(), session.former]) {
    for (const { retainAsPublished, topicFilter } of some) {
      if (retainAsPublished && topicMatches(topicFilter, topicName)) return true;
    }
  }
  return false;
}
