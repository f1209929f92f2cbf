import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TestAuthority } from '../support/certificates.ts';
import type { ChildMessage, Figures } from './broker-child.ts';

const script: string = fileURLToPath(new URL('broker-child.ts', import.meta.url));
/** An answer that has not come by then does not come, ms. */
const ANSWER_MS = 60_000;

/** A broker in a process of its own, which ends with this one. */
export class FuzzedBroker {
  readonly listeners: readonly string[];
  /** Rejects when the process ends without having been told to. */
  readonly died: Promise<never>;
  readonly #child: ChildProcess;
  /** Of its certificate and key. */
  readonly #directory: string;
  #isStopping = false;

  /** Use `startFuzzedBroker`. */
  constructor(child: ChildProcess, directory: string, listeners: readonly string[]) {
    this.#child = child;
    this.#directory = directory;
    this.listeners = listeners;
    this.died = new Promise((_resolve, reject) => {
      child.once('exit', (code, signal) => {
        if (!this.#isStopping) reject(new Error(`the broker ended: ${String(code ?? signal)}`));
      });
    });
    this.died.catch(() => undefined);
  }

  /** URL of the listener with this scheme. @throws Error where there is none. */
  urlOf(scheme: string): URL {
    const found = this.listeners.find((url) => url.startsWith(scheme));
    if (found === undefined) throw new Error(`no listener with ${scheme}`);
    return new URL(found);
  }

  /** Asks for all figures. @throws Error where no answer comes: the event loop stands still, or the process is gone. */
  async figures(): Promise<Figures> {
    const answer = once(this.#child, 'message', { signal: AbortSignal.timeout(ANSWER_MS) });
    if (this.#child.connected) this.#child.send('figures');
    const [message] = (await Promise.race([answer, this.died])) as [ChildMessage];
    if (message.kind !== 'figures') throw new Error('the broker answered something else');
    return message.figures;
  }

  /** Ends the process, and removes its files. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#isStopping = true;
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exited;
    }
    rmSync(this.#directory, { recursive: true });
  }
}

/** Starts the broker and waits until it listens. */
export async function startFuzzedBroker(): Promise<FuzzedBroker> {
  const directory = mkdtempSync(join(tmpdir(), 'trellis-fuzz-'));
  new TestAuthority(directory).server('server');
  const child = fork(script, [directory], { execArgv: ['--expose-gc'], env: { ...process.env, NODE_OPTIONS: '' } });
  const [message] = (await Promise.race([
    once(child, 'message', { signal: AbortSignal.timeout(ANSWER_MS) }),
    once(child, 'exit').then(() => {
      throw new Error('the broker could not be started');
    }),
  ])) as [ChildMessage];
  if (message.kind !== 'ready') throw new Error('the broker did not say that it is ready');
  return new FuzzedBroker(child, directory, message.listeners);
}
