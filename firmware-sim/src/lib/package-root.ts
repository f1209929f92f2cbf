import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { pathToFileURL } from 'node:url';

/** The folder of this package, whether it runs from its sources or compiled; ends with a slash. */
export function packageRoot(): URL {
  const manifest = findPackageJSON('.', import.meta.url);
  if (manifest === undefined) throw new Error(`no package.json above ${import.meta.url}`);
  return new URL('.', pathToFileURL(manifest));
}

/** The version of this package. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('package.json', packageRoot()), 'utf8'));
  return (manifest as { version: string }).version;
}
