import type { Qos } from '../../src/protocol/packets.ts';
import type { Violation } from '../checker/records.ts';
import type { FakeClock } from '../fakes/fake-clock.ts';
import type { FakeNetwork, FakeStream } from '../fakes/fake-network.ts';
import type { Random } from '../fakes/random.ts';
import { type Character, SimulatedClient } from './client.ts';
import type { Plan } from './plan.ts';
import { GROUPS, type World } from './world.ts';

const FILTERS = ['t/a', 't/b', 't/+', 't/#', 'r/#', 'n/#'] as const;
const TOPICS = ['t/a', 't/b', 't/c/d', 'g1/x', 'g2/x', 'g1/y', 'n/x'] as const;

/** Where connections go. */
export interface Door {
  /** Name of the node; always the same where there is one. */
  readonly at: string;
  accept(stream: FakeStream): void;
}

/** What a crowd is made of. */
export interface CrowdParts {
  readonly seed: number;
  readonly plan: Plan;
  readonly world: World;
  readonly clock: FakeClock;
  readonly random: Random;
  readonly network: FakeNetwork;
  /** Through which a client connects now. */
  readonly doorFor: (client: SimulatedClient) => Door;
}

/** The clients of a run, and all they do. */
export class Crowd {
  readonly #parts: CrowdParts;
  readonly #clock: FakeClock;
  readonly #random: Random;
  readonly #plan: Plan;
  readonly #world: World;
  readonly clients: readonly SimulatedClient[];
  readonly #clientEnds: FakeStream[] = [];
  /** Ends that are cut after some bytes. */
  readonly #cut: FakeStream[] = [];

  constructor(parts: CrowdParts) {
    this.#parts = parts;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#plan = parts.plan;
    this.#world = parts.world;
    this.clients = parts.plan.clients.map((character) => new SimulatedClient(parts.world, character));
  }

  /** Everyone is there once, and the groups have the member that stays. */
  async begin(): Promise<void> {
    for (const client of this.clients) this.#connect(client);
    await this.settleDown(5000);
    const anchor = this.clients[0] as SimulatedClient;
    for (const { topicFilter, qos } of GROUPS) {
      const ofGroup = topicFilter.split('/').slice(2).join('/');
      this.#world.history.tell((checker) => checker.subscribing(topicFilter, ofGroup, qos, true));
      for (let tries = 0; !anchor.granted.has(topicFilter); tries++) {
        if (tries > 100) throw new Error(`seed ${this.#parts.seed}: the groups do not come about`);
        if (anchor.state === 'offline') this.#connect(anchor);
        await this.settleDown(1000);
        anchor.subscribe(topicFilter, qos);
        await this.settleDown(1000);
      }
      this.#world.history.subscribed(topicFilter, ofGroup);
    }
  }

  /** Somebody does something; `dice` is below 92. */
  act(dice: number): void {
    const client = this.#pick(this.clients);
    if (dice < 50) this.#publish(client);
    else if (dice < 62) this.#subscribe(client);
    else if (dice < 65) client.unsubscribe(this.#pick(FILTERS));
    else if (dice < 78) this.#connect(client);
    else if (dice < 81) client.disconnect(this.#random.chance(0.2));
    else if (dice < 84) client.vanish();
    else if (dice < 86) client.stream?.reset();
    else if (dice < 88) client.cutAfter(this.#random.below(3000));
    else if (dice < 91) this.#stall(client);
    else client.isSilent = client.character.keepAlive > 0;
  }

  /** Everyone does what is due, and a little time passes. */
  async goOn(): Promise<void> {
    for (const client of this.clients) client.turn();
    if (this.#random.chance(0.4)) {
      await this.#clock.pass(this.#random.below(60));
      return;
    }
    for (let turns = this.#random.below(4); turns > 0; turns--) {
      await Promise.resolve();
      this.#clock.runImmediates();
    }
  }

  #stall(client: SimulatedClient): void {
    if (client.stream !== undefined) client.stall(this.#random.chance(0.5));
  }

  #publish(client: SimulatedClient): void {
    const { clientId } = client;
    const qos = this.#random.below(3) as Qos;
    const dice = this.#random.below(20);
    if (dice === 0) client.publish({ topicName: `r/${clientId}`, qos: qos === 0 ? 1 : qos, retain: true });
    else if (dice === 1) {
      const isEmpty = this.#random.chance(0.3);
      client.publish({ topicName: `q/${clientId}`, qos: qos === 0 ? 1 : qos, retain: true, isEmpty });
    } else if (dice === 2) {
      for (let count = 0; count < 12; count++)
        client.publish({ topicName: this.#pick(TOPICS), qos, length: this.#pick([200, 3000, 20_000]) });
    } else if (dice === 3)
      client.publish({ topicName: this.#pick(TOPICS), qos, expirySeconds: 1 + this.#random.below(5) });
    else
      for (let count = this.#random.below(4); count >= 0; count--)
        client.publish({ topicName: this.#pick(TOPICS), qos });
  }

  #subscribe(client: SimulatedClient): void {
    const { character } = client;
    const group = this.#random.chance(0.3) ? this.#pick(GROUPS) : undefined;
    if (group !== undefined) {
      // QoS 2 messages stay with the member that has them, so it has to stay as well.
      // A session that ends with its connection takes along what it has in flight when the broker crashes.
      const mayEnd = character.expirySeconds > 0 || !(this.#plan.crashes || this.#plan.brokenDisks);
      if (character.isSteady || (group.qos === 1 && mayEnd)) client.subscribe(group.topicFilter, group.qos);
      return;
    }
    const topicFilter = this.#pick(FILTERS);
    const isLocal = topicFilter === 'n/#';
    if (isLocal && character.version < 5) return;
    // One filter always has one QoS with one client: changes of it are not followed.
    const qos = ((FILTERS.indexOf(topicFilter) + Number(client.clientId.slice(1))) % 3) as Qos;
    client.subscribe(topicFilter, qos, isLocal);
  }

  #connect(client: SimulatedClient): void {
    const { character } = client;
    if (client.state === 'connecting' && this.#random.chance(0.8)) return;
    if (client.state === 'connected' && this.#random.chance(0.8)) return;
    const { brokerEnd, clientEnd } = this.#parts.network.connect();
    if (this.#random.chance(0.1)) {
      brokerEnd.cutAfter(this.#random.below(200));
      this.#cut.push(brokerEnd);
    }
    this.#clientEnds.push(clientEnd);
    const door = this.#parts.doorFor(client);
    door.accept(brokerEnd);
    const will = this.#random.chance(0.3)
      ? { topicName: this.#pick(['t/a', 't/b', 'g1/x']), qos: this.#random.below(3) as Qos }
      : undefined;
    const delaySeconds = this.#pick([0, 0, 2, 10]);
    client.connect(
      { stream: clientEnd, at: door.at },
      !character.isSteady && this.#random.chance(0.1),
      will,
      delaySeconds,
    );
  }

  // ---- the end

  /** Nobody is in trouble any more, and what was left behind ends. */
  calm(): void {
    for (const client of this.clients) {
      client.stall(false);
      client.cutAfter(Number.POSITIVE_INFINITY);
      client.isSilent = false;
    }
    for (const brokerEnd of this.#cut) brokerEnd.cutAfter(Number.POSITIVE_INFINITY);
    // What clients have left behind ends at last, also where the broker had not noticed.
    const inUse = new Set(this.clients.map(({ stream }) => stream));
    for (const end of this.#clientEnds) if (!inUse.has(end)) end.destroy();
  }

  /** Everyone who has a session comes back, and all that is owed is taken. */
  async comeBack(queued: () => number): Promise<void> {
    const { network, doorFor } = this.#parts;
    // Wills with a delay and sessions with a short expiry run out.
    await this.settleDown(30_000);
    for (let round = 0; round < 4; round++) {
      for (const client of this.clients) {
        if (client.state === 'connected' || client.character.expirySeconds === 0) continue;
        const { brokerEnd, clientEnd } = network.connect();
        const door = doorFor(client);
        door.accept(brokerEnd);
        client.connect({ stream: clientEnd, at: door.at }, false, undefined, 0);
      }
      await this.settleDown(10_000);
    }
    const isOwing = (): boolean => queued() > 0 || this.clients.some((client) => !client.isAtRest);
    for (let round = 0; round < 60 && isOwing(); round++) await this.settleDown(5000);
    for (const client of this.clients) {
      // A queue that refuses lets 3.x clients wait as long as it is full.
      const mayWait = this.#plan.isLossy && client.character.version < 5;
      if (client.state !== 'connected') client.excuse();
      else if (!client.isAtRest && !mayWait)
        this.#world.violated('liveness', `${client.clientId} still waits for an answer`);
      if (client.state !== 'connected' && client.character.expirySeconds > 0)
        this.#world.violated('liveness', `${client.clientId} cannot connect`);
    }
  }

  async settleDown(forMs: number): Promise<void> {
    for (let passed = 0; passed < forMs; passed += 500) {
      for (const client of this.clients) {
        client.turn();
        client.answerAll();
      }
      await this.#clock.pass(500);
      this.#world.wills.pass(this.#clock.now());
    }
  }

  /** What the checker found, but for what has an excuse. */
  blamed(violations: readonly Violation[]): Violation[] {
    return [...this.#world.faults, ...violations].filter(
      ({ fault, text }) =>
        !(fault === 'leak' && this.#mayBeEarlier(text)) &&
        !(fault === 'reordered' && this.#mayBeLate(text)) &&
        !(fault === 'retained' && this.#mayBeRetained(text)) &&
        !(fault === 'duplicate' && this.#mayBeRepeated(text)),
    );
  }

  /** A message on its way between nodes may meet a subscription, of a session that is not stored, that was not there. */
  #mayBeEarlier(text: string): boolean {
    const receiver = text.slice(0, text.indexOf('#'));
    const { clients, nodes } = this.#plan;
    return nodes > 1 && clients.some(({ clientId, expirySeconds }) => clientId === receiver && expirySeconds === 0);
  }

  /** Whether a message may come behind later ones, by the checker's sentence about it. */
  #mayBeLate(text: string): boolean {
    const { fullDisks, isLossy } = this.#plan;
    // What a 3.x client was refused for lack of room it sends again later.
    if (fullDisks || isLossy) return true;
    // What a group takes back from one member it gives to another with QoS 1.
    if (text.includes(' on g1/')) return true;
    // The same is true of nodes: what one cannot give to anyone goes to another, behind what that one has.
    if (this.#plan.nodes > 1 && text.includes(' on g2/')) return true;
    // QoS 1 sent again may meet a subscription that was not there the first time.
    return this.#world.sentAgain.has(/message (\d+ of \S+) on/.exec(text)?.[1] ?? '');
  }

  /** A session that is not stored gets at once what a full disk then refuses to a 3.x client, which sends it again. */
  #mayBeRepeated(text: string): boolean {
    const [, receiver, publisher] = /^(\S+)#.* of (\S+) on/.exec(text) ?? [];
    const characterOf = (clientId: string | undefined): Character | undefined =>
      this.#plan.clients.find((character) => character.clientId === clientId);
    const isEarly = characterOf(receiver)?.expirySeconds === 0;
    return this.#plan.fullDisks && isEarly && (characterOf(publisher)?.version ?? 5) < 5;
  }

  /** QoS 1 sent again is retained again, also in place of a later value. */
  #mayBeRetained(text: string): boolean {
    const topicName = text.slice(0, text.indexOf(' '));
    if (text.includes('holds undefined')) return this.#world.sentAgain.has(`nothing on ${topicName}`);
    const [, publisher, sequence] = /holds "([^":]+):(\d+)/.exec(text) ?? [];
    return this.#world.sentAgain.has(`${sequence} of ${publisher}`);
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random.below(values.length)] as T;
  }
}
