import { emptyReading, readStamp, type StampedPayload, type StampReading } from '../checker/stamp.ts';
import type {
  Client,
  ClientEnd,
  ClientHandler,
  Connected,
  IncomingMessage,
  SubscribeOptions,
} from '../client/client.ts';
import type { TimerHandle } from '../lib/timers.ts';
import type { NetworkPath } from '../wire/network-path.ts';
import { DevicePath } from '../wire/paths.ts';
import type { Agent, AgentContext, AgentHandler, AgentOptions, CreateAgent, PublishOptions } from './agent.ts';
import { BackOff } from './back-off.ts';
import { connectOptions, sessionTerms, stampWill } from './connect.ts';
import { number, Outbox, type Publication, publicationOf } from './outbox.ts';
import { Subscriptions } from './subscriptions.ts';

/** QoS 0 messages are not taken over any more while this much waits for the network: the device has no more memory. */
const bufferedBytesMax = 1 << 20;

/** Messages that may wait for the window while there is a connection, where `offlineMax` is less. */
const windowQueueMax = 1000;

/** Unspecified error: what a publish is answered with that its session's end left unacknowledged. */
const abandonedReasonCode = 0x80;

/**
 * Makes an agent. Payloads given to publish are the agent's from then on: it stamps them when it hands them to the
 * network, which keeps the numbers of a client's messages in the order of their sending.
 */
export const createAgent: CreateAgent = (context: AgentContext, options: AgentOptions, handler: AgentHandler): Agent =>
  new MqttAgent(context, options, handler);

class MqttAgent implements Agent, ClientHandler {
  readonly #context: AgentContext;
  readonly #options: AgentOptions;
  readonly #handler: AgentHandler;
  readonly #client: Client;
  readonly #path: NetworkPath;
  readonly #subscriptions = new Subscriptions();
  readonly #outbox = new Outbox();
  readonly #backOff: BackOff;
  /** Handed to the client and not complete, by sequence number; of QoS 0 only those it has not sent at once. */
  readonly #open: Map<number, Publication> = new Map();
  readonly #reading: StampReading = emptyReading();
  /** Whether it shall be connected; what there is of a connection is `#connection`. */
  #isWanted = false;
  /** `aborting`, `dropping`, `disconnecting`: this side ends it; before it was up, without and with DISCONNECT. */
  #connection: 'none' | 'opening' | 'aborting' | 'up' | 'dropping' | 'disconnecting' = 'none';
  #isForgetting = false;
  #wasUp = false;
  #retry: TimerHandle | undefined;
  #retryDelayMs = 0;
  #connectingAt = 0;
  #sequence = 0;
  #window: number;
  /** What the client is being given at this moment, and that moment, ms. */
  #handing: Publication | undefined;
  #handingAt = 0;

  constructor(context: AgentContext, options: AgentOptions, handler: AgentHandler) {
    this.#context = context;
    this.#options = options;
    this.#handler = handler;
    this.#window = options.window;
    this.#backOff = new BackOff(options.reconnectSeconds, options.random);
    this.#client = context.clients.create(this, { window: options.window });
    this.#path = new DevicePath(options.network, options.random.fork('network'));
    context.witness.client(options.client, options.clientId, options.className);
  }

  get clientId(): string {
    return this.#options.clientId;
  }

  get state(): Agent['state'] {
    if (!this.#isWanted) return 'off';
    if (this.#connection === 'up') return 'up';
    return this.#connection === 'opening' ? 'connecting' : 'waiting';
  }

  get pending(): number {
    return this.#client.inFlight + this.#outbox.length;
  }

  start(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#backOff.reset();
    if (this.#connection === 'none') this.#connect();
    else this.#retryDelayMs = 0; // as soon as the last connection is gone
  }

  sleep(): void {
    this.#disconnect(undefined);
  }

  leave(): void {
    const { session, version } = this.#options;
    this.#isForgetting = session === 'clean' || version === 5;
    this.#disconnect(version === 5 ? 0 : undefined);
    if (this.#connection === 'none') this.#forget();
  }

  crash(): void {
    this.#switchOff();
    this.#abort();
  }

  drop(delaySeconds: number): void {
    if (this.#connection !== 'opening' && this.#connection !== 'up') return;
    this.#retryDelayMs = delaySeconds * 1000;
    this.#backOff.reset();
    this.#abort();
  }

  publish(topicName: string, payload: StampedPayload | undefined, options: PublishOptions): boolean {
    const now = this.#context.timers.now();
    const publication = publicationOf(topicName, payload, options, options.dueAt ?? now);
    if (this.#connection === 'up') {
      const isNext =
        options.qos === 0 ? this.#outbox.qos0 === 0 : this.#outbox.length === this.#outbox.qos0 && this.#hasRoom;
      if (isNext) return this.#hand(publication, now);
    }
    return this.#keep(publication);
  }

  subscribe(subscriptions: readonly SubscribeOptions[]): void {
    for (const subscription of subscriptions) this.#subscriptions.want(subscription);
    this.#sendSubscriptions();
  }

  unsubscribe(topicFilters: readonly string[]): void {
    for (const topicFilter of topicFilters) this.#subscriptions.unwant(topicFilter);
    this.#sendSubscriptions();
  }

  // ---- what the client tells

  onConnected(connected: Connected): void {
    if (this.#connection !== 'opening') return;
    const { timers, witness } = this.#context;
    const { client, session, version, window } = this.#options;
    const now = timers.now();
    const metrics = this.#context.metrics();
    metrics.connects++;
    metrics.connect.record(now - this.#connectingAt);
    this.#connection = 'up';
    this.#backOff.reset();
    this.#window = Math.min(window, connected.receiveMaximum);
    // MQTT 3.1 has no such flag: its sessions count as there, and their subscriptions are made again to be sure.
    const isTold = version !== 3;
    witness.connected(client, isTold ? connected.sessionPresent : session === 'persistent', now);
    const isPresent = session === 'persistent' && (isTold ? connected.sessionPresent : this.#wasUp);
    this.#wasUp = true;
    if (!isPresent) this.#sessionLost();
    else if (!isTold) this.#subscriptions.sessionDoubtful();
    this.#sendSubscriptions();
    this.#handler.onUp(isPresent);
    this.#flush();
  }

  onMessage(message: IncomingMessage): void {
    const { timers, witness, run } = this.#context;
    const { topicName, payload, qos, retain, dup } = message;
    const now = timers.now();
    const reading = this.#reading;
    const metrics = this.#context.metrics();
    readStamp(payload, run, reading);
    metrics.delivered[qos]++;
    metrics.deliveredBytes += payload.length;
    // Wills carry no due time, and what was retained waited for its taker: neither tells of the broker's speed.
    if (reading.kind === 'intact' && reading.dueAt > 0 && !retain) metrics.delivery.record(now - reading.dueAt);
    const delivery = { topicName, qos, retain, dup, length: payload.length };
    witness.delivered(this.#options.client, delivery, reading, now);
    this.#handler.onMessage(message);
  }

  onSent(token: number): void {
    const isAtOnce = this.#handing?.token === token;
    const publication = isAtOnce ? this.#handing : this.#open.get(token);
    if (publication === undefined || publication.isSent) return;
    publication.isSent = true;
    const { timers, witness } = this.#context;
    const metrics = this.#context.metrics();
    metrics.sent[publication.qos]++;
    metrics.sentBytes += publication.payload.length;
    witness.sent(this.#options.client, publication, isAtOnce ? this.#handingAt : timers.now());
    if (publication.qos === 0 && !isAtOnce) this.#open.delete(token);
  }

  onAcknowledged(token: number, reasonCode: number): void {
    const publication = this.#open.get(token);
    if (publication === undefined || publication.reasonCode !== -1 || publication.qos === 0) return;
    const { timers, witness } = this.#context;
    const now = timers.now();
    const metrics = this.#context.metrics();
    publication.reasonCode = reasonCode;
    if (reasonCode >= 0x80) {
      metrics.refused++;
      witness.refused(this.#options.client, token, reasonCode, now);
      return;
    }
    metrics.acknowledged[publication.qos]++;
    metrics.acknowledgement.record(now - publication.dueAt);
    witness.acknowledged(this.#options.client, token, now);
  }

  onCompleted(token: number): void {
    const publication = this.#open.get(token);
    if (publication === undefined || publication.qos === 0 || !this.#open.delete(token)) return;
    // A client that forgets its session tells this as well, and without PUBCOMP.
    if (publication.qos === 2 && publication.reasonCode < 0x80 && this.#connection !== 'none') {
      this.#context.witness.completed?.(this.#options.client, token, this.#context.timers.now());
    }
    this.#published(publication, Math.max(0, publication.reasonCode));
    this.#flush();
  }

  onAbandoned(token: number): void {
    const publication = this.#open.get(token);
    if (publication === undefined || !this.#open.delete(token)) return;
    const { isSent, reasonCode } = publication;
    const { timers, witness } = this.#context;
    if (isSent && reasonCode === -1) witness.abandoned(this.#options.client, token, timers.now());
    this.#published(publication, reasonCode === -1 ? abandonedReasonCode : reasonCode);
  }

  onSubscribed(topicFilters: readonly string[], reasonCodes: readonly number[]): void {
    const now = this.#context.timers.now();
    for (const [place, topicFilter] of topicFilters.entries()) {
      const reasonCode = reasonCodes[place] ?? 0x80;
      this.#subscriptions.answered(topicFilter, reasonCode);
      this.#context.witness.subscribed(this.#options.client, topicFilter, reasonCode, now);
    }
  }

  onUnsubscribed(topicFilters: readonly string[], reasonCodes: readonly number[]): void {
    const now = this.#context.timers.now();
    for (const [place, topicFilter] of topicFilters.entries()) {
      this.#subscriptions.left(topicFilter);
      if ((reasonCodes[place] ?? 0) >= 0x80) continue;
      this.#context.witness.unsubscribed(this.#options.client, topicFilter, now);
    }
  }

  onEnd(end: ClientEnd): void {
    const before = this.#connection;
    if (before === 'none') return;
    const { timers, witness } = this.#context;
    const metrics = this.#context.metrics();
    this.#connection = 'none';
    // A DISCONNECT that was written may have been lost with its connection: then the broker has not heard of it.
    const isDoubtful = before === 'disconnecting' && end.cause !== 'ended' && end.cause !== 'peer';
    witness.ended(this.#options.client, end.silent === true || isDoubtful ? 'silent' : 'closed', timers.now());
    this.#subscriptions.connectionLost();
    this.#dropUnwritten();
    const wasUp = before !== 'opening' && before !== 'aborting';
    if (wasUp) metrics.disconnects++;
    if (before === 'opening') {
      metrics.connectFailures++;
      this.#backOff.failed();
      this.#context.connectFailed?.(this.#options, end);
    }
    this.#forget();
    if (this.#isWanted) this.#retryLater(before === 'opening' || before === 'up');
    if (wasUp) this.#handler.onDown(end);
  }

  // ---- connections

  #connect(): void {
    const { timers, witness, endpoint, run } = this.#context;
    const options = this.#options;
    this.#connection = 'opening';
    this.#connectingAt = timers.now();
    const will = options.will === undefined ? undefined : stampWill(options, options.will, run, ++this.#sequence);
    witness.connecting(options.client, sessionTerms(options), will?.message, this.#connectingAt);
    this.#client.connect(endpoint, this.#path, connectOptions(options, will));
  }

  #retryLater(isFailure: boolean): void {
    const delayMs = isFailure ? this.#backOff.next() : this.#retryDelayMs;
    this.#retryDelayMs = 0;
    this.#retry = this.#context.timers.after(delayMs, () => {
      this.#retry = undefined;
      this.#connect();
    });
  }

  #switchOff(): void {
    this.#isWanted = false;
    if (this.#retry === undefined) return;
    this.#context.timers.cancel(this.#retry);
    this.#retry = undefined;
  }

  #disconnect(sessionExpirySeconds: number | undefined): void {
    this.#switchOff();
    // A client that knows already that its connection is over would not write it.
    if (this.#connection !== 'up' || this.#client.state !== 'connected') return this.#abort();
    this.#connection = 'disconnecting';
    const { witness, timers } = this.#context;
    witness.disconnecting(this.#options.client, false, sessionExpirySeconds, timers.now());
    this.#client.disconnect(sessionExpirySeconds === undefined ? {} : { sessionExpirySeconds });
  }

  /** Ends what there is of a connection without DISCONNECT. */
  #abort(): void {
    if (this.#connection !== 'opening' && this.#connection !== 'up') return;
    this.#connection = this.#connection === 'up' ? 'dropping' : 'aborting';
    this.#client.crash();
  }

  // ---- session

  #forget(): void {
    if (!this.#isForgetting) return;
    this.#isForgetting = false;
    this.#client.forget();
  }

  /** What was acknowledged before is complete now: the broker has it, and forgot the rest of the exchange. */
  #sessionLost(): void {
    this.#subscriptions.sessionLost();
    for (const publication of this.#open.values()) {
      if (publication.reasonCode === -1) continue;
      this.#open.delete(publication.token);
      this.#published(publication, publication.reasonCode);
    }
  }

  /** Gives up what is QoS 0 and was not written before the connection went. */
  #dropUnwritten(): void {
    for (const { qos, token } of this.#open.values()) {
      if (qos === 0 && this.#open.delete(token)) this.#context.metrics().unsent++;
    }
  }

  #sendSubscriptions(): void {
    if (this.#connection !== 'up' || this.#client.state !== 'connected') return;
    const { witness, timers } = this.#context;
    const { client } = this.#options;
    const unwanted = this.#subscriptions.takeUnwanted();
    const wanted = this.#subscriptions.takeWanted();
    const now = timers.now();
    for (const topicFilter of unwanted) witness.unsubscribing(client, topicFilter, now);
    if (unwanted.length > 0) this.#client.unsubscribe(unwanted);
    for (const subscription of wanted) witness.subscribing(client, subscription, now);
    if (wanted.length > 0) this.#client.subscribe(wanted);
  }

  // ---- messages on their way out

  get #hasRoom(): boolean {
    return this.#client.inFlight < this.#window;
  }

  #keep(publication: Publication): boolean {
    const { offlineMax } = this.#options;
    const limit = this.#connection === 'up' ? Math.max(offlineMax, windowQueueMax) : offlineMax;
    if (this.#outbox.length >= limit) {
      this.#context.metrics().unsent++;
      if (!this.#outbox.dropQos0()) return false;
    }
    this.#outbox.push(publication);
    return true;
  }

  #flush(): void {
    while (this.#connection === 'up') {
      const first = this.#outbox.first();
      if (first === undefined || (first.qos > 0 && !this.#hasRoom)) return;
      this.#outbox.shift();
      this.#hand(first, this.#context.timers.now());
    }
  }

  #hand(publication: Publication, now: number): boolean {
    const { qos } = publication;
    if (qos === 0 && this.#client.bufferedBytes > bufferedBytesMax) {
      this.#context.metrics().unsent++;
      return false;
    }
    number(publication, this.#context.run, this.#options.client, ++this.#sequence);
    if (qos > 0) this.#open.set(publication.token, publication);
    const outer = this.#handing;
    this.#handing = publication;
    this.#handingAt = now;
    const isTaken = this.#client.publish(publication);
    this.#handing = outer;
    if (!isTaken) this.#context.metrics().unsent++;
    else if (qos === 0 && !publication.isSent) this.#open.set(publication.token, publication);
    return isTaken;
  }

  #published({ reference }: Publication, reasonCode: number): void {
    if (reference !== undefined) this.#handler.onPublished(reference, reasonCode);
  }
}
