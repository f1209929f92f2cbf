/**
 * Runs the README's commands as they are printed, in a fresh copy of the repository, and compares what they print. Only the
 * ports differ: 1883, 8083 and 8080 may be in use here, so programs of the same names stand first in PATH that add the ports
 * of this test's broker and go on as the real ones do (`npx` itself is tried in package.test.ts).
 *
 * A comment in front of a block says how to run it: `stays: NAME` in a terminal of its own until the section ends,
 * `prints` what the block before prints, `prints: NAME` what the one that stays prints, `needs: PROGRAM ...` left out
 * where those are not installed, `exit: N` ends with this exit code, `file: PATH` is a copy of that file.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endAll } from '../cli/trellis.ts';
import { findTool } from '../tools.ts';
import { type BrokerProcess, startBrokerProcess } from './broker-process.ts';
import { builtCheckout, root, toolPath } from './checkout.ts';
import { type Block, blocksOf } from './readme-blocks.ts';

const page = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = blocksOf(page);
const sections = [...new Set(blocks.map(({ section }) => section))].filter((section) =>
  blocks.some((block) => block.section === section && block.language === 'sh' && section !== '# Trellis'),
);

let checkout: string;
let broker: BrokerProcess;

beforeAll(async () => {
  checkout = await builtCheckout();
  broker = await startBrokerProcess({ directory: checkout });
  const folder = join(checkout, 'shims');
  mkdirSync(folder);
  for (const [name, script] of Object.entries(shims())) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
});

afterAll(async () => {
  await endAll();
  rmSync(checkout, { recursive: true });
});

/** Scripts that add ports. `SHOW` is -d for those that stay: it tells when they are subscribed. */
function shims(): Record<string, string> {
  const node = `'${process.execPath}'`;
  const { port, webSocketPort, url } = broker;
  const npx = [
    'program=$1; command=$2; shift 2',
    'case "$program $command" in',
    `'trellis pub'|'trellis sub') exec ${node} src/main.ts "$command" -p ${port} $SHOW "$@" ;;`,
    `trellis*) exec ${node} src/main.ts "$command" "$@" ;;`,
    `'node examples/mqttjs.ts') exec ${node} "$command" ${url} "$@" ;;`,
    `'node examples/browser/serve.ts') exec ${node} "$command" 0 ${webSocketPort} "$@" ;;`,
    `'node examples/embedding.ts') exec ${node} "$command" "$@" ;;`,
    '*) echo "the test does not know npx $program $command" >&2; exit 1 ;;',
    'esac',
  ].join('\n');
  const npm = [
    'for word; do shift; case "$word" in',
    `mqtt://127.0.0.1:1883) set -- "$@" ${url} --websocket ws://127.0.0.1:${webSocketPort}/mqtt ;;`,
    '*) set -- "$@" "$word" ;;',
    'esac; done',
    `exec '${findTool('npm') ?? 'npm'}' "$@"`,
  ].join('\n');
  const mosquitto = ['mosquitto_pub', 'mosquitto_sub'].flatMap((name) => {
    const path = findTool(name);
    return path === undefined ? [] : [[name, `exec ${path} -p ${port} "$@"`]];
  });
  return { npx, npm, ...Object.fromEntries(mosquitto) };
}

/** A block of commands in a shell of its own. */
class Shell {
  readonly process: ChildProcess;
  readonly exited: Promise<unknown[]>;
  stdout = '';
  stderr = '';

  constructor(text: string, show: string) {
    const path = [join(checkout, 'shims'), toolPath].join(delimiter);
    this.process = spawn('sh', ['-c', text], {
      cwd: checkout,
      env: { ...process.env, PATH: path, SHOW: show, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.process.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stdout += chunk;
    });
    this.process.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stderr += chunk;
    });
    this.exited = once(this.process, 'close');
  }

  /** Waits until `isDone`, asked whenever something is printed. @throws Error when the shell ends before. */
  async until(what: string, isDone: () => boolean): Promise<void> {
    const { stdout, stderr } = this.process;
    const ended = this.exited.then(() => 'ended' as const);
    while (!isDone()) {
      const event = await Promise.race([once(stdout!, 'data'), once(stderr!, 'data'), ended]);
      if (event === 'ended' && !isDone()) throw new Error(`ended before ${what}: ${this.stdout}${this.stderr}`);
    }
  }

  /** Ends it and all it started, as Ctrl+C in its terminal does. */
  async interrupt(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) process.kill(-this.process.pid!, 'SIGINT');
    await this.exited;
  }
}

/** The free ports of this test stand in other places than the README's. */
function withoutPorts(text: string): string {
  return text.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT');
}

async function runBlock(block: Block): Promise<string> {
  const shell = new Shell(block.text, '');
  const [code, signal] = await shell.exited;
  const wanted = block.key === 'exit' ? Number(block.value) : 0;
  const ended = signal === 'SIGKILL' ? 137 : code;
  expect(ended, `README.md:${block.line}\n${shell.stdout}${shell.stderr}`).toBe(wanted);
  return shell.stdout;
}

async function startStaying(block: Block): Promise<Shell> {
  const shell = new Shell(block.text, '-d');
  await shell.until('it was ready', () => /receives suback|^Open /m.test(shell.stderr + shell.stdout));
  return shell;
}

function isMissing(block: Block): boolean {
  return block.key === 'needs' && block.value.split(' ').some((name) => findTool(name) === undefined);
}

/** What a block of the README shows, and what was printed. */
interface Comparison {
  place: string;
  text: string;
}

/** Runs the blocks of one section, in order. */
async function runSection(section: string): Promise<{ shown: Comparison[]; printed: Comparison[] }> {
  const staying = new Map<string, Shell>();
  const shown: Comparison[] = [];
  const printed: Comparison[] = [];
  let last: string | undefined;
  try {
    for (const block of blocks.filter((one) => one.section === section)) {
      if (block.language === 'sh') {
        if (isMissing(block)) last = undefined;
        else if (block.key === 'stays') staying.set(block.value, await startStaying(block));
        else last = await runBlock(block);
        continue;
      }
      if (block.key !== 'prints') continue;
      const text = withoutPorts(`${block.text}\n`);
      const shell = staying.get(block.value);
      if (block.value !== '' && shell === undefined) throw new Error(`nothing is called ${block.value}`);
      await shell?.until('it printed everything', () => withoutPorts(shell.stdout).length >= text.length);
      const place = `README.md:${block.line}`;
      const actual = shell?.stdout ?? last;
      // Left out above for want of a program.
      if (actual === undefined) continue;
      shown.push({ place, text });
      printed.push({ place, text: withoutPorts(actual) });
    }
    return { shown, printed };
  } finally {
    for (const shell of staying.values()) await shell.interrupt();
  }
}

test('the page begins with the commands that start and test the project', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  expect(blocks.slice(0, 2).map(({ text }) => text)).toEqual(['npm ci && npm start', 'npm test']);
  expect(scripts['start']).toBe('node src/main.ts start');
  expect(scripts).toHaveProperty('test');
  expect(sections.length).toBeGreaterThan(9);
});

test.each(sections)('%s works as printed', async (section) => {
  const { shown, printed } = await runSection(section);
  expect(printed).toEqual(shown);
  const inSection = blocks.filter((block) => block.section === section);
  const leftOut = inSection.filter(isMissing).length;
  expect(shown.length).toBe(inSection.filter(({ key }) => key === 'prints').length - leftOut);
});

test('listings are copies of the files they name', () => {
  const listings = blocks.filter(({ key }) => key === 'file');
  expect(listings.length).toBeGreaterThan(0);
  for (const { text, value } of listings) expect(`${text}\n`).toBe(readFileSync(join(root, value), 'utf8'));
});

test('every file the page links to is there', () => {
  const links = [...page.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path]) => path ?? '');
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([]);
});
