import { Client } from './client.ts';
import { DeliveryCheck } from './delivery-check.ts';
import { type Ledger, stampNow } from './ledger.ts';
import { encodePublish, type PublishShape } from './packets.ts';
import { residentKb } from './process-stats.ts';
import type { Report, Run } from './run.ts';
import { Subscriber } from './subscriber.ts';
import { connectAll, measureTraffic, publishInWindow, reportTraffic, type WindowedPublisher } from './traffic.ts';

/** How many messages a publisher sends in a turn at most, so that all get their turn. */
const BATCH = 64;
/** How many values a level takes that a wildcard stands for. */
const WILD_LEVELS = 1000;

/** The filter of a subscription: of ten, seven are exact and the others have wildcards. */
function filterOf(index: number): string {
  if (index % 10 === 7) return `a/b/+/${index}`;
  if (index % 10 === 8) return `a/c/${index}/+/t`;
  return index % 10 === 9 ? `a/d/${index}/#` : `a/e/${Math.floor(index / 1000)}/${index}`;
}

/** A topic name that matches only this subscription. */
function topicOf(index: number): string {
  const wild = (index * 7919) % WILD_LEVELS;
  if (index % 10 === 7) return `a/b/${wild}/${index}`;
  if (index % 10 === 8) return `a/c/${index}/${wild}/t`;
  return index % 10 === 9 ? `a/d/${index}/x/${wild}` : filterOf(index);
}

/** A message for each subscription, encoded one behind the other. */
class Messages {
  readonly count: number;
  readonly bytes: Buffer;
  readonly stampBytesFromEnd: number;
  readonly #ends: Uint32Array;

  constructor(shape: PublishShape, count: number) {
    const packets = Array.from({ length: count }, (_, index) => encodePublish(shape, topicOf(index), 0));
    this.count = count;
    this.bytes = Buffer.concat(packets);
    this.stampBytesFromEnd = shape.payloadBytes;
    this.#ends = new Uint32Array(count);
    let end = 0;
    for (const [index, packet] of packets.entries()) this.#ends[index] = end += packet.length;
  }

  /** Where a message begins, and where the one before it ends. */
  startOf(index: number): number {
    return index === 0 ? 0 : this.#ends[index - 1]!;
  }

  endOf(index: number): number {
    return this.#ends[index]!;
  }
}

/** What one publisher sends to one subscriber: these messages stay in order and are checked off. */
class Stream {
  sent = 0;
  readonly #publisher: RandomPublisher;

  constructor(publisher: RandomPublisher) {
    this.#publisher = publisher;
  }

  noteDelivery(): void {
    this.#publisher.noteDelivery();
  }
}

/** Publishes with QoS 0 to topics at random, each of which matches one subscription. */
class RandomPublisher extends Client implements WindowedPublisher {
  readonly streams: readonly Stream[];
  #sent = 0;
  #delivered = 0;
  #writtenOff = 0;
  #isReady = false;
  #isStopped = true;
  #random: number;
  readonly #firstStream: number;
  readonly #messages: Messages;
  readonly #ledger: Ledger;
  readonly #window: number;

  constructor(run: Run, messages: Messages, index: number) {
    super(run.target, `publisher-${index}`, true);
    const { subs, window } = run.options;
    this.streams = Array.from({ length: subs }, () => new Stream(this));
    this.#firstStream = index * subs;
    this.#random = 0x9e3779b9 ^ (index + 1);
    this.#messages = messages;
    this.#ledger = run.ledger;
    this.#window = window;
  }

  start(): void {
    this.#isStopped = false;
    this.#markReady();
  }

  stop(): void {
    this.#isStopped = true;
  }

  writeOff(): void {
    this.#writtenOff = this.#sent - this.#delivered;
    this.#markReady();
  }

  noteDelivery(): void {
    this.#delivered++;
    this.#markReady();
  }

  override onDrain(): void {
    this.#markReady();
  }

  override onPacket(firstByte: number): void {
    this.target.fail(`The broker sent a publisher a packet that begins with 0x${firstByte.toString(16)}.`);
  }

  /** Called by the turn. */
  fill(): void {
    this.#isReady = false;
    if (this.#isStopped || this.isBehind) return;
    const allowed = this.#window - (this.#sent - this.#delivered - this.#writtenOff);
    const stamp = stampNow();
    for (let index = 0; index < Math.min(allowed, BATCH); index++) this.#publish(this.#nextRandom(), stamp);
    if (allowed > BATCH) this.#markReady();
  }

  #markReady(): void {
    if (this.#isReady || this.#isStopped) return;
    this.#isReady = true;
    this.target.turns.addReady(this);
  }

  /** Xorshift: from 0 to one less than there are messages. */
  #nextRandom(): number {
    let random = this.#random;
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    this.#random = random;
    return (random >>> 0) % this.#messages.count;
  }

  #publish(index: number, stamp: number): void {
    const { bytes, stampBytesFromEnd } = this.#messages;
    const end = this.#messages.endOf(index);
    const subscriber = index % this.streams.length;
    const stream = this.streams[subscriber]!;
    const stampAt = end - stampBytesFromEnd;
    bytes.writeUInt32LE(this.#firstStream + subscriber, stampAt);
    bytes.writeUInt32LE(stream.sent++, stampAt + 4);
    bytes.writeUInt32LE(stamp, stampAt + 8);
    this.#sent++;
    this.#ledger.sent++;
    this.send(bytes, this.#messages.startOf(index), end);
  }
}

/** Spreads many subscriptions over the subscribers, then publishes at random; each message matches one of them. */
export async function runSubscriptions(run: Run): Promise<Report> {
  const { target, ledger, shape, options } = run;
  if (options.qos !== 0) throw new RangeError('--scenario subscriptions publishes with --qos 0 only.');
  const { pubs, subs, count, brokerPids } = options;
  const messages = new Messages(shape, count);
  const publishers = Array.from({ length: pubs }, (_, index) => new RandomPublisher(run, messages, index));
  const streams = publishers.flatMap((publisher) => publisher.streams);
  const subscribers = Array.from({ length: subs }, (_, index) => {
    const own = Array.from({ length: Math.ceil((count - index) / subs) }, (__, place) =>
      filterOf(place * subs + index),
    );
    const check = new DeliveryCheck(streams.length);
    const isOwn = (stream: number): boolean => stream % subs === index;
    return new Subscriber(
      target,
      ledger,
      { topicFilters: own, shape, check, publishers: streams, isOwn },
      `subscriber-${index}`,
    );
  });
  const residentBefore = residentKb(brokerPids);
  await connectAll(run, subscribers, publishers);
  const residentBytesPerSubscription = ((residentKb(brokerPids) - residentBefore) * 1024) / count;
  const stop = publishInWindow(run, publishers);
  const measured = await measureTraffic(run);
  await stop();
  return { ...(await reportTraffic(run, measured, subscribers, () => ledger.sent)), residentBytesPerSubscription };
}
