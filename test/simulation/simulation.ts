import { type Broker, startBroker } from '../../src/broker.ts';
import { MemoryState } from '../../src/store/memory-state.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeNetwork } from '../fakes/fake-network.ts';
import { Random } from '../fakes/random.ts';
import { Crowd } from './crowd.ts';
import { History } from './history.ts';
import { auditBooks, auditConnections, type Finding, findRetained, type Outcome } from './inspection.ts';
import { MortalClock } from './mortal-clock.ts';
import { type Plan, planOf } from './plan.ts';
import { SimulatedStore } from './simulated-store.ts';
import { WillWatch } from './will-watch.ts';
import { World } from './world.ts';

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
  readonly #world: World;
  readonly #history: History;
  readonly #wills: WillWatch;
  readonly #crowd: Crowd;
  readonly #violations: Finding[] = [];
  #process: Process | undefined = undefined;
  #crashes = 0;

  /** @param keepsTrace whether the whole trace is kept. */
  constructor(seed: number, keepsTrace = false) {
    this.#seed = seed;
    this.#random = new Random(seed);
    this.#plan = planOf(this.#random);
    const network = new FakeNetwork(this.#clock, this.#random, this.#plan.network);
    this.#history = new History(keepsTrace);
    this.#wills = new WillWatch(this.#history);
    const { isLossy, fullDisks: hasFullDisks } = this.#plan;
    const shared = { clock: this.#clock, random: this.#random, history: this.#history, wills: this.#wills };
    this.#world = new World({ ...shared, isLossy, hasFullDisks });
    this.#crowd = new Crowd({
      ...{ seed, network, plan: this.#plan, world: this.#world, clock: this.#clock, random: this.#random },
      doorFor: () => ({ at: 'broker', accept: (stream) => (this.#process as Process).broker.accept(stream) }),
    });
  }

  /** Runs it from start to end. */
  async run(): Promise<Outcome> {
    await this.#start();
    await this.#crowd.begin();
    for (let step = 0; step < this.#plan.steps; step++) {
      await this.#act();
      await this.#crowd.goOn();
      this.#wills.pass(this.#clock.now());
    }
    await this.#heal();
    const { broker } = this.#process as Process;
    await findRetained(broker, this.#plan, this.#clock, this.#history);
    this.#violations.push(...auditBooks(broker, this.#plan));
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
    for (const client of this.#crowd.clients) client.stream?.reset();
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
    for (const client of this.#crowd.clients) client.stream?.reset();
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
    this.#violations.push(...auditConnections(broker));
    if (clock.pendingTimers !== 0) this.#violated('left-over', `${clock.pendingTimers} timers after the end`);
  }

  // ---- what happens

  async #act(): Promise<void> {
    const { crashes, fullDisks, brokenDisks } = this.#plan;
    const { store } = this.#process as Process;
    const dice = this.#random.below(100);
    if (dice < 92) this.#crowd.act(dice);
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

  /** The store fails: nothing may be acknowledged any more, until the broker was started again. */
  async #break(): Promise<void> {
    const { store } = this.#process as Process;
    this.#note('the disk breaks');
    store.condition = 'broken';
    this.#world.isGoingDown = true;
    await this.#clock.pass(this.#random.below(500));
    await this.#crash();
  }

  // ---- the end

  /** Everything works again, everyone who has a session comes back, and all that is owed is taken. */
  async #heal(): Promise<void> {
    const { store } = this.#process as Process;
    this.#note('all is well again');
    store.condition = 'sound';
    this.#wills.stores(true, this.#clock.now());
    this.#crowd.calm();
    await this.#crowd.settleDown(5000);
    // A 3.x client that was refused for lack of room gets no answer, and sends again on its next connection.
    if (this.#plan.fullDisks || this.#plan.isLossy) {
      for (const client of this.#crowd.clients) if (client.character.version < 5 && !client.isAtRest) client.vanish();
    }
    await this.#crowd.comeBack(() => (this.#process as Process).broker.counters().messages.queued);
  }

  async #end(): Promise<void> {
    this.#world.isGoingDown = true;
    await this.#close();
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
    this.#violations.push({ fault, text });
  }
}
