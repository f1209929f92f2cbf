import { isDeepStrictEqual } from 'node:util';
import { type Explanation, EXPLANATIONS, surplusMessages } from './explained.ts';
import { makeSequence } from './generator.ts';
import type { Seen } from './normal-form.ts';
import { Player, type Trace } from './player.ts';
import type { Step } from './step.ts';

/** A step in which a client of one broker saw something else than that of the other. */
export interface Difference {
  readonly steps: readonly Step[];
  /** Which step it showed in. */
  readonly at: number;
  readonly step: Step;
  /** The client that saw it. */
  readonly client: number;
  readonly trellis: Seen;
  readonly mosquitto: Seen;
}

/** What came of one sequence. */
export interface Comparison {
  readonly seed: number;
  readonly steps: readonly Step[];
  /** The first difference that nothing explains; undefined for none. */
  readonly unexplained: Difference | undefined;
  /** Explanations used, by name. */
  readonly explained: ReadonlyMap<string, number>;
  readonly trellis: Trace;
  readonly mosquitto: Trace;
}

/** Plays sequences to both brokers and compares what clients saw. */
export class Arena {
  readonly #trellis: Player;
  readonly #mosquitto: Player;

  /** @param ports of the brokers on 127.0.0.1. */
  constructor(ports: { trellis: number; mosquitto: number }) {
    this.#trellis = new Player(ports.trellis);
    this.#mosquitto = new Player(ports.mosquitto);
  }

  /** Plays the sequence of a seed. */
  compareSeed(seed: number): Promise<Comparison> {
    return this.compare(makeSequence(seed), seed);
  }

  /** Plays these steps. */
  async compare(steps: readonly Step[], seed: number): Promise<Comparison> {
    const [trellis, mosquitto] = await Promise.all([this.#trellis.play(steps), this.#mosquitto.play(steps)]);
    const explained = new Map<string, number>();
    const unexplained = firstUnexplained(steps, trellis, mosquitto, explained);
    return { seed, steps, unexplained, explained, trellis, mosquitto };
  }

  /** Leaves out steps one by one as long as something unexplained is left. */
  async shrink(comparison: Comparison): Promise<Comparison> {
    let smallest = comparison;
    for (let at = comparison.steps.length - 1; at >= 0; at--) {
      const fewer = await this.compare(smallest.steps.toSpliced(at, 1), comparison.seed);
      if (fewer.unexplained !== undefined) smallest = fewer;
    }
    return smallest;
  }
}

/** The first difference without an explanation. Behind one that leaves the brokers in different states nothing is compared any more. */
function firstUnexplained(
  steps: readonly Step[],
  trellis: Trace,
  mosquitto: Trace,
  explained: Map<string, number>,
): Difference | undefined {
  for (const [at, step] of steps.entries()) {
    for (const [client, seen] of actorFirst(trellis[at] ?? [], step.client)) {
      const other = mosquitto[at]?.[client] as Seen;
      if (isDeepStrictEqual(seen, other)) continue;
      const difference = { steps, at, step, client, trellis: seen, mosquitto: other };
      const explanations = explain(difference);
      if (explanations === undefined) return difference;
      for (const { name } of explanations) explained.set(name, (explained.get(name) ?? 0) + 1);
      if (explanations.some(({ states }) => states === 'differ')) return undefined;
    }
  }
  return undefined;
}

/** All that explains a difference; undefined where a part of it is left. */
function explain(difference: Difference): Explanation[] | undefined {
  const { trellis, mosquitto } = difference;
  const found = new Set<Explanation>();
  if (trellis.end !== mosquitto.end || !isDeepStrictEqual(trellis.answers, mosquitto.answers)) {
    const explanation = EXPLANATIONS.find(({ explainsAnswers }) => explainsAnswers?.(difference) === true);
    if (explanation === undefined) return undefined;
    found.add(explanation);
    // Messages may well differ then.
    if (explanation.states === 'differ') return [explanation];
  }
  for (const message of surplusMessages(difference)) {
    const explanation = EXPLANATIONS.find(({ explainsMessage }) => explainsMessage?.(message, difference) === true);
    if (explanation === undefined) return undefined;
    found.add(explanation);
  }
  // The same messages in another order are explained by nothing.
  return found.size > 0 ? [...found] : undefined;
}

/** What others see may come of what the acting client does. */
function actorFirst(seen: readonly Seen[], actor: number): [client: number, seen: Seen][] {
  return [...seen.entries()].toSorted(([one], [other]) => Number(other === actor) - Number(one === actor));
}
