/** What scenario files in TypeScript and programs that run scenarios import as `trellis-mqtt/firmware-sim`. */
export { defineFleet } from './scenario/define-fleet.ts';
export type { ScenarioFile } from './scenario/scenario-file.ts';
