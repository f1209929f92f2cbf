import { availableParallelism } from 'node:os';
import type { Config } from '../config.ts';
import { loadConfig, type FlagSetting, type LoadedConfig } from '../config/load.ts';
import type { OptionKey } from '../config/option.ts';
import { maskUrl } from '../lib/mask-url.ts';
import { isRedisUrl } from '../store/redis/redis-address.ts';
import { UsageError } from './errors.ts';
import type { Flag, GivenFlag } from './flags.ts';

/** A flag that sets options. */
interface OptionFlag extends Flag {
  readonly keys: readonly OptionKey[];
}

function sets(name: string, value: string, group: string, keys: readonly OptionKey[], help: string): OptionFlag {
  return { names: [name], values: [value], group, help, keys };
}

const optionFlags: readonly OptionFlag[] = [
  sets(
    '--host',
    'HOST',
    'Listeners',
    ['listeners.tcp.host', 'listeners.websocket.host'],
    'Address to listen on, for MQTT and WebSocket (127.0.0.1).',
  ),
  sets(
    '--port',
    'PORT',
    'Listeners',
    ['listeners.tcp.port'],
    'Port for MQTT over TCP (1883); 0 takes any free one, off takes none.',
  ),
  sets(
    '--ws-port',
    'PORT',
    'Listeners',
    ['listeners.websocket.port'],
    'Port for MQTT over WebSocket (8083); 0 takes any free one, off takes none.',
  ),
  sets(
    '--store',
    'TYPE',
    'Store',
    ['store.type'],
    'embedded (on disk, the default), memory, or the URL of a Redis, for instance redis://127.0.0.1:6379.',
  ),
  sets('--data', 'DIR', 'Store', ['store.data'], 'Directory of the embedded store (./data).'),
  sets(
    '--durability',
    'MODE',
    'Store',
    ['store.durability'],
    'What an acknowledgement means: durable (flushed to disk, the default), os (written) or memory.',
  ),
  sets('--log-level', 'LEVEL', 'Logs', ['log.level'], 'error, warn, info (the default) or debug.'),
  sets(
    '--log-format',
    'FORMAT',
    'Logs',
    ['log.format'],
    'auto (the default), json or pretty; json makes the ready line on stdout JSON as well.',
  ),
];

/** Processes that `--workers` may ask for. */
const workersMax = 64;

/** Leaves room for `/64` in a node id. */
const nodeIdBytesMax = 125;

/** The flags of the commands that take a configuration. */
export const brokerFlags: readonly Flag[] = [
  {
    names: ['--config'],
    values: ['FILE'],
    group: 'Configuration',
    help: 'YAML or JSON file; docs/configuration.md lists what can be in it.',
  },
  {
    names: ['--set'],
    values: ['SECTION.KEY=VALUE'],
    group: 'Configuration',
    help: 'Sets any option, for instance --set limits.receiveMaximum=100; may be repeated.',
  },
  ...optionFlags,
  {
    names: ['--workers'],
    values: ['N'],
    group: 'Processes',
    help: `Runs 1 to ${workersMax} processes on the same ports, as nodes that share a Redis; auto is one for each core (1). See docs/clustering.md.`,
  },
  { names: ['--help', '-h'], values: [], group: 'Help', help: 'Prints this.' },
];

/**
 * Reads the configuration that flags and environment ask for.
 * @throws UsageError or ConfigError.
 */
export function loadFromFlags(
  given: readonly GivenFlag[],
  environment: Readonly<Record<string, string | undefined>>,
): LoadedConfig {
  let file: string | undefined;
  const flags: FlagSetting[] = [];
  for (const { name, values } of given) {
    const text = values[0] ?? '';
    if (name === '--config') {
      if (file !== undefined) throw new UsageError('--config can be given once only.');
      if (text === '') throw new UsageError('--config needs the name of a file.');
      file = text;
    } else if (name === '--set') {
      const equals = text.indexOf('=');
      if (equals <= 0) throw new UsageError(`--set needs SECTION.KEY=VALUE, not ${JSON.stringify(maskUrl(text))}.`);
      flags.push({ key: text.slice(0, equals), text: text.slice(equals + 1), flag: '--set' });
    } else {
      const isUrl = name === '--store' && isRedisUrl(text);
      if (isUrl) flags.push({ key: 'store.type', text: 'redis', flag: name }, { key: 'redis.url', text, flag: name });
      const option = isUrl ? undefined : optionFlags.find((flag) => flag.names[0] === name);
      for (const key of option?.keys ?? []) flags.push({ key, text, flag: name });
    }
  }
  return loadConfig({ file, environment, flags });
}

/** How many processes `--workers` asks for, 1 where it is not given. @throws UsageError where they would have nothing in common. */
export function workersOf(given: readonly GivenFlag[], config: Config): number {
  const text = given.findLast(({ name }) => name === '--workers')?.values[0] ?? '1';
  const count =
    text === 'auto' ? Math.min(availableParallelism(), workersMax) : /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > workersMax)
    throw new UsageError(`--workers must be auto or an integer from 1 to ${workersMax}, not ${JSON.stringify(text)}.`);
  if (text !== '1' && config.store.type !== 'redis') {
    throw new UsageError(
      `--workers ${text} needs a store that the processes share: say where a Redis is with --store redis://HOST:PORT, or leave --workers out.`,
    );
  }
  if (count > 1 && Buffer.byteLength(config.cluster.nodeId) > nodeIdBytesMax) {
    throw new UsageError(
      `cluster.nodeId must have at most ${nodeIdBytesMax} bytes with --workers, which appends the number of each worker.`,
    );
  }
  return count;
}
