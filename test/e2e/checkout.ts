import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, realpathSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Folder of this repository. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url));

/** What the package is built of, and what comes along with it. */
const PARTS = [
  'package.json',
  'config.schema.json',
  'scenario.schema.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'README.md',
  'LICENSE',
  'src',
  'firmware-sim',
  'examples',
  'test/e2e',
];

/** PATH with the Node and the tools of this repository first, as npm sets it for its scripts. */
export const toolPath: string = [join(root, 'node_modules/.bin'), process.env['PATH'] ?? ''].join(delimiter);

/** A fresh copy of the repository in a temporary folder, compiled, so that tests need no dist of the working copy. */
export async function builtCheckout(): Promise<string> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'trellis-checkout-')));
  for (const part of PARTS) cpSync(join(root, part), join(directory, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], { cwd: directory });
  return directory;
}
