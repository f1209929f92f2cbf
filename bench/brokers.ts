import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProtocolVersion } from './load/packets.ts';
import type { Scenario } from './plan.ts';

/** The command that runs a server in the foreground on this port of the loopback, with this empty folder for its files. */
type Command = (port: number, directory: string) => readonly string[];

/** The same of a broker; `redisPort` is that of its Redis, 0 where it has none. */
type BrokerCommand = (port: number, directory: string, redisPort: number) => readonly string[];

/** A broker that can be measured. */
export interface Broker {
  readonly name: string;
  /** What is measured, with its version. */
  readonly version: string;
  readonly command: BrokerCommand;
  /** What its users run, where that is not `command`; the time to start is measured of this. */
  readonly ownCommand?: BrokerCommand;
  /** A Redis of its own that it keeps its state in, started before it. */
  readonly redis?: Command;
  /**
   * How many nodes it has, each the same command on a port of its own: subscribers connect to the first, publishers to the
   * last. One unless said.
   */
  readonly nodes?: number;
  /** Whether it has several processes, which then run on any core, as does its Redis. */
  readonly isSpread?: boolean;
  /** What it prints once all its processes take clients; of others the first CONNACK tells. */
  readonly readyText?: string;
  /** Why it cannot do a scenario; undefined when it can. */
  readonly cannot: (scenario: Scenario, version: ProtocolVersion) => string | undefined;
}

/** A broker that is not here, and why. */
export interface Missing {
  readonly name: string;
  readonly reason: string;
}

/** What is compared unless brokers are named: this package, and what apt and npm have. */
export const DEFAULT_BROKERS: readonly string[] = ['trellis', 'mosquitto', 'nats', 'aedes'];

/** The others that can be named: Trellis without some of its parts, to see what these cost, and brokers on Redis. */
export const MORE_BROKERS: readonly string[] = [
  'trellis-open',
  'trellis-bare',
  'trellis-redis',
  'aedes-redis',
  'trellis-nodes',
  'trellis-workers1',
  'trellis-workers2',
];

/** Scenarios with a stream of messages from publishers to subscribers that are there. */
const STREAMS = /^--scenario (fanin|fanout|pairs|iot) /;

function pathOf(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

function packageVersion(file: string): string {
  const { version }: { version: string } = JSON.parse(readFileSync(pathOf(file), 'utf8'));
  return version;
}

/** What a program of this machine says about itself; undefined when it is not installed. */
function askProgram(name: string, flag: string): { program: string; output: string } | undefined {
  // Debian puts daemons where only the administrator's PATH leads.
  const program = existsSync(`/usr/sbin/${name}`) ? `/usr/sbin/${name}` : name;
  const { stdout, error } = spawnSync(program, [flag], { encoding: 'utf8' });
  return error ? undefined : { program, output: stdout };
}

const CANNOT_NOTHING = (): undefined => undefined;

/** Trellis with these parts; its limits are the defaults. */
function trellis(name: string, parts: string): Broker {
  return {
    name,
    version: `${packageVersion('../package.json')} on Node ${process.version}`,
    command: (port, directory) => [process.execPath, pathOf('./brokers/trellis.ts'), String(port), directory, parts],
    ownCommand: (port, directory) => {
      const flags = ['--port', String(port), '--ws-port', 'off', '--data', join(directory, 'data')];
      return [process.execPath, pathOf('../src/main.ts'), 'start', ...flags];
    },
    cannot: CANNOT_NOTHING,
  };
}

function aedes(): Broker {
  return {
    name: 'aedes',
    version: `${packageVersion('../node_modules/aedes/package.json')} on Node ${process.version}`,
    command: (port) => [process.execPath, pathOf('./brokers/aedes.ts'), String(port)],
    cannot: (_, version) => (version === 5 ? 'it has no MQTT 5' : undefined),
  };
}

/**
 * The broker with its state in a Redis that flushes its append-only file every second. The file is not rewritten during a
 * run: whether a rewrite falls into the measured time would be chance.
 */
function onRedis(name: string, broker: Broker, more: Partial<Broker>): Broker | Missing {
  const found = askProgram('redis-server', '--version');
  if (found === undefined) return { name, reason: 'redis-server is not installed (try: apt install redis-server)' };
  const redisVersion = /v=(\S+)/.exec(found.output)?.[1] ?? 'of unknown version';
  const settings = [
    '--save',
    '',
    '--appendonly',
    'yes',
    '--appendfsync',
    'everysec',
    '--auto-aof-rewrite-percentage',
    '0',
  ];
  return {
    ...broker,
    ...more,
    name,
    version: `${broker.version}, Redis ${redisVersion}`,
    redis: (port, directory) => {
      const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', directory];
      return [found.program, ...place, ...settings];
    },
  };
}

function trellisOnRedis(name: string): Broker | Missing {
  const broker = trellis(name, 'store,hook,sys');
  return onRedis(name, broker, {
    command: (port, directory, redisPort) => [...broker.command(port, directory, redisPort), String(redisPort)],
    ownCommand: (port, _, redisPort) => {
      const flags = ['--port', String(port), '--ws-port', 'off', '--store', `redis://127.0.0.1:${redisPort}`];
      return [process.execPath, pathOf('../src/main.ts'), 'start', ...flags];
    },
  });
}

/** Two nodes on one Redis: what is published at one is delivered at the other. */
function trellisNodes(name: string): Broker | Missing {
  const broker = trellisOnRedis(name);
  if ('reason' in broker) return broker;
  return {
    ...broker,
    nodes: 2,
    isSpread: true,
    cannot: ({ loadFlags }) => (STREAMS.test(loadFlags) ? undefined : 'it has nothing to do with two nodes'),
  };
}

/** So many processes behind one port, as `trellis start` runs them: without hook, with $SYS. */
function trellisWorkers(name: string, workers: number): Broker | Missing {
  const broker = trellisOnRedis(name);
  if ('reason' in broker) return broker;
  const command: BrokerCommand = (port, directory, redisPort) => {
    const start = (broker.ownCommand ?? broker.command)(port, directory, redisPort);
    return [...start, '--workers', String(workers), '--log-format', 'json'];
  };
  return { ...broker, isSpread: true, command, ownCommand: command, readyText: '{"ready":true' };
}

function aedesOnRedis(name: string): Broker | Missing {
  const [persistence, emitter] = ['aedes-persistence-redis', 'mqemitter-redis'].map((part) => {
    return `${part} ${packageVersion(`../node_modules/${part}/package.json`)}`;
  });
  const broker = aedes();
  return onRedis(
    name,
    { ...broker, version: `${broker.version}, ${persistence}, ${emitter}` },
    {
      command: (port, _, redisPort) => [
        process.execPath,
        pathOf('./brokers/aedes-redis.ts'),
        String(port),
        String(redisPort),
      ],
      cannot: (scenario, version) => {
        // Each acknowledgement looks through the whole queue.
        if (scenario.loadFlags.startsWith('--scenario offline')) return 'it takes more than a minute';
        return broker.cannot(scenario, version);
      },
    },
  );
}

/** Mosquitto with its limits lifted, so that it drops nothing, and without a log. */
function mosquittoConfiguration(port: number): string {
  return [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'log_dest none',
    'max_queued_messages 0',
    'max_queued_bytes 0',
    'max_inflight_messages 0',
    'persistence false',
    '',
  ].join('\n');
}

function mosquitto(): Broker | Missing {
  const name = 'mosquitto';
  const found = askProgram(name, '-h');
  if (found === undefined) return { name, reason: 'it is not installed (try: apt install mosquitto)' };
  return {
    name,
    version: /version (\S+)/.exec(found.output)?.[1] ?? 'of unknown version',
    command: (port, directory) => {
      const file = join(directory, 'mosquitto.conf');
      writeFileSync(file, mosquittoConfiguration(port));
      return [found.program, '-c', file];
    },
    cannot: CANNOT_NOTHING,
  };
}

/** NATS needs its JetStream for MQTT, which keeps sessions, QoS 1 and retained messages in files; no log. */
function natsConfiguration(port: number, directory: string): string {
  return [
    'server_name: bench',
    'host: 127.0.0.1',
    'port: -1',
    'logfile: /dev/null',
    `jetstream { store_dir: "${join(directory, 'jetstream')}" }`,
    `mqtt { host: 127.0.0.1, port: ${port}, max_ack_pending: 65535 }`,
    '',
  ].join('\n');
}

function nats(): Broker | Missing {
  const name = 'nats';
  const found = askProgram('nats-server', '--version');
  if (found === undefined) return { name, reason: 'it is not installed (try: apt install nats-server)' };
  return {
    name,
    version: /v(\d\S*)/.exec(found.output)?.[1] ?? 'of unknown version',
    command: (port, directory) => {
      const file = join(directory, 'nats.conf');
      writeFileSync(file, natsConfiguration(port, directory));
      return [found.program, '-c', file];
    },
    cannot: (scenario, version) => {
      if (version === 5) return 'it has no MQTT 5';
      return scenario.loadFlags.includes('--qos 2') ? 'it has no QoS 2' : undefined;
    },
  };
}

/** The broker of this name, or why it cannot be measured. */
export function findBroker(name: string): Broker | Missing {
  switch (name) {
    case 'trellis':
      return trellis(name, 'store,hook,sys');
    case 'trellis-open':
      return trellis(name, 'store');
    case 'trellis-bare':
      return trellis(name, '');
    case 'trellis-redis':
      return trellisOnRedis(name);
    case 'trellis-nodes':
      return trellisNodes(name);
    case 'trellis-workers1':
      return trellisWorkers(name, 1);
    case 'trellis-workers2':
      return trellisWorkers(name, 2);
    case 'aedes-redis':
      return aedesOnRedis(name);
    case 'mosquitto':
      return mosquitto();
    case 'nats':
      return nats();
    case 'aedes':
      return aedes();
    default:
      return {
        name,
        reason: `there is no such broker here; there are ${[...DEFAULT_BROKERS, ...MORE_BROKERS].join(', ')}`,
      };
  }
}
