import { spawn } from 'node:child_process';

/** How a program ended. */
export interface ToolRun {
  /** Exit code, or the signal that ended it. */
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

const SECONDS_MAX = 60;

/** Runs a program to its end, which comes within a minute. */
export async function runTool(program: string, args: readonly string[], input = ''): Promise<ToolRun> {
  const tool = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const timer = setTimeout(() => tool.kill('SIGKILL'), SECONDS_MAX * 1000);
  let stdout = '';
  let stderr = '';
  tool.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  tool.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  tool.stdin.on('error', () => {});
  tool.stdin.end(input);
  const code = await new Promise<number | NodeJS.Signals>((resolve) =>
    tool.once('close', (exitCode, signal) => resolve(exitCode ?? signal ?? -1)),
  );
  clearTimeout(timer);
  return { code, stdout, stderr };
}
