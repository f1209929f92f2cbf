import type { Socket } from 'node:net';
import {
  generate,
  type IConnectPacket,
  type IDisconnectPacket,
  type IPublishPacket,
  type ISubscribePacket,
  type IUnsubscribePacket,
  type Packet,
  parser,
} from 'mqtt-packet';
import type { Router } from './router.ts';
import type { PacketSink, RoutedMessage, Session, Subscription } from './session.ts';

/** The will of a connection. */
export interface BrokerWill {
  readonly message: RoutedMessage;
  readonly delaySeconds: number;
}

/** What a connection asks of its broker. */
export interface ConnectionOwner {
  readonly router: Router;
  /** QoS 2 messages are routed when PUBREL comes, and otherwise with their PUBLISH; the standard allows both. */
  readonly routesOnRelease: boolean;
  /** A CONNECT: finds or makes the session, and ends the client's last connection. */
  accept(connection: BrokerConnection): { readonly session: Session; readonly sessionPresent: boolean };
  /** The connection is gone; DISCONNECT came before where `isClean`. */
  ended(connection: BrokerConnection, isClean: boolean): void;
}

/** One network connection of the broker, from CONNECT to its end. */
export class BrokerConnection implements PacketSink {
  clientId = '';
  version = 4;
  cleanStart = true;
  expirySeconds = 0;
  receiveMaximum = 65_535;
  will: BrokerWill | undefined;
  session: Session | undefined;
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  #keepAlive: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.#socket = socket;
    this.#owner = owner;
    const packets = parser();
    packets.on('packet', (packet) => this.#onPacket(packet));
    packets.on('error', () => this.drop());
    socket.on('data', (chunk) => {
      this.#keepAlive?.refresh();
      if (!this.#isOver) packets.parse(chunk as Buffer);
    });
    socket.on('error', () => this.drop());
    socket.on('close', () => this.#over(false));
  }

  send(packet: Packet): void {
    if (!this.#socket.writable) return;
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      process.nextTick(() => this.#socket.uncork());
    }
    this.#socket.write(generate(packet, { protocolVersion: this.version }));
  }

  /** The client has come on another connection. */
  takeOver(): void {
    if (this.version === 5) this.send({ cmd: 'disconnect', reasonCode: 0x8e });
    this.#socket.end();
    this.#over(false);
  }

  drop(): void {
    this.#socket.destroy();
    this.#over(false);
  }

  /** Goes without a word to its owner, as in a crash of the broker. */
  vanish(): void {
    this.#isOver = true;
    clearTimeout(this.#keepAlive);
    this.session?.detach();
    this.#socket.destroy();
  }

  #over(isClean: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#keepAlive);
    if (this.session !== undefined) this.#owner.ended(this, isClean);
  }

  #onPacket(packet: Packet): void {
    if (this.#isOver) return;
    if (this.session === undefined) {
      if (packet.cmd === 'connect') this.#onConnect(packet);
      else this.drop();
      return;
    }
    const { session } = this;
    if (packet.cmd === 'publish') this.#onPublish(packet, session);
    else if (packet.cmd === 'puback' || packet.cmd === 'pubrec' || packet.cmd === 'pubcomp') {
      session.acknowledge(packet.cmd, packet.messageId ?? 0, packet.reasonCode ?? 0);
    } else if (packet.cmd === 'pubrel') {
      this.#onPubrel(packet.messageId ?? 0, session);
    } else if (packet.cmd === 'subscribe') this.#onSubscribe(packet, session);
    else if (packet.cmd === 'unsubscribe') this.#onUnsubscribe(packet, session);
    else if (packet.cmd === 'pingreq') this.send({ cmd: 'pingresp' });
    else if (packet.cmd === 'disconnect') this.#onDisconnect(packet, session);
    else this.drop();
  }

  #onConnect(packet: IConnectPacket): void {
    const { clientId, properties, keepalive = 0 } = packet;
    this.clientId = clientId;
    this.version = packet.protocolVersion ?? 4;
    this.cleanStart = packet.clean ?? true;
    this.receiveMaximum = properties?.receiveMaximum ?? 65_535;
    const expiry = properties?.sessionExpiryInterval ?? 0;
    if (this.version === 5) this.expirySeconds = expiry === 0xffff_ffff ? Number.POSITIVE_INFINITY : expiry;
    else this.expirySeconds = this.cleanStart ? 0 : Number.POSITIVE_INFINITY;
    this.will = willOf(packet);
    const { session, sessionPresent } = this.#owner.accept(this);
    this.session = session;
    if (keepalive > 0) this.#keepAlive = setTimeout(() => this.drop(), 1500 * keepalive);
    const isTold = sessionPresent && this.version !== 3;
    if (this.version === 5) this.send({ cmd: 'connack', reasonCode: 0, sessionPresent: isTold });
    else this.send({ cmd: 'connack', returnCode: 0, sessionPresent: isTold });
    session.attach(this, this.receiveMaximum);
  }

  #onPublish(packet: IPublishPacket, session: Session): void {
    const { qos, messageId = 0 } = packet;
    const message = messageOf(packet, this.clientId);
    const { router, routesOnRelease } = this.#owner;
    if (qos < 2) router.route(message);
    else if (!session.received.has(messageId)) {
      session.received.set(messageId, routesOnRelease ? message : undefined);
      if (!routesOnRelease) router.route(message);
    }
    if (qos === 1) this.send({ cmd: 'puback', messageId });
    else if (qos === 2) this.send({ cmd: 'pubrec', messageId });
  }

  #onPubrel(messageId: number, session: Session): void {
    const message = session.received.get(messageId);
    session.received.delete(messageId);
    if (message !== undefined) this.#owner.router.route(message);
    this.send({ cmd: 'pubcomp', messageId });
  }

  #onSubscribe(packet: ISubscribePacket, session: Session): void {
    const replayed: Subscription[] = [];
    const granted: number[] = [];
    for (const { topic, qos, nl, rap, rh } of packet.subscriptions) {
      const [, group, filter] = /^\$share\/([^/]+)\/(.+)$/u.exec(topic) ?? [];
      const subscription: Subscription = {
        topicFilter: filter ?? topic,
        group,
        qos,
        noLocal: nl ?? false,
        retainAsPublished: rap ?? false,
      };
      const isWanted = rh === undefined || rh === 0 || (rh === 1 && !session.subscriptions.has(topic));
      if (isWanted && group === undefined) replayed.push(subscription);
      session.subscriptions.set(topic, subscription);
      granted.push(qos);
    }
    this.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted });
    for (const subscription of replayed) this.#owner.router.replay(session, subscription);
  }

  #onUnsubscribe(packet: IUnsubscribePacket, session: Session): void {
    const granted = packet.unsubscriptions.map((topic) => (session.subscriptions.delete(topic) ? 0 : 0x11));
    this.send({ cmd: 'unsuback', messageId: packet.messageId ?? 0, granted });
  }

  #onDisconnect(packet: IDisconnectPacket, session: Session): void {
    session.expirySeconds = packet.properties?.sessionExpiryInterval ?? session.expirySeconds;
    this.#socket.end();
    this.#over(packet.reasonCode !== 4);
  }
}

function messageOf(packet: IPublishPacket, publisherId: string): RoutedMessage {
  const { topic, payload, qos, retain, properties } = packet;
  return { publisherId, topicName: topic, payload: Buffer.from(payload), qos, retain, properties };
}

function willOf({ will, clientId }: IConnectPacket): BrokerWill | undefined {
  if (will === undefined) return undefined;
  const { topic, payload, qos = 0, retain = false, properties = {} } = will;
  const { willDelayInterval = 0, ...rest } = properties;
  const message = messageOf({ cmd: 'publish', topic, payload, qos, retain, dup: false, properties: rest }, clientId);
  return { message, delaySeconds: willDelayInterval };
}
