import { findTool } from '../tools.ts';

const setpriv = findTool('setpriv');

/** A command line that has the kernel end the program when this process is gone, however it went; where the system can. */
export function boundCommand(program: string, args: readonly string[]): [command: string, args: string[]] {
  if (setpriv === undefined) return [program, [...args]];
  return [setpriv, ['--pdeathsig', 'KILL', '--', program, ...args]];
}
