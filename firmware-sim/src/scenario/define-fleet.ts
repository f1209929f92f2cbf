import type { ScenarioFile } from './scenario-file.ts';

/**
 * A scenario in TypeScript: `export default defineFleet({ fleet: { ... } })`. The same as in YAML, checked by the
 * compiler, and with loops and functions to make it from.
 */
export function defineFleet(scenario: ScenarioFile): ScenarioFile {
  return scenario;
}
