import { accessSync, constants } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from './errors.ts';
import { type GivenFlags, quoted } from './flags.ts';

/**
 * Looks whether `file`, which goes where `flag` says, can be written at all: a run may take long, and what has no place
 * to go is told before it. @throws UsageError
 */
export function checkPlace({ values }: GivenFlags, flag: string, file: string | undefined): void {
  if (file === undefined) return;
  const folder = dirname(resolve(file));
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    const hint = values.has(flag) ? '' : `; name another place with ${flag} FILE`;
    throw new UsageError(
      `${flag}: cannot write into ${quoted(folder)} (${(error as NodeJS.ErrnoException).code})${hint}.`,
    );
  }
}
