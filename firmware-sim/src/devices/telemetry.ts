import type { Agent } from '../agent/agent.ts';
import type { StampedPayload } from '../checker/stamp.ts';
import type { MessageProperties, QoS } from '../client/client.ts';
import type { Random } from '../lib/random.ts';
import type { Timers } from '../lib/timers.ts';
import type { Telemetry } from '../scenario/scenario.ts';
import type { DriftingClock } from './device-clock.ts';
import type { Work } from './life.ts';
import { Pump, type Pumped, pumpedAs, pumpOptions } from './pump.ts';
import { Schedule } from './schedule.ts';
import { type PayloadPlan, type PayloadSource, planPayloads } from './telemetry-payload.ts';
import { TopicTemplate, type TopicValues } from './topics.ts';

/** A row of telemetry, prepared once for all devices of a class. */
export interface TelemetryPlan {
  readonly row: Telemetry;
  readonly topic: TopicTemplate;
  readonly payloads: PayloadPlan;
  readonly properties: MessageProperties | undefined;
}

/** Prepares rows of telemetry. */
export function planTelemetry(rows: readonly Telemetry[]): TelemetryPlan[] {
  return rows.map((row) => ({
    row,
    topic: new TopicTemplate(row.topic),
    payloads: planPayloads(row),
    properties: row.expirySeconds === undefined ? undefined : { messageExpiryInterval: row.expirySeconds },
  }));
}

/** What the telemetry of a device works with. */
export interface TelemetryParts {
  readonly agent: Agent;
  readonly timers: Timers;
  readonly random: Random;
  readonly clock: DriftingClock;
  /** Messages of closed loops under way at once. */
  readonly window: number;
}

/** All rows of one device, or of a gateway and its children. */
export class DeviceTelemetry implements Work {
  readonly pending = 0;
  readonly #parts: TelemetryParts;
  readonly #schedules: Schedule[] = [];
  /** Of closed loops; absent without any. */
  #pump: Pump | undefined;
  #state: 'paused' | 'running' | 'over' = 'paused';

  constructor(parts: TelemetryParts) {
    this.#parts = parts;
  }

  /** Adds the rows of a device or child. Only before start. */
  add(plans: readonly TelemetryPlan[], names: TopicValues): void {
    const { agent, timers, window } = this.#parts;
    for (const [at, plan] of plans.entries()) {
      const random = this.#parts.random.fork(`row ${at} ${names.child ?? ''}`);
      const row = new TelemetryRow(plan, names, this.#parts, random);
      const { pace } = plan.row;
      if (pace.loop === 'closed') {
        this.#pump ??= new Pump(agent, timers, window);
        this.#pump.add(() => (this.#state === 'running' ? row.pump(timers.now()) : 'nothing'));
        continue;
      }
      const everyMs = pace.everySeconds * 1000;
      const firstAt = timers.now() + random.next() * everyMs;
      this.#schedules.push(new Schedule(timers, everyMs, firstAt, (dueAt) => row.publish(dueAt)));
    }
  }

  /** Begins, or goes on; what fell due in between is left out. */
  start(): void {
    if (this.#state === 'over') return;
    this.#state = 'running';
    for (const schedule of this.#schedules) schedule.start();
    this.#pump?.fill();
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
    for (const schedule of this.#schedules) schedule.stop();
  }

  drain(): void {
    this.pause();
    this.#state = 'over';
  }

  pace(factor: number): void {
    for (const schedule of this.#schedules) schedule.pace(factor);
  }

  onUp(): void {
    this.#pump?.fill();
  }

  onPublished(): void {
    this.#pump?.onPublished();
  }

  onMessage(): void {
    // What a sensor subscribes to is the delivery checker's concern alone.
  }
}

/** One row of one device. */
class TelemetryRow {
  readonly #plan: TelemetryPlan;
  readonly #topicName: string;
  readonly #payloads: PayloadSource;
  readonly #agent: Agent;
  readonly #clock: DriftingClock;
  readonly #random: Random;

  constructor(plan: TelemetryPlan, names: TopicValues, { agent, clock }: TelemetryParts, random: Random) {
    this.#plan = plan;
    this.#topicName = plan.topic.expand(names);
    this.#payloads = plan.payloads.source({
      device: names.child ?? names.device,
      index: names.index,
      random: random.fork('values'),
    });
    this.#agent = agent;
    this.#clock = clock;
    this.#random = random;
  }

  /** Publishes the next message, which is due at `dueAt`. */
  publish(dueAt: number): void {
    const { row, properties } = this.#plan;
    const { retain } = row;
    const qos = this.#drawQos();
    const options = properties === undefined ? { qos, retain, dueAt } : { qos, retain, dueAt, properties };
    this.#agent.publish(this.#topicName, this.#next(dueAt), options);
  }

  /** The same in a closed loop. */
  pump(now: number): Pumped {
    const { row, properties } = this.#plan;
    const qos = this.#drawQos();
    const options = pumpOptions(qos, row.retain);
    const isTaken = this.#agent.publish(
      this.#topicName,
      this.#next(now),
      properties === undefined ? options : { ...options, properties },
    );
    return pumpedAs(isTaken, qos);
  }

  #drawQos(): QoS {
    const { qos } = this.#plan.row;
    return qos.length === 1 ? (qos[0] as QoS) : this.#random.pick(qos);
  }

  #next(dueAt: number): StampedPayload {
    return this.#payloads.next(this.#clock.read(dueAt));
  }
}
