import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { boundCommand } from '../support/bound-command.ts';

const mainScript = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** How a broker process ended. */
export interface ProcessEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
}

/** How a broker process is started. */
export interface ProcessOptions {
  /** Flags that name the store: `--data DIR`, `--store URL`. */
  storeFlags: readonly string[];
  /** `NAME:COUNT`; none by default. */
  failpoint?: string | undefined;
  /** Where compiled sources are kept between starts. */
  compileCache: string;
  /** `section.key=value`. */
  settings?: readonly string[];
}

/** A broker in a process of its own, on a free port of loopback, with its state in the store that its flags name. */
export class BrokerProcess {
  readonly #child: ChildProcess;
  #stderr = '';
  /** Resolves to the port once it listens, to undefined if it ends before. */
  readonly ready: Promise<number | undefined>;
  readonly ended: Promise<ProcessEnd>;

  constructor(options: ProcessOptions) {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TRELLIS_'));
    const { storeFlags, failpoint, compileCache, settings = [] } = options;
    const flags = ['--port', '0', '--ws-port', 'off', ...storeFlags];
    const set = ['log.level=warn', 'log.format=json', ...settings].flatMap((setting) => ['--set', setting]);
    this.#child = spawn(...boundCommand(process.execPath, [mainScript, 'start', ...flags, ...set]), {
      env: {
        ...Object.fromEntries(inherited),
        NODE_OPTIONS: '',
        NODE_COMPILE_CACHE: compileCache,
        ...(failpoint === undefined ? {} : { TRELLIS_FAILPOINT: failpoint }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.ended = once(this.#child, 'close').then((end) => {
      const [code, signal] = end as [number | null, NodeJS.Signals | null];
      return { code, signal, stderr: this.#stderr };
    });
    this.ready = Promise.race([this.#firstLine(), this.ended.then(() => undefined)]);
  }

  /** What it has logged so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Ends the process, by default without giving it a chance to notice. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal);
  }

  #firstLine(): Promise<number> {
    let text = '';
    return new Promise((resolve, reject) => {
      this.#child.stdout?.setEncoding('utf8').on('data', (more: string) => {
        text += more;
        const end = text.indexOf('\n');
        if (end === -1) return;
        const port = /:(\d+)"/.exec(text.slice(0, end))?.[1];
        if (port === undefined) reject(new Error(`no port in ${text}`));
        else resolve(Number(port));
      });
    });
  }
}
