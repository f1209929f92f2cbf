import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../lib/package-root.ts';

const folder = 'firmware-sim/scenarios/';

/** Names of the scenarios that come along, without the one that `sim init` writes. */
export function listScenarios(): string[] {
  return readdirSync(new URL(folder, packageRoot()))
    .filter((file) => file.endsWith('.yaml') && file !== 'starter.yaml')
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort();
}

/** Path of a scenario that comes along, by its name; it need not exist. */
export function shippedScenario(name: string): string {
  return fileURLToPath(new URL(`${folder}${name}.yaml`, packageRoot()));
}
