import { stringify } from 'yaml';
import type { LoadedConfig } from '../config/load.ts';
import { optionKeys } from '../config/options.ts';
import { maskUrl } from '../lib/mask-url.ts';
import { maskRedisUrl } from '../store/redis/redis-address.ts';
import { brokerFlags, loadFromFlags, workersOf } from './broker-flags.ts';
import { ExitCode } from './errors.ts';
import { helpText, parseFlags } from './flags.ts';

const before = `
Usage: trellis check [flags]

Checks a configuration as trellis start would read it and prints all of it as YAML, each value that is not a default with
where it came from. A flag wins over the environment (TRELLIS_SECTION__KEY), the environment over the file, the file over
the default. Passwords and queries in URLs are printed as ***. Nothing is started or written.`.trimStart();

const after = `
Examples:
  trellis check --config broker.yaml
  TRELLIS_LIMITS__MAXIMUMPACKETSIZE='1 MiB' trellis check
  trellis check --config broker.yaml --set session.queuePolicy=refuse > effective.yaml

Exit codes: 0 the configuration is right, 2 it is not; every mistake is a line on stderr.`;

/** Runs `trellis check`; resolves to the exit code. @throws UsageError or ConfigError. */
export function check(args: readonly string[]): number {
  const given = parseFlags('check', brokerFlags, args);
  if (given.some(({ name }) => name === '--help')) {
    process.stdout.write(helpText(before, brokerFlags, after));
    return ExitCode.ok;
  }
  const loaded = loadFromFlags(given, process.env);
  workersOf(given, loaded.config);
  process.stdout.write(effectiveConfig(loaded));
  return ExitCode.ok;
}

/** A whole configuration as YAML; a comment says where a value came from. */
function effectiveConfig({ config, origins }: LoadedConfig): string {
  const lines: string[] = [];
  let open: readonly string[] = [];
  for (const key of optionKeys) {
    const path = key.split('.');
    const sections = path.slice(0, -1);
    const shared = sections.findIndex((name, index) => name !== open[index]);
    for (const [index, name] of sections.entries()) {
      if (shared >= 0 && index >= shared) lines.push(`${'  '.repeat(index)}${name}:`);
    }
    open = sections;
    let value: unknown = config;
    for (const name of path) value = (value as Record<string, unknown>)[name];
    if (key === 'redis.url') value = maskRedisUrl(String(value));
    else if (typeof value === 'string') value = maskUrl(value);
    const text = stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd();
    const origin = origins.get(key);
    lines.push(`${'  '.repeat(sections.length)}${path.at(-1)}: ${text}${origin === undefined ? '' : ` # ${origin}`}`);
  }
  return `${lines.join('\n')}\n`;
}
