import { type Broker, startBroker } from '../../src/broker.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeNetwork, type FakeStream } from '../fakes/fake-network.ts';
import { Random } from '../fakes/random.ts';
import type { SimulatedClient } from './client.ts';
import { Crowd, type Door } from './crowd.ts';
import { GatedStream } from './gated-stream.ts';
import { History } from './history.ts';
import { auditBooks, auditConnections, type Finding, findRetained, type Outcome } from './inspection.ts';
import { MortalClock } from './mortal-clock.ts';
import { type NodePlan, nodePlanOf } from './node-plan.ts';
import { SimulatedRedis } from './simulated-redis.ts';
import { SimulatedSharedStore } from './simulated-shared-store.ts';
import { auditRedis } from './redis-audit.ts';
import { WillWatch } from './will-watch.ts';
import { World } from './world.ts';

/** A node's process: what ends with it. */
interface NodeProcess {
  readonly nodeId: string;
  readonly clock: MortalClock;
  readonly store: SimulatedSharedStore;
  broker: Broker | undefined;
  isOver: boolean;
}

/** One run: several brokers on one Redis, and their clients, under one seed. */
export class NodeSimulation {
  readonly #seed: number;
  readonly #random: Random;
  readonly #clock: FakeClock = new FakeClock();
  readonly #plan: NodePlan;
  readonly #redis: SimulatedRedis;
  readonly #world: World;
  readonly #history: History;
  readonly #wills: WillWatch;
  readonly #crowd: Crowd;
  readonly #violations: Finding[] = [];
  /** By place, 0 and up: a place outlives its processes. */
  readonly #processes: (NodeProcess | undefined)[];
  /** Connections by place, to be reset with their process. */
  readonly #streams: FakeStream[][];
  /** Node ids whose process has ended. */
  readonly #dead: Set<string> = new Set();
  /** By place, the node id that was last there. */
  readonly #lastIds: Map<number, string> = new Map();
  /** Brokers that cannot go on. */
  readonly #broken: Set<Broker> = new Set();
  /** Where clients were last. */
  readonly #placeOf: Map<SimulatedClient, number> = new Map();
  #nextNode = 1;
  /** When what the last trouble left behind is taken care of, ms since the epoch. */
  #calmAt = 0;
  #crashes = 0;

  /** @param keepsTrace whether the whole trace is kept. */
  constructor(seed: number, nodes: number, keepsTrace = false) {
    this.#seed = seed;
    this.#random = new Random(seed);
    this.#plan = nodePlanOf(this.#random, nodes);
    this.#redis = new SimulatedRedis(
      () => this.#clock.now(),
      this.#plan.changesMax,
      (line) => this.#world.note(`      ${line}`),
    );
    const network = new FakeNetwork(this.#clock, this.#random, this.#plan.network);
    this.#history = new History(keepsTrace);
    this.#wills = new WillWatch(this.#history);
    const shared = { clock: this.#clock, random: this.#random, history: this.#history, wills: this.#wills };
    this.#world = new World({ ...shared, isLossy: false, hasFullDisks: false });
    this.#crowd = new Crowd({
      ...{ seed, network, plan: this.#plan, world: this.#world, clock: this.#clock, random: this.#random },
      doorFor: (client) => this.#doorFor(client),
    });
    this.#processes = Array.from({ length: nodes }, () => undefined);
    this.#streams = Array.from({ length: nodes }, () => []);
  }

  /** Runs it from start to end. */
  async run(): Promise<Outcome> {
    for (const place of this.#processes.keys()) this.#start(place);
    await this.#untilUp();
    await this.#crowd.begin();
    for (let step = 0; step < this.#plan.steps; step++) {
      await this.#act();
      await this.#crowd.goOn();
      this.#lookAfter();
    }
    await this.#heal();
    for (const { broker } of this.#running())
      await findRetained(broker as Broker, this.#plan, this.#clock, this.#history);
    // Parts of shared subscriptions whose members have moved stay for a minute.
    await this.#crowd.settleDown(65_000);
    for (const { broker, nodeId } of this.#running())
      for (const finding of auditBooks(broker as Broker, this.#plan))
        this.#violations.push({ ...finding, text: `${nodeId}: ${finding.text}` });
    this.#violations.push(...auditRedis(this.#redis));
    await this.#end();
    return this.#outcome();
  }

  // ---- the processes of the nodes

  #running(): NodeProcess[] {
    return this.#processes.filter((process) => process !== undefined);
  }

  /** Starts a process at a place, with the node id it had before or a new one. */
  #start(place: number): void {
    const before = this.#lastIds.get(place);
    const nodeId = before !== undefined && this.#random.chance(0.7) ? before : `n${this.#nextNode++}`;
    this.#lastIds.set(place, nodeId);
    this.#dead.delete(nodeId);
    const { leaseMs, clientsAtOnce, cutChance, storeDelayMs, seesDeath } = this.#plan;
    const clock = new MortalClock(this.#clock);
    const store = new SimulatedSharedStore({
      ...{ nodeId, redis: this.#redis, process: clock, clock: this.#clock, random: this.#random },
      ...{ leaseMs, clientsAtOnce, cutChance, maxDelayMs: storeDelayMs },
      isKnownDead: (other) => seesDeath && (other === nodeId || this.#dead.has(other)),
    });
    const process: NodeProcess = { nodeId, clock, store, broker: undefined, isOver: false };
    this.#processes[place] = process;
    this.#note(`${nodeId} starts`);
    startBroker(this.#plan.config, { clock, store, random: () => this.#random.next() / 2 ** 32 }).then(
      (broker) => this.#onStarted(process, broker),
      (error: unknown) => {
        if (!process.isOver) this.#violated('liveness', `${nodeId} does not start: ${String(error)}`);
        process.isOver = true;
      },
    );
  }

  #onStarted(process: NodeProcess, broker: Broker): void {
    if (process.isOver) return;
    const { nodeId } = process;
    process.broker = broker;
    this.#note(`${nodeId} is up`);
    this.#world.unsteady.delete(nodeId);
    this.#troubled();
    broker.on('clientDisconnected', ({ clientId }, reason) =>
      this.#world.note(`   ${nodeId}: ${clientId} ended: ${reason}`),
    );
    broker.on('sessionEnded', (clientId, reason) =>
      this.#world.note(`   ${nodeId}: session of ${clientId} ended: ${reason}`),
    );
    broker.on('willPublished', (clientId) => this.#world.note(`   ${nodeId}: will of ${clientId}`));
    broker.on('messageDropped', (clientId, topicName, reason) =>
      this.#world.note(`   ${nodeId}: dropped ${topicName} for ${clientId}: ${reason}`),
    );
    broker.on('fatal', (error) => {
      this.#note(`${nodeId} cannot go on: ${error.message}`);
      if (!this.#world.unsteady.has(nodeId) && !/FENCED|LOST|closed before/.test(error.message))
        this.#violated('liveness', `${nodeId} fails: ${error.stack ?? error.message}`);
      this.#world.unsteady.add(nodeId);
      this.#broken.add(broker);
    });
  }

  async #untilUp(): Promise<void> {
    const isUp = (): boolean => this.#processes.every((process) => process?.broker !== undefined);
    for (let waited = 0; !isUp(); waited += 100) {
      if (waited > 60_000) throw new Error(`seed ${this.#seed}: the nodes do not start`);
      await this.#clock.pass(100);
      this.#lookAfter();
    }
  }

  /** Ends processes that cannot go on, and has a place whose process has ended start a new one. */
  #lookAfter(): void {
    for (const [place, process] of this.#processes.entries()) {
      if (process === undefined) {
        if (this.#random.chance(0.2)) this.#start(place);
      } else if (process.isOver) {
        this.#processes[place] = undefined;
      } else if (process.broker !== undefined && this.#broken.has(process.broker)) this.#kill(place, 'ends');
    }
    if (this.#calmAt < this.#clock.now() && this.#world.unsteady.size === 0 && this.#wills.isTroubled)
      this.#wills.restarted(this.#clock.now());
  }

  /** Kills a process where it stands. */
  #kill(place: number, what: string): void {
    const process = this.#processes[place] as NodeProcess;
    const { nodeId } = process;
    this.#note(`${nodeId} ${what}`);
    this.#processes[place] = undefined;
    process.isOver = true;
    this.#dead.add(nodeId);
    this.#world.unsteady.add(nodeId);
    process.clock.kill();
    process.store.crash();
    this.#world.crashed();
    this.#resetStreams(place);
    this.#wills.crashed();
    this.#troubled();
    // Nobody can be connected there any more; what it left is taken over.
    this.#world.unsteady.delete(nodeId);
  }

  #resetStreams(place: number): void {
    for (const stream of this.#streams[place] as FakeStream[]) stream.reset();
    this.#streams[place] = [];
  }

  #troubled(): void {
    const { leaseMs } = this.#plan;
    this.#calmAt = this.#clock.now() + 4 * leaseMs + 10_000;
  }

  /** Has a node stand still for a while. */
  async #pause(place: number): Promise<void> {
    const process = this.#processes[place] as NodeProcess;
    const { nodeId, clock } = process;
    const pausedMs = this.#random.below(3 * this.#plan.leaseMs);
    this.#note(`${nodeId} stands still for ${pausedMs} ms`);
    this.#world.unsteady.add(nodeId);
    this.#wills.crashed();
    clock.pause();
    this.#clock.setTimeout(() => {
      if (process.isOver) return;
      this.#note(`${nodeId} goes on`);
      this.#troubled();
      clock.resume();
      this.#clock.setTimeout(() => {
        // One that was given up has found out by now.
        if (!process.isOver && !this.#broken.has(process.broker as Broker)) this.#world.unsteady.delete(nodeId);
      }, 2 * this.#plan.leaseMs);
    }, pausedMs);
    if (this.#random.chance(0.5)) await this.#crowd.settleDown(this.#random.below(3000));
  }

  /** Closes a node in order. */
  async #stop(place: number): Promise<void> {
    const process = this.#processes[place] as NodeProcess;
    this.#note(`${process.nodeId} is closed`);
    this.#world.unsteady.add(process.nodeId);
    this.#wills.crashed();
    await this.#close(process);
    this.#kill(place, 'has ended');
  }

  async #close({ nodeId, broker, clock }: NodeProcess): Promise<void> {
    let isClosed = false;
    void (broker as Broker).close().then(() => {
      isClosed = true;
    });
    for (let waited = 0; !isClosed && waited < 60_000; waited += 100) await this.#clock.pass(100);
    if (!isClosed) this.#violated('left-over', `${nodeId} does not close`);
    await this.#clock.pass(1000);
    this.#violations.push(...auditConnections(broker as Broker));
    if (clock.pendingTimers !== 0) this.#violated('left-over', `${clock.pendingTimers} timers of ${nodeId} at the end`);
  }

  // ---- what happens

  async #act(): Promise<void> {
    const dice = this.#random.below(100);
    if (dice < 92) this.#crowd.act(dice);
    else if (dice < 94) await this.#crowd.settleDown(this.#random.below(7000));
    else if (dice < 99) await this.#disturb(dice);
  }

  async #disturb(dice: number): Promise<void> {
    const { crashes, pauses } = this.#plan;
    const place = this.#random.below(this.#processes.length);
    const process = this.#processes[place];
    // Somebody stays to take over.
    const isRisky = this.#running().filter(({ nodeId }) => !this.#world.unsteady.has(nodeId)).length < 2;
    if (process?.broker === undefined || this.#world.unsteady.has(process.nodeId)) return;
    if (isRisky && this.#random.chance(0.8)) return;
    if (dice < 96 && crashes) {
      this.#crashes += 1;
      this.#kill(place, 'crashes');
    } else if (dice < 98 && pauses) await this.#pause(place);
    else if (dice < 99 && crashes) await this.#stop(place);
  }

  /** A client stays where it is, goes elsewhere, or knocks where nobody is. */
  #doorFor(client: SimulatedClient): Door {
    const stays = this.#placeOf.get(client) ?? 0;
    const place = this.#random.chance(this.#plan.roamChance) ? this.#random.below(this.#processes.length) : stays;
    this.#placeOf.set(client, place);
    const process = this.#processes[place];
    return {
      at: process?.nodeId ?? `nobody at ${place}`,
      accept: (stream) => {
        (this.#streams[place] as FakeStream[]).push(stream);
        if (process?.broker === undefined) stream.reset();
        else process.clock.run(() => process.broker?.accept(new GatedStream(stream, process.clock)));
      },
    };
  }

  // ---- the end

  async #heal(): Promise<void> {
    this.#note('all is well again');
    for (const { clock } of this.#running()) clock.resume();
    this.#crowd.calm();
    for (let passed = 0; passed < 20_000; passed += 500) {
      await this.#crowd.settleDown(500);
      this.#lookAfter();
    }
    await this.#untilUp();
    for (let passed = 0; passed < 20_000; passed += 500) {
      await this.#crowd.settleDown(500);
      this.#lookAfter();
    }
    await this.#crowd.comeBack(() =>
      this.#running().reduce((sum, { broker }) => sum + (broker as Broker).counters().messages.queued, 0),
    );
  }

  async #end(): Promise<void> {
    this.#world.isGoingDown = true;
    for (const process of this.#running()) {
      await this.#close(process);
      process.isOver = true;
    }
    if (this.#clock.pendingTimers !== 0)
      this.#violated('left-over', `${this.#clock.pendingTimers} timers of the network`);
  }

  #outcome(): Outcome {
    const verdict = this.#history.verdict();
    this.#violations.push(...this.#crowd.blamed(verdict.violations));
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

  #note(line: string): void {
    this.#world.note(`-- ${line}`);
    this.#history.tell((checker) => checker.mark(line));
  }

  #violated(fault: Finding['fault'], text: string): void {
    this.#world.note(`FAULT ${fault} ${text}`);
    this.#violations.push({ fault, text });
  }
}
