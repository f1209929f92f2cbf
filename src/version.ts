import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';

/** The version of this package. */
export const version: string = readVersion();

function readVersion(): string {
  // Sources and compiled files lie at different depths below the package.
  const manifest: unknown = JSON.parse(readFileSync(findPackageJSON('.', import.meta.url) as string, 'utf8'));
  return (manifest as { version: string }).version;
}
