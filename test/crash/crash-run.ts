import { FAILPOINTS, type FailpointName } from '../../src/lib/failpoints.ts';
import type { Verdict } from '../checker/records.ts';
import { RedisServer } from '../support/redis-server.ts';
import type { BrokerProcess, ProcessEnd } from './broker-process.ts';
import type { Device } from './device.ts';
import { LoadRun } from './load-run.ts';

/** Messages a publisher begins to send in one life of the broker, at most. */
const BUDGET = 120;
/** A life that nothing has happened in for so long has nothing to wait for any more, ms. */
const QUIET_MS = 1_500;
/** A random kill comes after at most so many events, and then this many ms. */
const KILL_EVENTS = 900;
const KILL_MS = 4;
/** A kill during the start comes after at most so many ms. */
const START_MS = 700;

/** Where brokers keep their state. */
export type StoreKind = 'embedded' | 'redis';

/** What to run. */
export interface CrashRunOptions {
  kills: number;
  seed: number;
  /** Where the broker keeps its state; `redis` is a server of the run's own. */
  store?: StoreKind;
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
  const redis = options.store === 'redis' ? await RedisServer.start() : undefined;
  const run = new CrashRun(options, redis === undefined ? undefined : ['--store', redis.url]);
  try {
    return await run.run();
  } finally {
    await run.clear();
    await redis?.stop();
  }
}

class CrashRun extends LoadRun {
  readonly #options: CrashRunOptions;
  readonly #byFailpoint: Map<FailpointName, number> = new Map();
  /** Failpoints still to be met. */
  readonly #unmet: FailpointName[] = [...FAILPOINTS];
  #atRandom = 0;
  #duringStart = 0;
  #isAwayHere = true;
  #killAt = Number.POSITIVE_INFINITY;
  #killMs = 0;
  #lastEvent = 0;
  /** Whether this process killed a broker that did not come to its failpoint. */
  #isGivenUp = false;

  constructor(options: CrashRunOptions, storeFlags: readonly string[] | undefined) {
    super({ seed: options.seed, storeFlags });
    this.#options = options;
  }

  async run(): Promise<CrashReport> {
    await this.begin();
    // A kill that does not count.
    this.broker?.kill();
    await this.broker?.ended;
    for (let kill = 1; kill <= this.#options.kills; kill++) await this.#liveAndDie(kill);
    this.checker.mark('the last life begins');
    await this.start();
    for (const device of this.devices) device.connect(this.port);
    await this.end();
    const { kills, seed } = this.#options;
    const [atRandom, duringStart] = [this.#atRandom, this.#duringStart];
    return { ...this.checker.verdict(), seed, kills, byFailpoint: this.#byFailpoint, atRandom, duringStart };
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
    const broker = this.spawn(failpoint);
    const startTimer = plan.kind === 'start' ? setTimeout(() => broker.kill(), plan.afterMs) : undefined;
    const port = await broker.ready;
    let end: ProcessEnd | undefined;
    if (port !== undefined) {
      this.port = port;
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
    this.state = 'wild';
    this.events = 0;
    this.#lastEvent = performance.now();
    for (const publisher of this.fleet.publishers) publisher.budget = BUDGET;
    for (const device of this.devices) if (device !== this.fleet.away || this.#isAwayHere) device.connect(this.port);
    const watch = setInterval(() => {
      if (performance.now() - this.#lastEvent < QUIET_MS) return;
      this.#isGivenUp = true;
      broker.kill();
    }, 100);
    const end = await broker.ended;
    clearInterval(watch);
    this.state = 'calm';
    for (const device of this.devices) device.drop();
    return end;
  }

  #settle(kill: number, plan: Plan, end: ProcessEnd, duringStart: boolean): void {
    const how = plan.kind === 'failpoint' ? `at ${plan.name}:${plan.count}` : 'at a random instant';
    const given = this.#isGivenUp ? ', which did not come' : '';
    const when = duringStart ? ' before it listened' : ` after ${this.events} events`;
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

  override onEvent(device: Device): void {
    super.onEvent(device);
    this.#lastEvent = performance.now();
    if (this.state !== 'wild') return;
    if (this.events === this.#killAt) this.#killSoon();
    for (const publisher of this.fleet.publishers) publisher.fill();
    this.disturb(device);
  }

  #killSoon(): void {
    const broker = this.broker as BrokerProcess;
    if (this.#killMs === 0) broker.kill();
    else setTimeout(() => broker.kill(), this.#killMs);
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
