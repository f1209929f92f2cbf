import { randomInt } from 'node:crypto';
import { cpus, release, totalmem, type } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { DeliveryChecker } from '../checker/delivery-checker.ts';
import { WitnessMerger } from '../checker/witness-recorder.ts';
import { packageVersion } from '../lib/package-root.ts';
import { SystemTimers } from '../lib/timers.ts';
import { figureRows } from '../report/broker-figures.ts';
import type { Report } from '../report/report.ts';
import { judged } from '../report/thresholds.ts';
import type { Scenario, Threshold } from '../scenario/scenario.ts';
import { type Endpoint, endpointUrl } from '../wire/endpoint.ts';
import { type BrokerKiller, brokerKiller, isListening } from './broker-killer.ts';
import { Conductor } from './conductor.ts';
import { type FleetHandle, LocalFleet } from './fleet-handle.ts';
import type { FleetPlan } from './fleet.ts';
import { Observer } from './observer.ts';
import { OwnBroker } from './own-broker.ts';
import { type Run, RunError, type RunOptions } from './run.ts';
import { Totals } from './totals.ts';
import { WorkerFleet } from './worker-fleet.ts';

/** What became owed only so long before an interrupted run ended is not judged, ms. */
const interruptedGraceMs = 10_000;
/** Between two samples of the event loop delay, ms. */
const loopResolutionMs = 10;
/** How long devices may take to say goodbye, ms. */
const leaveMs = 5_000;

/** Where the run's clients go. */
interface Target {
  readonly tcp: Endpoint;
  readonly websocket: Endpoint | undefined;
}

/** Runs a scenario to its end; see {@link Run}. */
export const run: Run = async (scenario, options) => {
  const { tcp, websocket } = scenario.broker;
  const isOwn = tcp === undefined && websocket === undefined;
  const own = isOwn ? await OwnBroker.start() : undefined;
  try {
    const target = await targetOf(scenario, own, options);
    const observer = await Observer.connect(target.tcp, scenario.broker);
    try {
      const killer = await brokerKiller(own, options.killBroker, target.tcp);
      if (scenario.chaos.killBrokerEverySeconds > 0 && killer === undefined) {
        throw new RunError(
          'The scenario kills the broker, and nobody said how: name --kill-broker COMMAND or PID, or leave --broker out.',
        );
      }
      return await new Runner(scenario, options, target).run(observer, killer, isOwn);
    } finally {
      await observer.close();
    }
  } finally {
    await own?.stop();
  }
};

async function targetOf(scenario: Scenario, own: OwnBroker | undefined, options: RunOptions): Promise<Target> {
  if (own !== undefined) {
    const local = (transport: 'tcp' | 'ws', port: number): Endpoint => ({
      transport,
      host: '127.0.0.1',
      port,
      path: '/mqtt',
    });
    return { tcp: local('tcp', own.ports.mqtt), websocket: local('ws', own.ports.websocket) };
  }
  const { tcp, websocket, websocketIsGuess } = scenario.broker;
  const wants = scenario.fleet.some(({ connection }) => connection.transport === 'websocket');
  if (
    wants &&
    tcp !== undefined &&
    (websocket === undefined || (websocketIsGuess === true && !(await isListening(websocket))))
  ) {
    const where = websocket === undefined ? '' : ` (nothing listens on ${endpointUrl(websocket)})`;
    options.onNotice?.(`No WebSocket listener is known${where}: devices on WebSocket use TCP. --websocket names one.`);
    return { tcp, websocket: undefined };
  }
  return { tcp: (tcp ?? websocket) as Endpoint, websocket };
}

/** One run against a broker that is there. */
class Runner {
  readonly #scenario: Scenario;
  readonly #options: RunOptions;
  readonly #target: Target;
  readonly #timers = new SystemTimers();
  readonly #checker: DeliveryChecker;
  readonly #totals: Totals;
  #merger: WitnessMerger | undefined;
  /** Of the stamps: tells this run's messages from those of others and of earlier runs; not from the seed, therefore. */
  readonly #run = randomInt(2 ** 24);

  constructor(scenario: Scenario, options: RunOptions, target: Target) {
    this.#scenario = scenario;
    this.#options = options;
    this.#target = target;
    this.#checker = new DeliveryChecker(scenario.checker);
    this.#totals = new Totals(scenario.fleet);
  }

  async run(observer: Observer, killer: BrokerKiller | undefined, isOwn: boolean): Promise<Report> {
    const startedAt = new Date().toISOString();
    const cpuBefore = process.cpuUsage();
    const loopDelay = monitorEventLoopDelay({ resolution: loopResolutionMs });
    loopDelay.enable();
    const before = await observer.figures();
    const fleets = this.#fleets();
    const url = endpointUrl(this.#target.tcp);
    const conductor = new Conductor({
      scenario: this.#scenario,
      timers: this.#timers,
      checker: this.#checker,
      fleets,
      totals: this.#totals,
      killer,
      interrupt: this.#options.interrupt,
      brokerUrl: url,
      onProgress: this.#options.onProgress,
    });
    try {
      await conductor.play();
      const durationSeconds = conductor.elapsedSeconds;
      const isInterrupted = this.#options.interrupt.aborted;
      this.#merger?.finish();
      this.#checker.finish(this.#timers.now(), isInterrupted ? interruptedGraceMs : undefined);
      const isGone = this.#totals.connected === 0 && !(await observer.isThere());
      const after = await observer.figures();
      const cpu = process.cpuUsage(cpuBefore);
      const { name, description, seed, fleet, thresholds } = this.#scenario;
      return judged(
        {
          format: 'firmware-sim/1',
          interrupted: isInterrupted,
          scenario: { name, description, seed },
          command: this.#options.command,
          startedAt,
          durationSeconds,
          environment: environment(this.#options.threads),
          broker: { url, software: observer.software, isOwn, kills: conductor.kills },
          ...this.#totals.report(fleet, durationSeconds),
          delivery: this.#checker.verdict(),
          brokerFigures: figureRows(before, after),
          self: {
            cpuSeconds: (cpu.user + cpu.system) / 1e6,
            residentMb: process.memoryUsage.rss() / 2 ** 20,
            // What is measured has the waiting time between two samples in it.
            loopDelayP99: Math.max(0, loopDelay.percentile(99) / 1e6 - loopResolutionMs),
          },
        },
        [...thresholds, ...(isInterrupted ? [] : this.#unreached()), ...(isGone ? [this.#someoneConnected()] : [])],
      );
    } finally {
      loopDelay.disable();
      await this.#leave(fleets).catch(() => undefined); // A thread that has failed has told so already.
      if (!isOwn) await observer.clear(this.#checker.retainedTopics);
      this.#timers.clear();
    }
  }

  #fleets(): FleetHandle[] {
    const { threads } = this.#options;
    const plan = (thread: number): FleetPlan => ({
      scenario: this.#scenario,
      tcp: this.#target.tcp,
      websocket: this.#target.websocket,
      run: this.#run,
      thread,
      threads: Math.max(1, threads),
    });
    if (threads === 0) return [new LocalFleet(plan(0), this.#checker, this.#timers)];
    const merger = new WitnessMerger(this.#checker, threads);
    this.#merger = merger;
    return Array.from(
      { length: threads },
      (_, thread) => new WorkerFleet(plan(thread), (batch) => merger.add(thread, batch)),
    );
  }

  /** A class of which nobody ever got in fails the run, whatever else holds: its devices have shown nothing. */
  #unreached(): Threshold[] {
    return this.#scenario.fleet
      .filter(({ name, count }) => count > 0 && this.#totals.connectsOf(name) === 0)
      .map(({ name }) => ({ metric: `classes.${name}.connects`, test: '>=', limit: 1 }));
  }

  /** What a broker that is gone at the end fails by: not every connection may have ended. */
  #someoneConnected(): Threshold {
    return { metric: 'disconnects', test: '<', limit: this.#totals.connects };
  }

  /** Everybody leaves in order; whoever does not within a while is left to the end of the process. */
  async #leave(fleets: readonly FleetHandle[]): Promise<void> {
    const deadline = this.#timers.now() + leaveMs;
    const untilIdle = async (isIdle: (pending: number) => boolean): Promise<void> => {
      for (;;) {
        const turns = await Promise.all(fleets.map((fleet) => fleet.turn()));
        for (const turn of turns) this.#totals.add(turn);
        const pending = turns.reduce((all, turn) => all + turn.pending, 0);
        if (isIdle(pending) || this.#timers.now() >= deadline) return;
        await delay(20);
      }
    };
    for (const fleet of fleets) fleet.tell({ do: 'stop' });
    await untilIdle(() => this.#totals.connected === 0);
    for (const fleet of fleets) fleet.tell({ do: 'erase' });
    await untilIdle((pending) => pending === 0);
    await Promise.all(fleets.map((fleet) => fleet.close()));
  }
}

function environment(threads: number): Report['environment'] {
  const [cpu] = cpus();
  return {
    node: process.version,
    os: `${type()} ${release()}`,
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryMb: Math.round(totalmem() / 2 ** 20),
    simulator: packageVersion(),
    threads,
  };
}
