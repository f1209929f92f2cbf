import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAILPOINTS, type FailpointName } from '../../src/lib/failpoints.ts';
import { DeliveryChecker } from '../checker/delivery-checker.ts';
import type { Verdict } from '../checker/records.ts';
import { Random } from '../fakes/random.ts';
import { BrokerProcess, type ProcessEnd } from './broker-process.ts';
import type { Device, DeviceWorld } from './device.ts';
import { allDevices, type Fleet, makeFleet, subscribeFleet } from './fleet.ts';
import { readRetained } from './retained-reader.ts';

/** Messages a publisher begins to send in one life of the broker, at most. */
const BUDGET = 120;
/** A life that nothing has happened in for so long has nothing to wait for any more, ms. */
const QUIET_MS = 1_500;
/** As long may something that has to happen take, ms. */
const PATIENCE_MS = 30_000;
/** A random kill comes after at most so many events, and then this many ms. */
const KILL_EVENTS = 900;
const KILL_MS = 4;
/** A kill during the start comes after at most so many ms. */
const START_MS = 700;
/** A small window of queues in memory, so that most of what waits is on disk only. */
const SETTINGS = ['session.queueWindowMessages=20', 'admin.sysIntervalSeconds=0'];

/** What to run. */
export interface CrashRunOptions {
  kills: number;
  seed: number;
  /** Told of each kill. */
  onKill?: (text: string) => void;
}

/** What came of it. */
export interface CrashReport extends Verdict {
  seed: number;
  kills: number;
  /** Kills at each failpoint. */
  byFailpoint: Map<FailpointName, number>;
  /** Kills at random instants, and those of them before the broker listened. */
  atRandom: number;
  duringStart: number;
}

/** How one life of the broker is to end. */
type Plan =
  | { kind: 'failpoint'; name: FailpointName; count: number }
  | { kind: 'start'; afterMs: number }
  | { kind: 'random'; afterEvents: number; afterMs: number };

/** Kills a broker again and again under load and holds it to its promises. */
export async function runCrashes(options: CrashRunOptions): Promise<CrashReport> {
  const run = new CrashRun(options);
  try {
    return await run.run();
  } finally {
    await run.clear();
  }
}

class CrashRun implements DeviceWorld {
  readonly checker: DeliveryChecker = new DeliveryChecker();
  readonly random: Random;
  life = 0;
  readonly #options: CrashRunOptions;
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'trellis-crash-'));
  readonly #fleet: Fleet;
  readonly #devices: Device[];
  readonly #byFailpoint: Map<FailpointName, number> = new Map();
  /** Failpoints still to be met. */
  readonly #unmet: FailpointName[] = [...FAILPOINTS];
  #atRandom = 0;
  #duringStart = 0;
  #broker: BrokerProcess | undefined = undefined;
  #port = 0;
  /** Whether devices come back, and disturb. */
  #state: 'calm' | 'wild' | 'over' = 'calm';
  #isAwayHere = true;
  #events = 0;
  #killAt = Number.POSITIVE_INFINITY;
  #killMs = 0;
  #lastEvent = 0;
  /** Whether this process killed a broker that did not come to its failpoint. */
  #isGivenUp = false;
  #wake: () => void = () => undefined;

  constructor(options: CrashRunOptions) {
    this.#options = options;
    this.random = new Random(options.seed);
    this.#fleet = makeFleet(this);
    this.#devices = allDevices(this.#fleet);
  }

  async run(): Promise<CrashReport> {
    await this.#begin();
    for (let kill = 1; kill <= this.#options.kills; kill++) await this.#liveAndDie(kill);
    await this.#end();
    const { kills, seed } = this.#options;
    const [atRandom, duringStart] = [this.#atRandom, this.#duringStart];
    return { ...this.checker.verdict(), seed, kills, byFailpoint: this.#byFailpoint, atRandom, duringStart };
  }

  async clear(): Promise<void> {
    this.#state = 'over';
    for (const device of this.#devices) device.drop();
    this.#broker?.kill();
    await this.#broker?.ended;
    rmSync(this.#directory, { recursive: true });
  }

  /** The first life of the broker: everyone connects and subscribes in peace. It ends with a kill that does not count. */
  async #begin(): Promise<void> {
    await this.#start();
    for (const device of this.#devices) device.connect(this.#port);
    await this.#until('everyone is connected', () => this.#devices.every(({ state }) => state === 'connected'));
    subscribeFleet(this.#fleet);
    await this.#until('everyone is subscribed', () => this.#devices.every(({ isIdle }) => isIdle));
    this.#broker?.kill();
    await this.#broker?.ended;
  }

  // ---- one life

  /** Each failpoint comes in its turn, until it was met; then chance decides. */
  #plan(): Plan {
    const { random } = this;
    const byTurn = this.#unmet.shift();
    if (byTurn !== undefined || random.chance(0.4)) {
      const name = byTurn ?? FAILPOINTS[random.below(FAILPOINTS.length)]!;
      return { kind: 'failpoint', name, count: 1 + random.below(countMaxOf(name)) };
    }
    if (random.chance(0.2)) return { kind: 'start', afterMs: random.below(START_MS) };
    return { kind: 'random', afterEvents: random.below(KILL_EVENTS), afterMs: random.below(KILL_MS) };
  }

  async #liveAndDie(kill: number): Promise<void> {
    const plan = this.#plan();
    const failpoint = plan.kind === 'failpoint' ? `${plan.name}:${plan.count}` : undefined;
    this.checker.mark(`life ${this.life + 1} begins`);
    this.#isAwayHere = this.random.chance(0.25);
    this.#isGivenUp = false;
    const broker = this.#spawn(failpoint);
    const startTimer = plan.kind === 'start' ? setTimeout(() => broker.kill(), plan.afterMs) : undefined;
    const port = await broker.ready;
    let end: ProcessEnd | undefined;
    if (port !== undefined) {
      this.#port = port;
      this.#killAt = plan.kind === 'random' ? plan.afterEvents : Number.POSITIVE_INFINITY;
      this.#killMs = plan.kind === 'random' ? plan.afterMs : 0;
      end = await this.#load(broker);
    }
    clearTimeout(startTimer);
    end ??= await broker.ended;
    this.#settle(kill, plan, end, port === undefined);
  }

  /** Has everyone come and publish until the broker is dead; kills it when nothing more would happen. */
  async #load(broker: BrokerProcess): Promise<ProcessEnd> {
    this.#state = 'wild';
    this.#events = 0;
    this.#lastEvent = performance.now();
    for (const publisher of this.#fleet.publishers) publisher.budget = BUDGET;
    for (const device of this.#devices) if (device !== this.#fleet.away || this.#isAwayHere) device.connect(this.#port);
    const watch = setInterval(() => {
      if (performance.now() - this.#lastEvent < QUIET_MS) return;
      this.#isGivenUp = true;
      broker.kill();
    }, 100);
    const end = await broker.ended;
    clearInterval(watch);
    this.#state = 'calm';
    for (const device of this.#devices) device.drop();
    return end;
  }

  #settle(kill: number, plan: Plan, end: ProcessEnd, duringStart: boolean): void {
    const how = plan.kind === 'failpoint' ? `at ${plan.name}:${plan.count}` : 'at a random instant';
    const given = this.#isGivenUp ? ', which did not come' : '';
    const when = duringStart ? ' before it listened' : ` after ${this.#events} events`;
    if (plan.kind === 'failpoint' && !this.#isGivenUp) {
      this.#byFailpoint.set(plan.name, (this.#byFailpoint.get(plan.name) ?? 0) + 1);
    } else {
      this.#atRandom += 1;
      if (plan.kind === 'failpoint' && !this.#byFailpoint.has(plan.name)) this.#unmet.push(plan.name);
    }
    if (duringStart) this.#duringStart += 1;
    const text = `kill ${kill} ${how}${given}${when}`;
    this.checker.mark(text);
    this.#options.onKill?.(text);
    if (end.signal !== 'SIGKILL') {
      this.checker.violated('liveness', `${text}: the broker ended by itself with ${end.code}: ${end.stderr}`);
    } else if (/"level":"error"/.test(end.stderr)) {
      this.checker.violated('liveness', `${text}: the broker complained: ${end.stderr}`);
    }
  }

  // ---- what devices tell

  onEvent(device: Device): void {
    this.#events += 1;
    this.#lastEvent = performance.now();
    this.#wake();
    if (this.#state !== 'wild') return;
    if (this.#events === this.#killAt) this.#killSoon();
    for (const publisher of this.#fleet.publishers) publisher.fill();
    this.#disturb(device);
  }

  #killSoon(): void {
    const broker = this.#broker as BrokerProcess;
    if (this.#killMs === 0) broker.kill();
    else setTimeout(() => broker.kill(), this.#killMs);
  }

  /** Now and then a device loses its connection, comes a second time, or leaves politely. */
  #disturb(device: Device): void {
    const { random } = this;
    const left = this.#fleet.wills.find(({ isLeaving, state }) => isLeaving && state === 'offline');
    left?.connect(this.#port);
    if (!random.chance(0.01)) return;
    const { wills } = this.#fleet;
    const victim = random.chance(0.3) ? (wills[random.below(wills.length)] as Device) : device;
    if (victim.state !== 'connected') return;
    const way = random.below(3);
    if (way === 0 && wills.some((will) => will === victim)) {
      victim.leave();
      return;
    }
    if (way === 1) victim.drop();
    victim.connect(this.#port);
  }

  // ---- the end

  /** The last life: everyone comes, everything is delivered, nothing comes twice. */
  async #end(): Promise<void> {
    this.checker.mark('the last life begins');
    await this.#start();
    for (const device of this.#devices) device.connect(this.#port);
    const { publishers } = this.#fleet;
    for (const publisher of publishers) publisher.budget = 0;
    const isDone = (): boolean => this.#devices.every(({ isIdle }) => isIdle) && this.checker.missing === 0;
    await this.#until('all is delivered', isDone);
    // What is behind everything else shows that nothing is on its way any more.
    for (const publisher of publishers) publisher.publishLast();
    await this.#until('the last messages are delivered', isDone);
    for (const publisher of publishers) {
      for (const [topicName, payload] of await readRetained(this.#port, publisher.retainedTopics))
        this.checker.retainedFound(topicName, payload);
    }
    for (const device of this.#devices) device.leave();
    this.#broker?.kill('SIGTERM');
    const end = await this.#broker?.ended;
    if (end?.code !== 0) this.checker.violated('liveness', `SIGTERM ends it with ${end?.code}: ${end?.stderr}`);
  }

  #spawn(failpoint?: string): BrokerProcess {
    this.life += 1;
    this.#broker = new BrokerProcess({
      data: join(this.#directory, 'data'),
      compileCache: join(this.#directory, 'cache'),
      failpoint,
      settings: SETTINGS,
    });
    return this.#broker;
  }

  async #start(): Promise<void> {
    const broker = this.#spawn();
    const port = await broker.ready;
    if (port === undefined) throw new Error(`the broker does not start: ${(await broker.ended).stderr}`);
    this.#port = port;
  }

  /** Waits while something happens; notes a fault where nothing does and it is not so. */
  async #until(what: string, isSo: () => boolean): Promise<void> {
    let seen = -1;
    while (!isSo()) {
      if (seen === this.#events) {
        this.checker.violated('liveness', `nothing happens any more before ${what}: ${this.#states()}`);
        return;
      }
      seen = this.#events;
      await this.#somethingHappened();
    }
  }

  /** Resolves with the next event, or after `PATIENCE_MS`. */
  #somethingHappened(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, PATIENCE_MS);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => undefined;
        setImmediate(resolve);
      };
    });
  }

  #states(): string {
    const notIdle = this.#devices.filter(({ isIdle }) => !isIdle);
    const texts = notIdle.map(({ clientId, state, outstanding }) => `${clientId} ${state}, ${outstanding} outstanding`);
    return `${this.checker.missing} deliveries missing; ${texts.join('; ')}`;
  }
}

/** How often an instant is reached at most before it kills; rare ones kill the first time. */
function countMaxOf(name: FailpointName): number {
  switch (name) {
    case 'restore':
    case 'restored':
      return 1;
    case 'will-published':
    case 'group-handover':
      return 2;
    case 'taken-over':
    case 'connack':
    case 'queue-drain':
    case 'queue-read':
      return 6;
    case 'outboxes-written':
    case 'commit':
    case 'committing':
    case 'flushed':
    case 'acks-appended':
      return 60;
  }
}
