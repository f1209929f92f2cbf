import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A broker that can be measured. */
export interface Broker {
  readonly name: string;
  /** What is measured, with its version. */
  readonly version: string;
  /** The command that runs it in the foreground on this port of the loopback, with this empty folder for its files. */
  readonly command: (port: number, directory: string) => readonly string[];
}

/** A broker that is not here, and why. */
export interface Missing {
  readonly name: string;
  readonly reason: string;
}

/** What this package measures itself against, and itself first. */
export const BROKER_NAMES: readonly string[] = ['trellis', 'mosquitto', 'aedes'];

const AEDES_PROGRAM = fileURLToPath(new URL('./brokers/aedes.ts', import.meta.url));

function pathOf(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

function packageVersion(file: string): string {
  const { version }: { version: string } = JSON.parse(readFileSync(pathOf(file), 'utf8'));
  return version;
}

/** Trellis as it is by default, with its durable store. */
function trellis(): Broker {
  const main = pathOf('../src/main.ts');
  return {
    name: 'trellis',
    version: `${packageVersion('../package.json')} on Node ${process.version}`,
    command: (port, directory) => {
      const flags = ['--port', String(port), '--ws-port', 'off', '--data', join(directory, 'data')];
      return [process.execPath, main, 'start', ...flags];
    },
  };
}

function aedes(): Broker {
  return {
    name: 'aedes',
    version: `${packageVersion('../node_modules/aedes/package.json')} on Node ${process.version}`,
    command: (port) => [process.execPath, AEDES_PROGRAM, String(port)],
  };
}

/** Mosquitto with its limits lifted, so that it drops nothing, and without a log. */
function mosquittoConfiguration(port: number): string {
  return [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'log_dest none',
    'max_queued_messages 0',
    'max_inflight_messages 0',
    'persistence false',
    '',
  ].join('\n');
}

function mosquitto(): Broker | Missing {
  const name = 'mosquitto';
  // Debian puts it where only the administrator's PATH leads.
  const program = existsSync('/usr/sbin/mosquitto') ? '/usr/sbin/mosquitto' : name;
  const { stdout, error } = spawnSync(program, ['-h'], { encoding: 'utf8' });
  if (error) return { name, reason: 'it is not installed (try: apt install mosquitto)' };
  return {
    name,
    version: /version (\S+)/.exec(stdout)?.[1] ?? 'of unknown version',
    command: (port, directory) => {
      const file = join(directory, 'mosquitto.conf');
      writeFileSync(file, mosquittoConfiguration(port));
      return [program, '-c', file];
    },
  };
}

/** The broker of this name, or why it cannot be measured. */
export function findBroker(name: string): Broker | Missing {
  switch (name) {
    case 'trellis':
      return trellis();
    case 'mosquitto':
      return mosquitto();
    case 'aedes':
      return aedes();
    default:
      return { name, reason: `there is no such broker here; there are ${BROKER_NAMES.join(', ')}` };
  }
}
