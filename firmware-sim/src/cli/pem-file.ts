import { readFileSync } from 'node:fs';
import { UsageError } from './errors.ts';
import { quoted } from './flags.ts';

/** The text of the PEM file that a flag names; undefined where it was not given. @throws UsageError where it cannot be read. */
export function pemFile(values: ReadonlyMap<string, string>, name: string): string | undefined {
  const path = values.get(name);
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`${name}: cannot read ${quoted(path)} (${(error as NodeJS.ErrnoException).code}).`);
  }
}
