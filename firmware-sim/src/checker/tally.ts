import { type ByQos, type Fault, faults, type Verdict } from './witness.ts';

/** Examples kept of each fault. */
const examplesMax = 20;

interface FaultTally {
  total: number;
  readonly byQos: ByQos;
  readonly byClass: Map<string, number>;
}

/** Counts and faults of a verdict while they grow. */
export class Tally {
  readonly sent: ByQos = [0, 0, 0];
  readonly acknowledged: ByQos = [0, 0, 0];
  readonly refused: ByQos = [0, 0, 0];
  readonly abandoned: ByQos = [0, 0, 0];
  readonly delivered: ByQos = [0, 0, 0];
  readonly owed: ByQos = [0, 0, 0];
  readonly outstanding: ByQos = [0, 0, 0];
  missedUnexcused = 0;
  missedExcused = 0;
  repeated = 0;
  repeatedWithoutDup = 0;
  foreign = 0;
  willsDue = 0;
  retainedChecked = 0;
  sessionsResumed = 0;
  brokerRestarts = 0;
  readonly #faults: ReadonlyMap<Fault, FaultTally> = new Map(
    faults.map((fault) => [fault, { total: 0, byQos: [0, 0, 0], byClass: new Map() }]),
  );
  readonly #examples: { fault: Fault; at: number; text: string }[] = [];

  /** Counts one fault. `text` is only asked for while there are few examples of it. */
  fault(fault: Fault, qos: number, className: string, example: { readonly at: number; text(): string }): void {
    const tally = this.#faults.get(fault) as FaultTally;
    tally.total++;
    tally.byQos[qos === 2 ? 2 : qos === 1 ? 1 : 0]++;
    tally.byClass.set(className, (tally.byClass.get(className) ?? 0) + 1);
    if (tally.total <= examplesMax) this.#examples.push({ fault, at: example.at, text: example.text() });
  }

  verdict(): Verdict {
    const { missedUnexcused: unexcused, missedExcused: excused, repeated, repeatedWithoutDup } = this;
    const { foreign, willsDue, retainedChecked, sessionsResumed, brokerRestarts } = this;
    const told = [...this.#faults].map(([fault, { total, byQos, byClass }]) => {
      return [fault, { total, byQos: copy(byQos), byClass: Object.fromEntries(byClass) }] as const;
    });
    return {
      faults: Object.fromEntries(told) as Verdict['faults'],
      counts: {
        sent: copy(this.sent),
        acknowledged: copy(this.acknowledged),
        refused: copy(this.refused),
        abandoned: copy(this.abandoned),
        delivered: copy(this.delivered),
        owed: copy(this.owed),
        outstanding: copy(this.outstanding),
        missedQos0: { unexcused, excused },
        repeated: { total: repeated, withoutDup: repeatedWithoutDup },
        foreign,
        willsDue,
        retainedChecked,
        sessionsResumed,
        brokerRestarts,
      },
      examples: this.#examples.map((example) => ({ ...example })),
    };
  }
}

function copy([zero, one, two]: ByQos): ByQos {
  return [zero, one, two];
}
