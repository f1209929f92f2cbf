import { Metrics } from '../agent/metrics.ts';
import { figuresOf } from '../report/figures.ts';
import type { ClassReport, Figures, Report, SeriesPoint, StageReport } from '../report/report.ts';
import type { DeviceClass, Stage } from '../scenario/scenario.ts';
import type { FleetTurn } from './fleet.ts';

/** What came in less than that, at the end of a run, is no rate: one message in a millisecond is not 1000 in a second. */
const shortestSeconds = 0.5;
/** Texts of a note kind that are kept. */
const noteTextsMax = 20;

interface StageTotals {
  readonly stage: Pick<Stage, 'name' | 'kind'>;
  readonly startSeconds: number;
  endSeconds: number;
  readonly metrics: Metrics;
}

/** What the checker contributes to a point of the series. */
export interface DeliveryState {
  readonly outstanding: number;
  readonly faults: number;
}

/** Adds up what the fleets count: over all, by class, by stage, and second by second. */
export class Totals {
  readonly #all = new Metrics();
  readonly #classes: ReadonlyMap<string, Metrics>;
  readonly #stages: StageTotals[] = [];
  readonly #second = new Metrics();
  readonly #series: SeriesPoint[] = [];
  readonly #notes: Map<string, { count: number; first: string[] }> = new Map();
  #events: string[] = [];

  constructor(fleet: readonly DeviceClass[]) {
    this.#classes = new Map(fleet.map(({ name }) => [name, new Metrics()]));
  }

  /** Successful connects so far. */
  get connects(): number {
    return this.#all.connects;
  }

  /** Connections open now. */
  get connected(): number {
    return this.#all.connects - this.#all.disconnects;
  }

  /** Successful connects of a class so far. */
  connectsOf(className: string): number {
    return this.#classes.get(className)?.connects ?? 0;
  }

  /** A stage begins, `seconds` after the start; the one before it ends. */
  beginStage(stage: Pick<Stage, 'name' | 'kind'>, seconds: number): void {
    this.endStage(seconds);
    this.#stages.push({ stage, startSeconds: seconds, endSeconds: seconds, metrics: new Metrics() });
    this.event(stage.name);
  }

  /** The present stage ends, `seconds` after the start. */
  endStage(seconds: number): void {
    const last = this.#stages.at(-1);
    if (last !== undefined) last.endSeconds = seconds;
  }

  /** Something that belongs on the time axis of the report. */
  event(text: string): void {
    this.#events.push(text);
  }

  /** Adds a turn of one fleet. */
  add(turn: FleetTurn): void {
    for (const [className, metrics] of turn.metrics) {
      this.#classes.get(className)?.add(metrics);
      this.#stages.at(-1)?.metrics.add(metrics);
      this.#all.add(metrics);
      this.#second.add(metrics);
    }
    for (const { kind, text } of turn.notes) {
      let note = this.#notes.get(kind);
      if (note === undefined) this.#notes.set(kind, (note = { count: 0, first: [] }));
      note.count += 1;
      if (note.first.length < noteTextsMax && text !== '') note.first.push(text);
    }
  }

  /** Adds a point to the series: what happened in the `seconds` before, about one, as rates per second. */
  endSecond(second: number, seconds: number, state: DeliveryState): SeriesPoint {
    const { sent, acknowledged, delivered, connects, disconnects, delivery } = this.#second;
    const rate = (count: number): number => Math.round(count / Math.max(seconds, shortestSeconds));
    const sum = (byQos: readonly number[]): number => rate(byQos.reduce((all, one) => all + one, 0));
    const point: SeriesPoint = {
      second,
      sent: sum(sent),
      acknowledged: sum(acknowledged),
      delivered: sum(delivered),
      connected: this.connected,
      connects: rate(connects),
      disconnects: rate(disconnects),
      outstanding: state.outstanding,
      faults: state.faults,
      p50: delivery.at(50),
      p99: delivery.at(99),
      max: delivery.at(100),
      events: this.#events,
    };
    this.#series.push(point);
    this.#second.reset();
    this.#events = [];
    return point;
  }

  /** The parts of a report that are sums. */
  report(
    fleet: readonly DeviceClass[],
    durationSeconds: number,
  ): Pick<Report, 'totals' | 'classes' | 'stages' | 'notes' | 'series'> {
    const figures = (metrics: Metrics | undefined, seconds: number): Figures =>
      figuresOf(metrics === undefined ? [] : [metrics], seconds);
    const classes = fleet.map(({ name, kind, count }): [string, ClassReport] => [
      name,
      { ...figures(this.#classes.get(name), durationSeconds), kind, devices: count },
    ]);
    const stages = this.#stages.map(({ stage, startSeconds, endSeconds, metrics }): StageReport => {
      const seconds = endSeconds - startSeconds;
      return {
        ...figures(metrics, seconds),
        name: stage.name,
        kind: stage.kind,
        startSeconds,
        durationSeconds: seconds,
      };
    });
    return {
      totals: figures(this.#all, durationSeconds),
      classes: Object.fromEntries(classes),
      stages,
      notes: Object.fromEntries(this.#notes),
      series: this.#series,
    };
  }
}
