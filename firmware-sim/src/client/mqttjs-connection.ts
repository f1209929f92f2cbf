import { type IClientOptions, type ISubscriptionMap, MqttClient } from 'mqtt';
import type { IConnackPacket, IPublishPacket, Packet } from 'mqtt-packet';
import type { TimerHandle, Timers } from '../lib/timers.ts';
import type { Endpoint } from '../wire/endpoint.ts';
import type { LinkEnd, LinkFactory } from '../wire/link.ts';
import type { NetworkPath } from '../wire/network-path.ts';
import type {
  ClientEnd,
  ConnectOptions,
  IncomingMessage,
  MessageProperties,
  OutgoingMessage,
  SubscribeOptions,
} from './client.ts';
import type { SessionConnection } from './client-session.ts';
import { connectedOf, disconnectedEnd, refusedEnd } from './endings.ts';
import { LinkStream } from './link-stream.ts';
import { Malformed } from './malformed.ts';
import { closeTimeoutMs, connackTimeoutMs } from './packet-connection.ts';
import type { LeasedStore, PacketStores } from './packet-store.ts';
import { puback, pubcomp, pubrec } from './packet-types.ts';
import { connectProperties, encodableWill, encodeDisconnect, foreignProperties } from './packet-writer.ts';
import type { ClientConnection, ClientState } from './session-client.ts';

/** What the clients of one thread share. */
export interface MqttjsContext {
  readonly links: LinkFactory;
  readonly timers: Timers;
}

/**
 * One connection of a client, on a client of MQTT.js made for it: packets, acknowledgements, keep alive and sending
 * again are the library's; the window, packet ids and what is told of it all are the session's. MQTT.js tells a QoS 2
 * message at PUBREL, and sends again one message after the other, each when the one before is complete.
 *
 *     opening -> up (-> ready: everything is sent again) -> closing -> over
 */
export class MqttjsConnection implements ClientConnection, SessionConnection {
  readonly #context: MqttjsContext;
  readonly #client: ClientState<PacketStores>;
  readonly #options: ConnectOptions;
  readonly #onOver: (end: ClientEnd) => void;
  readonly #incoming: LeasedStore;
  readonly #outgoing: LeasedStore;
  readonly #stream: LinkStream;
  readonly #library: MqttClient;
  #phase: 'opening' | 'up' | 'closing' | 'over' = 'opening';
  #timer: TimerHandle | undefined;
  #failure: ClientEnd | undefined;
  /** Of the request or message that MQTT.js is about to be given; it asks for one each. */
  #packetId = 0;
  /** Requests made before everything was sent again, which MQTT.js would number when it pleases; undefined afterwards. */
  #early: (() => void)[] | undefined = [];

  /** @param onOver is told once that the connection is over, unless it was frozen. */
  constructor(
    context: MqttjsContext,
    client: ClientState<PacketStores>,
    options: ConnectOptions,
    onOver: (end: ClientEnd) => void,
  ) {
    this.#context = context;
    this.#client = client;
    this.#options = options;
    this.#onOver = onOver;
    this.#incoming = client.memory.incoming.lease();
    this.#outgoing = client.memory.outgoing.lease();
    this.#stream = new LinkStream((end) => this.#onLinkEnd(end));
    this.#library = new MqttClient(() => this.#stream, {
      ...libraryOptions(options),
      incomingStore: this.#incoming,
      outgoingStore: this.#outgoing,
      timerVariant: intervals(context.timers),
      messageIdProvider: {
        allocate: () => this.#packetId,
        getLastAllocated: () => this.#packetId,
        register: () => true,
        deallocate: () => undefined,
        clear: () => undefined,
      },
    });
  }

  get state(): 'connecting' | 'connected' | 'closing' {
    if (this.#phase === 'up') return 'connected';
    return this.#phase === 'closing' ? 'closing' : 'connecting';
  }

  get isUp(): boolean {
    return this.#phase === 'up';
  }

  get bufferedBytes(): number {
    return this.#stream.bufferedBytes;
  }

  open(endpoint: Endpoint, path: NetworkPath): void {
    const library = this.#library;
    this.#timer = this.#context.timers.after(connackTimeoutMs, () => this.#timedOut());
    library.on('packetreceive', (packet) => this.#onPacket(packet));
    library.on('message', (topicName, payload, packet) => this.#onMessage(topicName, payload, packet));
    library.on('connect', () => this.#onReady());
    library.on('error', (error) => this.#onError(error));
    this.#stream.open(this.#context.links, endpoint, path);
    library.connect();
  }

  publish(message: OutgoingMessage, packetId: number): void {
    const { topicName, payload, qos, retain, properties } = message;
    this.#packetId = packetId;
    const isNamed = properties !== undefined && this.#options.version === 5;
    this.#library.publish(topicName, payload, {
      qos,
      retain,
      ...(isNamed && { properties: foreignProperties(properties) }),
    });
  }

  /** MQTT.js answers PUBREC by itself. */
  release(): void {
    return undefined;
  }

  subscribe(subscriptions: readonly SubscribeOptions[], packetId: number): void {
    if (this.#early !== undefined) {
      this.#early.push(() => this.subscribe(subscriptions, packetId));
      return;
    }
    const map = Object.create(null) as ISubscriptionMap;
    for (const { topicFilter, qos, noLocal, retainAsPublished, retainHandling } of subscriptions) {
      map[topicFilter] = { qos, nl: noLocal === true, rap: retainAsPublished === true, rh: retainHandling ?? 0 };
    }
    this.#packetId = packetId;
    this.#library.subscribe(map, (error) => this.#refuseInvalid(error, 'subscribe', packetId, subscriptions.length));
  }

  unsubscribe(topicFilters: readonly string[], packetId: number): void {
    if (this.#early !== undefined) {
      this.#early.push(() => this.unsubscribe(topicFilters, packetId));
      return;
    }
    this.#packetId = packetId;
    this.#library.unsubscribe([...topicFilters], (error) =>
      this.#refuseInvalid(error, 'unsubscribe', packetId, topicFilters.length),
    );
  }

  disconnect(sessionExpirySeconds: number | undefined, withWill: boolean): void {
    if (this.#phase === 'opening' && !this.#stream.isOpen) return this.drop();
    if (this.#phase !== 'opening' && this.#phase !== 'up') return;
    this.#phase = 'closing';
    this.#closeStores();
    this.#disarm();
    this.#timer = this.#context.timers.after(closeTimeoutMs, () => this.#timedOut());
    // MQTT.js would wait until everything is acknowledged.
    this.#stream.close(encodeDisconnect(this.#options.version, sessionExpirySeconds, withWill));
  }

  /** Closes without DISCONNECT. */
  drop(): void {
    this.#fail({ cause: 'destroyed', text: 'dropped by the device' });
  }

  freeze(forMs: number): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#stream.freeze(forMs);
    this.#leave();
  }

  #onPacket(packet: Packet): void {
    if (this.#phase === 'closing' || this.#phase === 'over') return;
    try {
      this.#take(packet);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#fail({ cause: 'malformed', text: `the broker sent ${error.message}` });
    }
  }

  #take(packet: Packet): void {
    const { session } = this.#client;
    const { messageId = 0 } = packet;
    switch (packet.cmd) {
      case 'connack':
        return this.#onConnack(packet);
      case 'puback':
        return session.onAcknowledgement(puback, messageId, packet.reasonCode ?? 0);
      case 'pubrec':
        return session.onAcknowledgement(pubrec, messageId, packet.reasonCode ?? 0);
      case 'pubcomp':
        return session.onAcknowledgement(pubcomp, messageId, packet.reasonCode ?? 0);
      case 'suback':
        return session.onAnswer('subscribe', messageId, packet.granted as number[]);
      case 'unsuback':
        return session.onAnswer('unsubscribe', messageId, this.#options.version === 5 ? packet.granted : undefined);
      case 'disconnect':
        if (this.#options.version < 5) throw new Malformed('DISCONNECT where it must not come');
        return this.#fail(disconnectedEnd(packet));
      case 'publish':
        if (this.#phase !== 'up') throw new Malformed('PUBLISH before CONNACK');
        if (packet.qos > 0 && messageId === 0) throw new Malformed('PUBLISH with packet id 0');
        return;
      case 'pubrel':
      case 'pingresp':
        return;
      case 'auth':
      case 'connect':
      case 'pingreq':
      case 'subscribe':
      case 'unsubscribe':
        throw new Malformed(`${packet.cmd.toUpperCase()} where it must not come`);
    }
  }

  #onConnack(packet: IConnackPacket): void {
    if (this.#phase !== 'opening') throw new Malformed('CONNACK where it must not come');
    const { version, cleanStart } = this.#options;
    const refusal = refusedEnd(packet, version, packet.length ?? 0);
    if (refusal !== undefined) return this.#fail(refusal);
    const connected = connectedOf(packet, version, this.#options);
    const isResumed = !cleanStart && connected.sessionPresent;
    if (!isResumed) {
      // MQTT.js would send it all again.
      this.#client.memory.clear();
    }
    // MQTT.js takes nothing before it has seen to CONNACK itself, and reads no other packet in this turn.
    process.nextTick(() => {
      if (this.#phase !== 'opening') return;
      this.#phase = 'up';
      this.#disarm();
      this.#client.session.connected(this, connected, isResumed);
    });
  }

  #onReady(): void {
    if (this.#phase !== 'up') return;
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const request of early) request();
    this.#client.session.resume();
  }

  #onMessage(topicName: string, payload: Buffer, packet: IPublishPacket): void {
    if (this.#phase !== 'up') return;
    const { messageId, qos, retain, properties } = packet;
    // What is told is done: the device may go down over it, and PUBREL come again.
    if (qos === 2 && messageId !== undefined) this.#client.memory.incoming.packets.delete(messageId);
    const message: IncomingMessage = {
      topicName,
      payload,
      qos,
      retain,
      // The store sets it for what goes out, and QoS 2 messages come out of the store.
      dup: qos === 1 && packet.dup,
      properties: properties === undefined ? undefined : ownProperties(properties),
    };
    this.#client.handler.onMessage(message);
  }

  #onError(error: Error & { readonly code?: unknown }): void {
    if (this.#phase === 'closing' || this.#phase === 'over') return;
    if (error.message === 'Keepalive timeout') this.#fail({ cause: 'timeout', text: 'no PINGRESP in time' });
    else if (typeof error.code === 'string') this.#fail({ cause: 'error', text: error.message });
    else this.#fail({ cause: 'malformed', text: `the broker sent what MQTT.js does not take: ${error.message}` });
  }

  #onLinkEnd(end: LinkEnd): void {
    if (this.#phase === 'over') return;
    if (end.cause === 'destroyed' && this.#failure === undefined) {
      // MQTT.js drops its stream first and says why afterwards.
      process.nextTick(() => this.#finish(end));
    } else {
      this.#finish(end);
    }
  }

  #timedOut(): void {
    this.#timer = undefined;
    if (this.#phase === 'closing') return this.#fail({ cause: 'ended', text: 'ended, and the broker did not close' });
    const what = this.#stream.isOpen ? 'no CONNACK' : 'no connection';
    this.#fail({ cause: 'timeout', text: `${what} within ${connackTimeoutMs / 1000} s` });
  }

  #fail(end: ClientEnd): void {
    if (this.#phase === 'over') return;
    this.#failure ??= end;
    this.#stream.destroy();
    this.#finish({ cause: 'destroyed', text: end.text });
  }

  #finish(end: LinkEnd): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#leave();
    const { cause, text, reasonCode } = this.#failure ?? { ...end, reasonCode: undefined };
    const isSilent = end.silent === true;
    this.#onOver({ cause, text, ...(reasonCode !== undefined && { reasonCode }), ...(isSilent && { silent: true }) });
  }

  #leave(): void {
    this.#disarm();
    this.#closeStores();
    this.#library.end(true);
    this.#client.session.disconnected();
  }

  /** MQTT.js goes on with the packets it has read, and would settle what nobody was told of. */
  #closeStores(): void {
    this.#incoming.close();
    this.#outgoing.close();
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#context.timers.cancel(this.#timer);
    this.#timer = undefined;
  }

  /** MQTT.js does not send a filter that it finds invalid: as if the broker had refused all of the request. */
  #refuseInvalid(error: unknown, kind: 'subscribe' | 'unsubscribe', packetId: number, filters: number): void {
    if (!(error instanceof Error) || !error.message.startsWith('Invalid topic') || this.#phase !== 'up') return;
    this.#client.session.onAnswer(
      kind,
      packetId,
      Array.from({ length: filters }, () => 0x8f),
    );
  }
}

function libraryOptions(options: ConnectOptions): IClientOptions {
  const { version, username, password, will } = options;
  return {
    protocolVersion: version,
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    clientId: options.clientId,
    clean: options.cleanStart,
    keepalive: options.keepAliveSeconds,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(will !== undefined && { will: encodableWill(will, version) }),
    ...(version === 5 && { properties: connectProperties(options) }),
    manualConnect: true,
    reconnectPeriod: 0,
    resubscribe: false,
    autoUseTopicAlias: false,
    autoAssignTopicAlias: false,
    // The connection keeps this time itself, on the clock of the simulator.
    connectTimeout: 2 ** 31 - 1,
  };
}

/** Intervals on the simulator's timers, for the keep alive of MQTT.js. */
function intervals(timers: Timers): NonNullable<IClientOptions['timerVariant']> {
  const set = (callback: () => void, everyMs: number): { timer: TimerHandle } => {
    const fire = (): void => {
      interval.timer = timers.after(everyMs, fire);
      callback();
    };
    const interval = { timer: timers.after(everyMs, fire) };
    return interval;
  };
  const clear = (interval: { timer: TimerHandle }): void => timers.cancel(interval.timer);
  // Declared for numbers; MQTT.js only hands them back.
  return { set, clear } as unknown as NonNullable<IClientOptions['timerVariant']>;
}

function ownProperties(properties: NonNullable<IPublishPacket['properties']>): MessageProperties {
  const { contentType, responseTopic, correlationData, messageExpiryInterval, userProperties } = properties;
  return {
    ...(contentType !== undefined && { contentType }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData }),
    ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
    ...(userProperties !== undefined && { userProperties: singleValues(userProperties) }),
  };
}

/** The last value of each name. */
function singleValues(
  pairs: NonNullable<NonNullable<IPublishPacket['properties']>['userProperties']>,
): Record<string, string> {
  const single = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(pairs))
    single[name] = typeof value === 'string' ? value : (value.at(-1) ?? '');
  return single;
}
