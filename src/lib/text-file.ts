import { readFileSync } from 'node:fs';

/** Text of a UTF-8 file. @throws what reading it throws; `readProblem` says it in words. */
export function readTextFile(path: string): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
}
