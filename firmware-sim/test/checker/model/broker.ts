import type { SubscribeOptions } from '../../../src/client/client.ts';
import { naiveMatch } from './naive-match.ts';
import { type ModelEnd, type ModelMessage, type ModelPacket, type ModelWill, Pipe, type World } from './wire.ts';

/** What correct brokers do differently. */
export interface BrokerHabits {
  readonly routesQos2At: 'publish' | 'pubrel';
  readonly overlaps: 'one' | 'copies';
  /** Retained messages are sent when there is time, as they are then. */
  readonly replaysLazily: boolean;
  readonly queuesQos0: boolean;
  readonly inFlightMax: number;
}

/** Faults that can be planted; each answers whether to do it now. */
export interface Plants {
  draw(plant: Plant, message: ModelMessage | undefined, taker: number): boolean;
}

export type Plant =
  | 'lose'
  | 'duplicate'
  | 'repeat'
  | 'reorder'
  | 'corrupt'
  | 'leak'
  | 'phantom'
  | 'wrong-topic'
  | 'stale'
  | 'no-retained'
  | 'no-will'
  | 'second-will'
  | 'clean-will'
  | 'session-lost'
  | 'session-invented';

interface Outgoing {
  readonly message: ModelMessage;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly group: string | undefined;
  readonly expiresAt: number;
  readonly isDamaged: boolean;
  /** It has changed places with another one. */
  isMoved: boolean;
  state: 'waiting' | 'sent' | 'released';
}

interface Session {
  readonly client: number;
  readonly subscriptions: Map<string, SubscribeOptions>;
  readonly queue: Outgoing[];
  /** Subscriptions that are still to get what is retained, on this connection. */
  replays: SubscribeOptions[];
  readonly inFlight: Map<number, Outgoing>;
  /** QoS 2 messages that were not released. */
  readonly received: Map<number, ModelMessage>;
  lastId: number;
  expirySeconds: number;
  connection: Connection | undefined;
  /** Of connections and their ends: what waits for an older one is off. */
  generation: number;
  will: ModelWill | undefined;
}

/** A correct MQTT broker in simulated time, whose state survives a kill; faults are planted from outside. */
export class ModelBroker {
  readonly world: World;
  readonly habits: BrokerHabits;
  readonly plants: Plants;
  readonly sessions: Map<number, Session> = new Map();
  readonly #retained: Map<string, { readonly last: ModelMessage; readonly before: ModelMessage | undefined }> =
    new Map();
  readonly #connections: Set<Connection> = new Set();
  #sessionCount = 0;
  isUp = true;

  constructor(world: World, habits: BrokerHabits, plants: Plants) {
    this.world = world;
    this.habits = habits;
    this.plants = plants;
  }

  /** @returns the pipe, or undefined where nobody listens. */
  connect(client: ModelEnd): Pipe | undefined {
    if (!this.isUp) return undefined;
    const connection = new Connection(this);
    connection.pipe = new Pipe(this.world, client, connection);
    this.#connections.add(connection);
    return connection.pipe;
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Dies; what it told anybody is on disk. Wills of those that were connected are published at the restart, or not. */
  kill(): void {
    this.isUp = false;
    for (const connection of this.#connections) connection.pipe?.kill();
    this.#connections.clear();
    for (const session of this.sessions.values()) {
      session.generation++;
      session.connection = undefined;
    }
  }

  restart(): void {
    this.isUp = true;
    for (const session of [...this.sessions.values()]) {
      const { will } = session;
      session.will = undefined;
      if (will !== undefined && this.world.random.chance(0.5)) this.route(will.message);
      if (session.expirySeconds === 0) this.endSession(session);
      else this.#expireLater(session);
    }
  }

  accept(connection: Connection, packet: Extract<ModelPacket, { kind: 'connect' }>): Session {
    const { client, cleanStart, expirySeconds, will } = packet;
    let session = this.sessions.get(client);
    session?.connection?.takeOver();
    session = this.sessions.get(client);
    if (session !== undefined) {
      if (!cleanStart)
        session.will = undefined; // Back in time.
      else this.endSession(session);
    }
    session = this.sessions.get(client);
    const isEmpty = session?.queue.length === 0 && session.inFlight.size === 0 && session.received.size === 0;
    if (session !== undefined && isEmpty && this.plants.draw('session-lost', undefined, client)) {
      this.endSession(session);
      session = undefined;
    }
    let sessionPresent = session !== undefined;
    if (cleanStart && this.plants.draw('session-invented', undefined, client)) sessionPresent = true;
    session ??= this.#create(client);
    session.generation++;
    session.replays = [];
    session.connection = connection;
    session.expirySeconds = expirySeconds;
    session.will = will;
    connection.send({ kind: 'connack', sessionPresent });
    for (const [id, outgoing] of session.inFlight) {
      if (outgoing.state === 'released') connection.send({ kind: 'pubrel', id });
      else this.#transmit(connection, outgoing, id, true);
    }
    this.pump(session);
    return session;
  }

  /** The connection of a session is gone. */
  ended(session: Session, isClean: boolean): void {
    session.connection = undefined;
    const generation = ++session.generation;
    const { will } = session;
    if (isClean && will !== undefined && this.plants.draw('clean-will', will.message, session.client)) {
      this.route(will.message);
    }
    if (isClean) session.will = undefined;
    if (session.expirySeconds === 0) {
      this.endSession(session);
      return;
    }
    if (session.will !== undefined) {
      const { delaySeconds } = session.will;
      if (delaySeconds === 0) this.#publishWill(session);
      else {
        this.world.after(delaySeconds * 1000, () => {
          if (session.generation === generation && this.isUp) this.#publishWill(session);
        });
      }
    }
    this.#expireLater(session);
  }

  endSession(session: Session): void {
    if (this.sessions.get(session.client) !== session) return;
    this.sessions.delete(session.client);
    session.generation++;
    session.connection = undefined;
    this.#publishWill(session);
    this.#handOn([...session.inFlight.values(), ...session.queue]);
  }

  subscribe(session: Session, subscription: SubscribeOptions): void {
    const { topicFilter, retainHandling = 0 } = subscription;
    const isNew = !session.subscriptions.has(topicFilter);
    session.subscriptions.set(topicFilter, subscription);
    session.connection?.send({ kind: 'suback', topicFilter, reasonCode: subscription.qos });
    if (topicFilter.startsWith('$share/') || retainHandling === 2 || (retainHandling === 1 && !isNew)) return;
    const { generation } = session;
    session.replays.push(subscription);
    const replay = (): void => {
      if (session.generation === generation) this.#replay(session, subscription);
    };
    if (this.habits.replaysLazily) this.world.after(this.world.random.between(0, 5), replay);
    else replay();
  }

  unsubscribe(session: Session, topicFilter: string): void {
    for (const replay of session.replays.filter((one) => one.topicFilter === topicFilter))
      this.#replay(session, replay);
    session.subscriptions.delete(topicFilter);
    const own = session.queue.filter(({ group, state }) => group === topicFilter && state === 'waiting');
    for (const outgoing of own) session.queue.splice(session.queue.indexOf(outgoing), 1);
    this.#handOn(own);
    session.connection?.send({ kind: 'unsuback', topicFilter });
  }

  route(message: ModelMessage): void {
    if (message.retain) {
      if (message.isEmpty) this.#retained.delete(message.topicName);
      else {
        const before = this.#retained.get(message.topicName)?.last;
        this.#retained.set(message.topicName, { last: message, before });
      }
    }
    const groups: Set<string> = new Set();
    for (const session of this.sessions.values()) {
      const matching: SubscribeOptions[] = [];
      for (const subscription of session.subscriptions.values()) {
        const { topicFilter, noLocal } = subscription;
        if (topicFilter.startsWith('$share/')) {
          if (naiveMatch(filterOf(topicFilter), message.topicName)) groups.add(topicFilter);
        } else if (
          naiveMatch(topicFilter, message.topicName) &&
          !(noLocal === true && session.client === message.client)
        ) {
          matching.push(subscription);
        }
      }
      this.#deliver(session, message, matching);
    }
    for (const group of groups) this.#toMember(group, message);
  }

  /** Sends what the window takes. */
  pump(session: Session): void {
    const { connection, queue, inFlight } = session;
    while (connection !== undefined && queue.length > 0) {
      const next = queue[0] as Outgoing;
      if (next.expiresAt <= this.world.now) {
        queue.shift();
        continue;
      }
      if (next.qos > 0 && inFlight.size >= this.habits.inFlightMax) return;
      queue.shift();
      if (next.qos === 0) this.#transmit(connection, next, 0, false);
      else {
        next.state = 'sent';
        inFlight.set(++session.lastId, next);
        this.#transmit(connection, next, session.lastId, false);
      }
    }
  }

  #deliver(session: Session, message: ModelMessage, matching: readonly SubscribeOptions[]): void {
    if (matching.length === 0) {
      if (this.plants.draw('leak', message, session.client)) this.#enqueue(session, message, message.qos, {});
      return;
    }
    const highest = Math.max(...matching.map(({ qos }) => qos));
    const copies =
      this.habits.overlaps === 'copies'
        ? matching
        : [{ qos: highest, retainAsPublished: matching.some((one) => one.retainAsPublished === true) }];
    for (const { qos, retainAsPublished } of copies) {
      const retain = retainAsPublished === true && message.retain;
      this.#enqueue(session, message, Math.min(qos, message.qos) as 0 | 1 | 2, { retain });
    }
  }

  #enqueue(
    session: Session,
    message: ModelMessage,
    qos: 0 | 1 | 2,
    { retain = false, group }: { readonly retain?: boolean; readonly group?: string },
  ): void {
    if (qos === 0 && session.connection === undefined && !this.habits.queuesQos0) return;
    const { plants, world } = this;
    if (plants.draw('lose', message, session.client)) return;
    const expiresAt = world.now + (message.expirySeconds ?? Number.POSITIVE_INFINITY) * 1000;
    const isDamaged = plants.draw('corrupt', message, session.client);
    const outgoing: Outgoing = { message, qos, retain, group, expiresAt, isDamaged, isMoved: false, state: 'waiting' };
    const last = session.queue.at(-1);
    const isPair =
      last?.isMoved === false &&
      last.message.client === message.client &&
      last.message.topicName === message.topicName &&
      last.message.qos === message.qos &&
      last.message.sequence < message.sequence;
    if (isPair && plants.draw('reorder', message, session.client)) {
      outgoing.isMoved = last.isMoved = true;
      session.queue.splice(-1, 0, outgoing);
    } else session.queue.push(outgoing);
    if (plants.draw('wrong-topic', message, session.client)) {
      session.queue.push({ ...outgoing, message: { ...message, topicName: `${message.topicName}/wrong` } });
    }
    if (plants.draw('phantom', message, session.client)) {
      session.queue.push({ ...outgoing, message: { ...message, sequence: message.sequence + 1_000_000 } });
    }
    const again = qos === 1 ? 'repeat' : 'duplicate';
    if (plants.draw(again, message, session.client)) session.queue.push({ ...outgoing });
    this.world.after(0.2, () => this.pump(session));
  }

  #toMember(group: string, message: ModelMessage): void {
    const members = [...this.sessions.values()].filter(({ subscriptions }) => subscriptions.has(group));
    const present = members.filter(({ connection }) => connection !== undefined);
    const able = present.length > 0 && this.world.random.chance(0.9) ? present : members;
    if (able.length === 0) return;
    const session = this.world.random.pick(able);
    const granted = session.subscriptions.get(group)?.qos ?? 0;
    this.#enqueue(session, message, Math.min(granted, message.qos) as 0 | 1 | 2, { group });
  }

  /** What a member of a group leaves behind goes to others, unless it may have been delivered with QoS 2. */
  #handOn(left: readonly Outgoing[]): void {
    for (const { group, message, qos, state } of left) {
      if (group !== undefined && (qos === 1 || state === 'waiting')) this.#toMember(group, message);
    }
  }

  #replay(session: Session, subscription: SubscribeOptions): void {
    const place = session.replays.indexOf(subscription);
    if (place === -1) return;
    session.replays.splice(place, 1);
    for (const [topicName, { last, before }] of this.#retained) {
      if (!naiveMatch(subscription.topicFilter, topicName)) continue;
      if (this.plants.draw('no-retained', last, session.client)) continue;
      const isStale = before !== undefined && this.plants.draw('stale', last, session.client);
      const message = isStale ? before : last;
      const qos = Math.min(subscription.qos, message.qos) as 0 | 1 | 2;
      const expiresAt = Number.POSITIVE_INFINITY;
      session.queue.push({
        message,
        qos,
        retain: true,
        group: undefined,
        expiresAt,
        isDamaged: false,
        isMoved: false,
        state: 'waiting',
      });
    }
    this.pump(session);
  }

  #transmit(connection: Connection, { message, qos, retain, isDamaged }: Outgoing, id: number, dup: boolean): void {
    connection.send({ kind: 'publish', message, qos, retain, dup, id, isDamaged });
  }

  #publishWill(session: Session): void {
    const { will } = session;
    session.will = undefined;
    if (will === undefined || this.plants.draw('no-will', will.message, session.client)) return;
    this.route(will.message);
    if (this.plants.draw('second-will', will.message, session.client)) this.route(will.message);
  }

  #expireLater(session: Session): void {
    const { generation, expirySeconds } = session;
    if (expirySeconds === Number.POSITIVE_INFINITY) return;
    this.world.after(expirySeconds * 1000, () => {
      if (session.generation === generation && this.isUp) this.endSession(session);
    });
  }

  #create(client: number): Session {
    const session: Session = {
      client,
      subscriptions: new Map(),
      queue: [],
      replays: [],
      inFlight: new Map(),
      received: new Map(),
      lastId: this.#sessionCount++ * 100_000,
      expirySeconds: 0,
      connection: undefined,
      generation: 0,
      will: undefined,
    };
    this.sessions.set(client, session);
    return session;
  }
}

/** The broker's end of a connection. */
class Connection implements ModelEnd {
  pipe: Pipe | undefined;
  readonly #broker: ModelBroker;
  #session: Session | undefined;
  #isOver = false;

  constructor(broker: ModelBroker) {
    this.#broker = broker;
  }

  send(packet: ModelPacket): void {
    if (!this.#isOver) this.pipe?.toClient(packet);
  }

  takeOver(): void {
    this.pipe?.closeByBroker();
    this.#over(false);
  }

  onClosed(): void {
    this.#over(false);
  }

  onPacket(packet: ModelPacket): void {
    if (this.#isOver) return;
    if (packet.kind === 'connect') {
      this.#session = this.#broker.accept(this, packet);
      return;
    }
    const session = this.#session;
    if (session !== undefined) this.#onPacket(packet, session);
  }

  #onPacket(packet: ModelPacket, session: Session): void {
    switch (packet.kind) {
      case 'publish':
        return this.#onPublish(packet, session);
      case 'pubrel': {
        const message = session.received.get(packet.id);
        session.received.delete(packet.id);
        if (message !== undefined && this.#broker.habits.routesQos2At === 'pubrel') this.#broker.route(message);
        return this.send({ kind: 'pubcomp', id: packet.id });
      }
      case 'puback':
      case 'pubcomp':
        session.inFlight.delete(packet.id);
        return this.#broker.pump(session);
      case 'pubrec': {
        const outgoing = session.inFlight.get(packet.id);
        if (outgoing !== undefined) outgoing.state = 'released';
        return this.send({ kind: 'pubrel', id: packet.id });
      }
      case 'subscribe':
        return this.#broker.subscribe(session, packet.subscription);
      case 'unsubscribe':
        return this.#broker.unsubscribe(session, packet.topicFilter);
      case 'disconnect':
        session.expirySeconds = packet.expirySeconds ?? session.expirySeconds;
        this.pipe?.closeByBroker();
        return this.#over(!packet.withWill);
      case 'connect':
      case 'connack':
      case 'suback':
      case 'unsuback':
        throw new Error(`a client sent ${packet.kind}`);
    }
  }

  #onPublish({ message, qos, id }: Extract<ModelPacket, { kind: 'publish' }>, session: Session): void {
    const broker = this.#broker;
    const isNew = qos < 2 || !session.received.has(id);
    if (qos === 2) session.received.set(id, message);
    if (isNew && (qos < 2 || broker.habits.routesQos2At === 'publish')) broker.route(message);
    if (qos === 1) this.send({ kind: 'puback', id });
    if (qos === 2) this.send({ kind: 'pubrec', id });
  }

  #over(isClean: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#broker.gone(this);
    const session = this.#session;
    if (session !== undefined && session.connection === this) this.#broker.ended(session, isClean);
  }
}

function filterOf(told: string): string {
  return told.slice(told.indexOf('/', 7) + 1);
}
