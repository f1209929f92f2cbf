import { setTimeout } from 'node:timers/promises';

const INTERVAL_MS = 10;

/**
 * Asks again and again until there is an answer, for what no event tells; an error of the probe is no answer.
 * @param what What is waited for, for the message: `a master`.
 * @throws Error after `timeoutMs`, by the clock of this process, with the last error of the probe as its cause.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  while (performance.now() < deadline) {
    try {
      const answer = await probe();
      if (answer !== undefined) return answer;
    } catch (error) {
      cause = error;
    }
    await setTimeout(INTERVAL_MS);
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`, { cause });
}
