import type { DeliveryChecker } from '../checker/delivery-checker.ts';
import type { Timers } from '../lib/timers.ts';
import type { Scenario, Stage } from '../scenario/scenario.ts';
import type { BrokerKiller } from './broker-killer.ts';
import type { FleetCommand, FleetHandle } from './fleet-handle.ts';
import type { Progress } from './run.ts';
import type { Totals } from './totals.ts';

/** The drain of scenarios that have none of their own, s. */
const lastDrainSeconds = 30;
/** The drain after ctrl-C, s. */
const interruptedDrainSeconds = 3;
/** How long nothing may be owed before a drain ends: what comes twice or too much gets its chance, ms. */
const quietMs = 500;
/** A drain goes on beyond its time as long as something of what is owed came within so long, ms: slow is not lost. */
const progressMs = 5_000;
/** How often a drain looks, ms. */
const drainStepMs = 50;

/** What a conductor works with. */
export interface ConductorParts {
  readonly scenario: Scenario;
  readonly timers: Timers;
  readonly checker: Pick<DeliveryChecker, 'advance' | 'broker' | 'outstanding' | 'verdict'>;
  readonly fleets: readonly FleetHandle[];
  readonly totals: Totals;
  readonly killer: BrokerKiller | undefined;
  readonly interrupt: AbortSignal;
  readonly brokerUrl: string;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

/** Leads the fleets through the stages, kills the broker when it is time, and looks every second. */
export class Conductor {
  readonly #parts: ConductorParts;
  readonly #startedAt: number;
  readonly #totalSeconds: number;
  #stage: Stage = { kind: 'hold', name: '', seconds: 0 };
  /** Seconds from the start to the last point of the series. */
  #lastPointAt = 0;
  /** Of the last point of the series; no two have the same. */
  #second = 0;
  #pending = 0;
  #switchedOn = 0;
  #kills = 0;
  /** The collection under way, so that two never overlap. */
  #collecting: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  readonly #failed = new AbortController();
  /** Aborts when the run is interrupted or has failed: nothing waits any longer. */
  readonly #halt: AbortSignal;
  #isOver = false;

  constructor(parts: ConductorParts) {
    this.#parts = parts;
    this.#startedAt = parts.timers.now();
    this.#halt = AbortSignal.any([parts.interrupt, this.#failed.signal]);
    this.#totalSeconds = stagesOf(parts.scenario).reduce((all, { seconds }) => all + seconds, 0);
  }

  get kills(): number {
    return this.#kills;
  }

  /** Seconds since the start. */
  get elapsedSeconds(): number {
    return (this.#parts.timers.now() - this.#startedAt) / 1000;
  }

  /** Plays all stages. @throws what a fleet or the killing failed with. */
  async play(): Promise<void> {
    const { interrupt, totals } = this.#parts;
    this.#tickLater();
    const chaos = this.#killRegularly();
    for (const stage of stagesOf(this.#parts.scenario)) {
      if (interrupt.aborted && stage.kind !== 'drain') continue;
      this.#stage = stage;
      await this.#collect();
      totals.beginStage(stage, this.elapsedSeconds);
      if (stage.kind === 'drain') await chaos;
      this.#throwFailure();
      await this.#playStage(stage);
      this.#throwFailure();
    }
    await this.#collect();
    totals.endStage(this.elapsedSeconds);
    this.#isOver = true;
    this.#endSecond();
  }

  async #playStage(stage: Stage): Promise<void> {
    switch (stage.kind) {
      case 'ramp':
        this.#tell({ do: 'ramp', to: stage.to, seconds: stage.seconds });
        return this.#wait(stage.seconds * 1000);
      case 'hold':
        return this.#wait(stage.seconds * 1000);
      case 'burst':
        this.#tell({ do: 'pace', factor: stage.factor });
        await this.#wait(stage.seconds * 1000);
        this.#tell({ do: 'pace', factor: 1 });
        return;
      case 'storm':
        this.#tell({ do: 'storm', part: stage.part });
        return this.#wait(stage.seconds * 1000);
      case 'drain':
        return this.#drain(stage.seconds);
    }
  }

  async #drain(seconds: number): Promise<void> {
    const { timers, checker, interrupt } = this.#parts;
    let deadline = timers.now() + seconds * 1000;
    let isShortened = false;
    this.#tell({ do: 'drain' });
    let quietSince = Number.POSITIVE_INFINITY;
    let least = Number.POSITIVE_INFINITY;
    let progressAt = timers.now();
    for (;;) {
      await this.#collect();
      const now = timers.now();
      if (interrupt.aborted && !isShortened) {
        deadline = Math.min(deadline, now + interruptedDrainSeconds * 1000);
        isShortened = true;
      }
      const isQuiet = this.#pending === 0 && checker.outstanding === 0;
      quietSince = isQuiet ? Math.min(quietSince, now) : Number.POSITIVE_INFINITY;
      if (checker.outstanding < least) {
        least = checker.outstanding;
        progressAt = now;
      }
      if (now - quietSince >= quietMs) return;
      if (now >= deadline && (interrupt.aborted || now - progressAt >= progressMs)) return;
      await new Promise<void>((resolve) => timers.after(drainStepMs, resolve));
    }
  }

  #tell(command: FleetCommand): void {
    for (const fleet of this.#parts.fleets) fleet.tell(command);
  }

  /** Resolves after so long, or when the run is interrupted or has failed. */
  #wait(ms: number): Promise<void> {
    const { timers } = this.#parts;
    if (this.#halt.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        timers.cancel(timer);
        this.#halt.removeEventListener('abort', wake);
        resolve();
      };
      const timer = timers.after(ms, wake);
      this.#halt.addEventListener('abort', wake);
    });
  }

  /** Reads what all fleets counted into the totals. */
  #collect(): Promise<void> {
    this.#collecting = this.#collecting.then(async () => {
      const { fleets, totals, checker, timers } = this.#parts;
      const turns = await Promise.all(fleets.map((fleet) => fleet.turn()));
      this.#pending = turns.reduce((all, { pending }) => all + pending, 0);
      this.#switchedOn = turns.reduce((all, { switchedOn }) => all + switchedOn, 0);
      for (const turn of turns) totals.add(turn);
      // A will may fall due, or a message expire, while nobody says anything.
      checker.advance(timers.now());
    });
    return this.#collecting;
  }

  #tickLater(): void {
    const { timers } = this.#parts;
    // Whole seconds since the start; where this process was late, a point stands for more than one.
    timers.after(this.#startedAt + (this.#second + 1) * 1000 - timers.now(), () => {
      if (this.#isOver) return;
      this.#collect().then(
        () => {
          if (this.#isOver) return;
          this.#endSecond();
          this.#tickLater();
        },
        (error: Error) => this.#fail(error),
      );
    });
  }

  #endSecond(): void {
    const { checker, totals, onProgress, brokerUrl } = this.#parts;
    const faults: Record<string, number> = {};
    for (const [name, { total }] of Object.entries(checker.verdict().faults)) if (total > 0) faults[name] = total;
    const found = Object.values(faults).reduce((all, one) => all + one, 0);
    const seconds = this.elapsedSeconds - this.#lastPointAt;
    this.#lastPointAt = this.elapsedSeconds;
    this.#second = Math.max(this.#second + 1, Math.round(this.#lastPointAt));
    onProgress?.({
      point: totals.endSecond(this.#second, seconds, {
        outstanding: checker.outstanding,
        faults: found,
      }),
      stage: this.#stage.name,
      devices: this.#switchedOn,
      elapsedSeconds: this.elapsedSeconds,
      totalSeconds: this.#totalSeconds,
      inFlight: this.#pending,
      faults,
      brokerUrl,
    });
  }

  /** Resolves when the last kill before the drain is over. */
  async #killRegularly(): Promise<void> {
    const { killer, checker, timers, totals, scenario } = this.#parts;
    const everyMs = scenario.chaos.killBrokerEverySeconds * 1000;
    if (killer === undefined || everyMs === 0) return;
    const playing = stagesOf(scenario).filter(({ kind }) => kind !== 'drain');
    const endAt = this.#startedAt + playing.reduce((all, { seconds }) => all + seconds * 1000, 0);
    while (timers.now() + everyMs <= endAt) {
      await this.#wait(everyMs);
      if (this.#halt.aborted) return;
      checker.broker('down', timers.now());
      totals.event('broker down');
      try {
        await killer.killAndRestart();
      } catch (error) {
        this.#fail(error as Error);
        return;
      }
      checker.broker('up', timers.now());
      totals.event('broker up');
      this.#kills += 1;
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#failed.abort();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** The stages of a scenario, with a drain at the end in any case: nothing is lost that was still on its way. */
function stagesOf({ stages }: Scenario): readonly Stage[] {
  if (stages.at(-1)?.kind === 'drain') return stages;
  return [...stages, { kind: 'drain', name: 'drain', seconds: lastDrainSeconds }];
}
