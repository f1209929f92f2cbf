import type { Random } from '../fakes/random.ts';
import { type Plan, planOf } from './plan.ts';

/** What a run with several nodes is made of besides, all of it drawn from its seed. */
export interface NodePlan extends Plan {
  readonly leaseMs: number;
  /** Whether nodes find at once that the process of another has ended, or its lease has to end. */
  readonly seesDeath: boolean;
  /** Changes of the topology that Redis keeps. */
  readonly changesMax: number;
  /** Client ids that are taken over at a time. */
  readonly clientsAtOnce: number;
  /** Whether nodes stand still now and then. */
  readonly pauses: boolean;
  /** How likely a connection to Redis breaks with a call, 0 to 1. */
  readonly cutChance: number;
  /** How likely a client goes to another node, 0 to 1. */
  readonly roamChance: number;
}

/** Draws the plan of a run with so many nodes. */
export function nodePlanOf(random: Random, nodes: number): NodePlan {
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)] as T;
  const plan = planOf(random);
  const { config } = plan;
  return {
    ...plan,
    config: { ...config, session: { ...config.session, queueMessagesMax: 100_000 } },
    fullDisks: false,
    brokenDisks: false,
    isLossy: false,
    storeDelayMs: pick([0, 3, 20]),
    nodes,
    leaseMs: pick([1000, 3000]),
    seesDeath: random.chance(0.5),
    changesMax: pick([3, 10, 10_000]),
    clientsAtOnce: pick([1, 2, 500]),
    pauses: random.chance(0.5),
    cutChance: pick([0, 0, 0.01]),
    roamChance: pick([0.1, 0.5, 1]),
  };
}
