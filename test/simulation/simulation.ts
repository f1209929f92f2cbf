import { type Broker, startBroker } from '../../src/broker.ts';
import type { Qos } from '../../src/protocol/packets.ts';
import { MemoryState } from '../../src/store/memory-state.ts';
import { type Fault } from '../checker/records.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeNetwork, type FakeStream } from '../fakes/fake-network.ts';
import { Random } from '../fakes/random.ts';
import { type Character, SimulatedClient } from './client.ts';
import { History } from './history.ts';
import { MortalClock } from './mortal-clock.ts';
import { type Plan, planOf } from './plan.ts';
import { SimulatedStore } from './simulated-store.ts';
import { WillWatch } from './will-watch.ts';
import { GROUPS, World } from './world.ts';

/** What came of a run. */
export interface Outcome {
  seed: number;
  /** Hash of everything every client saw; the same for the same seed. */
  digest: string;
  violations: { fault: Fault | 'books' | 'left-over'; text: string }[];
  /** The last lines of the trace, or all of them. */
  trace: readonly string[];
  steps: number;
  crashes: number;
  sent: number;
  delivered: number;
  repeated: number;
  wills: number;
  looseDeliveries: number;
}

const FILTERS = ['t/a', 't/b', 't/+', 't/#', 'r/#', 'n/#'] as const;
const TOPICS = ['t/a', 't/b', 't/c/d', 'g1/x', 'g2/x', 'g1/y', 'n/x'] as const;

/** A broker's process: what ends with it. */
interface Process {
  broker: Broker;
  clock: MortalClock;
  store: SimulatedStore;
}

/** One run: a whole broker and its clients under one seed. */
export class Simulation {
  readonly #seed: number;
  readonly #random: Random;
  readonly #clock: FakeClock = new FakeClock();
  readonly #disk: MemoryState = new MemoryState();
  readonly #plan: Plan;
  readonly #network: FakeNetwork;
  readonly #world: World;
  readonly #history: History;
  readonly #wills: WillWatch;
  readonly #clients: readonly SimulatedClient[];
  readonly #violations: Outcome['violations'] = [];
  readonly #clientEnds: FakeStream[] = [];
  /** Ends that are cut after some bytes. */
  readonly #cut: FakeStream[] = [];
  #process: Process | undefined = undefined;
  #crashes = 0;

  /** @param keepsTrace whether the whole trace is kept. */
  constructor(seed: number, keepsTrace = false) {
    this.#seed = seed;
    this.#random = new Random(seed);
    this.#plan = planOf(this.#random);
    this.#network = new FakeNetwork(this.#clock, this.#random, this.#plan.network);
    this.#history = new History(keepsTrace);
    this.#wills = new WillWatch(this.#history);
    const { isLossy, fullDisks: hasFullDisks } = this.#plan;
    const shared = { clock: this.#clock, random: this.#random, history: this.#history, wills: this.#wills };
    this.#world = new World({ ...shared, isLossy, hasFullDisks });
    this.#clients = this.#plan.clients.map((character) => new SimulatedClient(this.#world, character));
  }

  /** Runs it from start to end. */
  async run(): Promise<Outcome> {
    await this.#start();
    await this.#begin();
    for (let step = 0; step < this.#plan.steps; step++) {
      await this.#act();
      for (const client of this.#clients) client.turn();
      await this.#goOn();
      this.#wills.pass(this.#clock.now());
    }
    await this.#heal();
    await this.#checkRetained();
    this.#checkBooks();
    await this.#end();
    return this.#outcome();
  }

  // ---- the broker's process

  async #start(): Promise<void> {
    const clock = new MortalClock(this.#clock);
    const store = new SimulatedStore(this.#disk, clock, this.#random, this.#plan.storeDelayMs);
    const starting = startBroker(this.#plan.config, {
      clock,
      store,
      random: () => this.#random.next() / 2 ** 32,
    });
    let broker: Broker | undefined;
    void starting.then((started) => {
      broker = started;
    });
    for (let waited = 0; broker === undefined; waited += 10) {
      if (waited > 60_000) throw new Error(`seed ${this.#seed}: the broker does not start`);
      await this.#clock.pass(10);
    }
    this.#process = { broker, clock, store };
    this.#world.isGoingDown = false;
    this.#wills.restarted(this.#clock.now());
    broker.on('clientDisconnected', ({ clientId }, reason) => this.#world.note(`   ${clientId} ended: ${reason}`));
    broker.on('sessionEnded', (clientId, reason) => this.#world.note(`   session of ${clientId} ended: ${reason}`));
    broker.on('willPublished', (clientId) => this.#world.note(`   will of ${clientId}`));
    broker.on('fatal', () => {
      this.#world.isGoingDown = true;
    });
  }

  /** Kills the broker where it stands, and starts it again on what its disk holds. */
  async #crash(): Promise<void> {
    const process = this.#process as Process;
    this.#crashes += 1;
    this.#note('the broker crashes');
    this.#world.isGoingDown = true;
    process.clock.kill();
    process.store.crash();
    this.#world.crashed();
    for (const client of this.#clients) client.stream?.reset();
    this.#wills.crashed();
    if (this.#random.chance(0.3)) await this.#clock.pass(this.#random.below(8000));
    await this.#start();
  }

  /** Closes the broker in order, and starts it again. */
  async #restart(): Promise<void> {
    this.#note('the broker is closed');
    this.#world.isGoingDown = true;
    this.#wills.crashed();
    await this.#close();
    for (const client of this.#clients) client.stream?.reset();
    this.#wills.crashed();
    await this.#start();
  }

  async #close(): Promise<void> {
    const { broker, clock } = this.#process as Process;
    let isClosed = false;
    void broker.close().then(() => {
      isClosed = true;
    });
    for (let waited = 0; !isClosed && waited < 60_000; waited += 100) await this.#clock.pass(100);
    if (!isClosed) this.#violated('left-over', 'the broker does not close');
    await this.#clock.pass(1000);
    const { accepted, open, ended } = broker.counters().connections;
    const ends = Object.values(ended).reduce((sum, count) => sum + count, 0);
    if (ends !== accepted) this.#violated('left-over', `${accepted} connections accepted, ${ends} ended`);
    if (open !== 0) this.#violated('left-over', `${open} connections open after the end`);
    if (clock.pendingTimers !== 0) this.#violated('left-over', `${clock.pendingTimers} timers after the end`);
  }

  // ---- what happens

  /** Everyone is there once, and the groups have the member that stays. */
  async #begin(): Promise<void> {
    for (const client of this.#clients) this.#connect(client);
    await this.#settleDown(5000);
    const anchor = this.#clients[0] as SimulatedClient;
    for (const { topicFilter, qos } of GROUPS) {
      const ofGroup = topicFilter.split('/').slice(2).join('/');
      this.#history.tell((checker) => checker.subscribing(topicFilter, ofGroup, qos, true));
      for (let tries = 0; !anchor.granted.has(topicFilter); tries++) {
        if (tries > 100) throw new Error(`seed ${this.#seed}: the groups do not come about`);
        if (anchor.state === 'offline') this.#connect(anchor);
        await this.#settleDown(1000);
        anchor.subscribe(topicFilter, qos);
        await this.#settleDown(1000);
      }
      this.#history.subscribed(topicFilter, ofGroup);
    }
  }

  async #act(): Promise<void> {
    const { crashes, fullDisks, brokenDisks } = this.#plan;
    const { store } = this.#process as Process;
    const client = this.#pick(this.#clients);
    const dice = this.#random.below(100);
    if (dice < 50) this.#publish(client);
    else if (dice < 62) this.#subscribe(client);
    else if (dice < 65) client.unsubscribe(this.#pick(FILTERS));
    else if (dice < 78) this.#connect(client);
    else if (dice < 81) client.disconnect(this.#random.chance(0.2));
    else if (dice < 84) client.vanish();
    else if (dice < 86) client.stream?.reset();
    else if (dice < 88) client.cutAfter(this.#random.below(3000));
    else if (dice < 91) this.#stall(client);
    else if (dice < 92) client.isSilent = client.character.keepAlive > 0;
    else if (dice < 94) await this.#clock.pass(this.#random.below(7000));
    else if (dice < 95 && crashes) await this.#crash();
    else if (dice < 96 && crashes && this.#random.chance(0.3)) await this.#restart();
    else if (dice < 98 && fullDisks) {
      store.tellsFreeBytes = this.#random.chance(0.5);
      store.condition = store.condition === 'full' ? 'sound' : 'full';
      this.#wills.stores(store.condition === 'sound', this.#clock.now());
      this.#note(`the disk is ${store.condition}`);
    } else if (brokenDisks && this.#random.chance(0.1)) await this.#break();
  }

  #stall(client: SimulatedClient): void {
    if (client.stream !== undefined) client.stall(this.#random.chance(0.5));
  }

  /** The store fails: nothing may be acknowledged any more, until the broker was started again. */
  async #break(): Promise<void> {
    const { store } = this.#process as Process;
    this.#note('the disk breaks');
    store.condition = 'broken';
    this.#world.isGoingDown = true;
    await this.#clock.pass(this.#random.below(500));
    await this.#crash();
  }

  async #goOn(): Promise<void> {
    if (this.#random.chance(0.4)) {
      await this.#clock.pass(this.#random.below(60));
      return;
    }
    for (let turns = this.#random.below(4); turns > 0; turns--) {
      await Promise.resolve();
      this.#clock.runImmediates();
    }
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
    const { brokerEnd, clientEnd } = this.#network.connect();
    if (this.#random.chance(0.1)) {
      brokerEnd.cutAfter(this.#random.below(200));
      this.#cut.push(brokerEnd);
    }
    this.#clientEnds.push(clientEnd);
    (this.#process as Process).broker.accept(brokerEnd);
    const will = this.#random.chance(0.3)
      ? { topicName: this.#pick(['t/a', 't/b', 'g1/x']), qos: this.#random.below(3) as Qos }
      : undefined;
    const delaySeconds = this.#pick([0, 0, 2, 10]);
    client.connect(clientEnd, !character.isSteady && this.#random.chance(0.1), will, delaySeconds);
  }

  // ---- the end

  /** Everything works again, everyone who has a session comes back, and all that is owed is taken. */
  async #heal(): Promise<void> {
    const { store } = this.#process as Process;
    this.#note('all is well again');
    store.condition = 'sound';
    this.#wills.stores(true, this.#clock.now());
    for (const client of this.#clients) {
      client.stall(false);
      client.cutAfter(Number.POSITIVE_INFINITY);
      client.isSilent = false;
    }
    for (const brokerEnd of this.#cut) brokerEnd.cutAfter(Number.POSITIVE_INFINITY);
    // What clients have left behind ends at last, also where the broker had not noticed.
    const inUse = new Set(this.#clients.map(({ stream }) => stream));
    for (const end of this.#clientEnds) if (!inUse.has(end)) end.destroy();
    await this.#settleDown(5000);
    // A 3.x client that was refused for lack of room gets no answer, and sends again on its next connection.
    if (this.#plan.fullDisks || this.#plan.isLossy) {
      for (const client of this.#clients) if (client.character.version < 5 && !client.isAtRest) client.vanish();
    }
    // Wills with a delay and sessions with a short expiry run out.
    await this.#settleDown(30_000);
    for (let round = 0; round < 4; round++) {
      for (const client of this.#clients) {
        if (client.state === 'connected' || client.character.expirySeconds === 0) continue;
        const { brokerEnd, clientEnd } = this.#network.connect();
        (this.#process as Process).broker.accept(brokerEnd);
        client.connect(clientEnd, false, undefined, 0);
      }
      await this.#settleDown(10_000);
    }
    const isOwing = (): boolean =>
      (this.#process as Process).broker.counters().messages.queued > 0 ||
      this.#clients.some((client) => !client.isAtRest);
    for (let round = 0; round < 60 && isOwing(); round++) await this.#settleDown(5000);
    for (const client of this.#clients) {
      // A queue that refuses lets 3.x clients wait as long as it is full.
      const mayWait = this.#plan.isLossy && client.character.version < 5;
      if (client.state !== 'connected') client.excuse();
      else if (!client.isAtRest && !mayWait) this.#violated('liveness', `${client.clientId} still waits for an answer`);
      if (client.state !== 'connected' && client.character.expirySeconds > 0)
        this.#violated('liveness', `${client.clientId} cannot connect`);
    }
  }

  async #settleDown(forMs: number): Promise<void> {
    for (let passed = 0; passed < forMs; passed += 500) {
      for (const client of this.#clients) {
        client.turn();
        client.answerAll();
      }
      await this.#clock.pass(500);
      this.#wills.pass(this.#clock.now());
    }
  }

  /** A new client finds what is retained. */
  async #checkRetained(): Promise<void> {
    const topics = this.#clients.flatMap(({ clientId }) => [`r/${clientId}`, `q/${clientId}`]);
    const found: Map<string, string> = new Map();
    const off = (this.#process as Process).broker.subscribe('#', ({ topicName, payload, retain }) => {
      if (retain) found.set(topicName, Buffer.from(payload).toString());
    });
    await this.#clock.pass(100);
    off();
    this.#history.tell((checker) => {
      for (const topicName of topics) checker.retainedFound(topicName, found.get(topicName));
    });
  }

  #checkBooks(): void {
    const { messages } = (this.#process as Process).broker.counters();
    const { owed, restored, delivered, queued, expired, dropped } = messages;
    const drops = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    const text = JSON.stringify(messages);
    if (owed + restored !== delivered + queued + expired + drops)
      this.#violated('books', `they do not balance: ${text}`);
    if (queued !== 0) this.#violated('liveness', `messages are still queued: ${text}`);
    for (const [reason, count] of Object.entries(dropped)) if (count < 0) this.#violated('books', `${reason}: ${text}`);
    if (!this.#plan.isLossy && dropped['queue-full'] > 0) this.#violated('books', `a queue was full: ${text}`);
    if (!this.#plan.fullDisks && dropped['store-full'] > 0) this.#violated('books', `the store was full: ${text}`);
  }

  async #end(): Promise<void> {
    this.#world.isGoingDown = true;
    await this.#close();
    if (this.#clock.pendingTimers !== 0)
      this.#violated('left-over', `${this.#clock.pendingTimers} timers of the network`);
  }

  #outcome(): Outcome {
    const verdict = this.#history.verdict();
    const found = [...this.#world.faults, ...verdict.violations].filter(
      ({ fault, text }) =>
        !(fault === 'reordered' && this.#mayBeLate(text)) &&
        !(fault === 'retained' && this.#mayBeRetained(text)) &&
        !(fault === 'duplicate' && this.#mayBeRepeated(text)),
    );
    for (const { fault, text } of found) this.#violated(fault, text);
    const { sent, delivered, repeated, wills } = verdict;
    return {
      seed: this.#seed,
      digest: this.#history.digest(),
      violations: this.#violations,
      trace: this.#history.tail,
      steps: this.#plan.steps,
      crashes: this.#crashes,
      sent,
      delivered,
      repeated,
      wills,
      looseDeliveries: this.#world.looseDeliveries,
    };
  }

  /** Whether a message may come behind later ones, by the checker's sentence about it. */
  #mayBeLate(text: string): boolean {
    const { fullDisks, isLossy } = this.#plan;
    // What a 3.x client was refused for lack of room it sends again later.
    if (fullDisks || isLossy) return true;
    // What a group takes back from one member it gives to another with QoS 1.
    if (text.includes(' on g1/')) return true;
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

  #note(line: string): void {
    this.#world.note(`-- ${line}`);
    this.#history.tell((checker) => checker.mark(line));
  }

  #violated(fault: Outcome['violations'][number]['fault'], text: string): void {
    this.#violations.push({ fault, text });
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random.below(values.length)] as T;
  }
}
