import type { Config } from './config.ts';
import { Guard, type GuardParts } from './limits/guard.ts';
import { defaultMemoryBudget, readProcessMemory, usedPart } from './limits/process-memory.ts';

/** The guard that a configuration asks for. */
export function makeGuard({ limits }: Config, parts: Omit<GuardParts, 'settings'>): Guard {
  const { memoryBytesMax, addressesExempt, outboxBytesMax } = limits;
  const budgetBytes = memoryBytesMax === 'auto' ? defaultMemoryBudget() : memoryBytesMax;
  const readUsed = parts.memoryUsed ?? ((): number => usedPart(readProcessMemory(), budgetBytes));
  return new Guard({
    ...parts,
    memoryUsed: budgetBytes === 0 ? undefined : readUsed,
    settings: {
      connections: limits,
      exempt: addressesExempt,
      rates: limits,
      flapping: {
        connectsMax: limits.flappingConnectsMax,
        failuresMax: limits.flappingFailuresMax,
        windowMs: limits.flappingWindowMs,
        banMs: limits.flappingBanMs,
      },
      outboxBytesMax,
    },
  });
}
