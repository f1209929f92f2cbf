import type { Config } from '../config.ts';
import { createLogger } from '../lib/logger.ts';
import { systemClock } from '../lib/system-clock.ts';
import type { QueueLimits } from '../store/redis/aedes-queue.ts';
import type { AedesReader } from '../store/redis/aedes-reader.ts';
import { LeftOut } from '../store/redis/left-out.ts';
import { brokerFlags, loadFromFlags } from './broker-flags.ts';
import { CommandError, ExitCode, UsageError } from './errors.ts';
import { type Flag, helpText, parseFlags } from './flags.ts';
import { type ImportCounts, ImportWriter, type OpenedStore } from './import-writer.ts';
import { startFailure } from './start-failure.ts';
import { errorText } from '../lib/error-text.ts';

const before = `
Usage: trellis import aedes-redis --from URL [flags]

Takes over what aedes-persistence-redis (versions 9 to 12, one Redis server) keeps: sessions with their subscriptions and
queues, QoS 2 exchanges half done, wills, retained messages. Stop Aedes first, and Trellis where it uses the store; the
source is only read. A session goes over whole or not at all, and client ids that have one here already stop the import
before anything is written. Aedes keeps no user names: a session belongs to the first client that is let in with its client
id. What could not be taken over is printed with the reason.`.trimStart();

const after = `
Examples:
  trellis import aedes-redis --from redis://localhost:6379/0 --dry-run
  trellis import aedes-redis --from redis://:password@cache:6379/2 --data /var/lib/trellis
  trellis import aedes-redis --from redis://localhost --config broker.yaml --merge

Sessions never expire until their client connects and says otherwise; where Aedes has nothing of a client but QoS 2 packet
ids, they are kept for a day. Wills are those of connections that Aedes lost when it ended: the broker publishes them when
it starts. Queues keep to session.queueMessagesMax and session.queueBytesMax.
Exit codes: 0 done, 1 something failed, 2 wrong flags or configuration.`;

const importFlags: readonly Flag[] = [
  {
    names: ['--from'],
    values: ['URL'],
    group: 'Import',
    help: 'Redis of Aedes: redis://[user:password@]host[:port][/db].',
  },
  { names: ['--dry-run'], values: [], group: 'Import', help: 'Reads and reports; the store here is not opened.' },
  {
    names: ['--merge'],
    values: [],
    group: 'Import',
    help: 'Leaves sessions, wills and retained messages that are here already as they are, and takes over the others; also goes on with an import that broke off.',
  },
  ...brokerFlags.filter(({ group }) => !['Listeners', 'Logs', 'Processes'].includes(group)),
];

/** Runs `trellis import`; resolves to the exit code. @throws UsageError, ConfigError, CommandError. */
export async function importFrom(args: readonly string[]): Promise<number> {
  const [source, ...rest] = args;
  if (source === undefined)
    throw new UsageError('trellis import needs what to import: trellis import aedes-redis; see trellis import --help.');
  const given = parseFlags('import', importFlags, source === 'aedes-redis' ? rest : args.filter(isHelp));
  const has = (name: string): boolean => given.some((flag) => flag.name === name);
  if (has('--help')) {
    process.stdout.write(helpText(before, importFlags, after));
    return ExitCode.ok;
  }
  if (source !== 'aedes-redis') {
    const shown = JSON.stringify(source);
    throw new UsageError(`trellis import knows aedes-redis, not ${shown}; see trellis import --help.`);
  }
  const from = given.findLast(({ name }) => name === '--from')?.values[0];
  if (from === undefined) throw new UsageError('trellis import needs where to read from: --from redis://HOST:PORT/DB.');
  const url = sourceUrl(from);
  const { config } = loadFromFlags(given, process.env);
  if (config.store.durability === 'memory')
    throw new UsageError('A store in memory would be gone when the import ends: name another with --store or --data.');
  const leftOut = new LeftOut();
  const writer = has('--dry-run')
    ? ImportWriter.toNowhere()
    : new ImportWriter(await openStore(config), has('--merge'));
  const counts = await transfer(url, writer, queueLimits(config), leftOut);
  process.stdout.write(reportText(url, counts, leftOut, has('--dry-run')));
  return ExitCode.ok;
}

function isHelp(word: string): boolean {
  return word === '--help' || word === '-h';
}

function sourceUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'redis:' && url.protocol !== 'rediss:') || url.hostname === '')
    throw new UsageError('--from needs a URL such as redis://host:6379/0 or rediss://host:6379/0.');
  return url;
}

async function openStore(config: Config): Promise<OpenedStore> {
  const { makeStore } = await import('../stores.ts');
  const write = (line: string): boolean => process.stderr.write(`${line}\n`);
  const logger = createLogger({ level: 'warn', format: 'pretty', write, clock: systemClock });
  try {
    const store = await makeStore(config, logger);
    return { store, state: await store.open() };
  } catch (error) {
    throw startFailure(error, config);
  }
}

function queueLimits({ session }: Config): QueueLimits {
  const { queueMessagesMax, queueBytesMax, queuePolicy } = session;
  return { messagesMax: queueMessagesMax, bytesMax: queueBytesMax, dropOldest: queuePolicy === 'drop-oldest' };
}

/** Reads everything and hands it to the writer, which is closed in any case. */
async function transfer(
  url: URL,
  writer: ImportWriter,
  limits: QueueLimits,
  leftOut: LeftOut,
): Promise<Readonly<ImportCounts>> {
  const { openAedesRedis } = await import('../store/redis/aedes-connection.ts');
  const { AedesReader } = await import('../store/redis/aedes-reader.ts');
  try {
    const redis = await openAedesRedis(url.href).catch((error: unknown) => {
      throw new CommandError(`Cannot read from ${shownUrl(url)}: ${errorText(error)}.`);
    });
    try {
      await takeAll(new AedesReader(redis, limits, leftOut), writer, leftOut);
    } finally {
      redis.disconnect();
    }
  } finally {
    await writer.close();
  }
  return writer.counts;
}

async function takeAll(reader: AedesReader, writer: ImportWriter, leftOut: LeftOut): Promise<void> {
  const taken = await writer.conflicts(reader.clientIds());
  if (taken.length > 0) {
    const [first] = taken;
    throw new CommandError(
      `The store has sessions of ${taken.length} of these client ids already, ${JSON.stringify(first)} for one; nothing was written. ` +
        'With --merge they stay as they are and the others are taken over.',
    );
  }
  for await (const session of reader.sessions()) await writer.session(session, leftOut);
  for await (const will of reader.wills()) await writer.will(will, leftOut);
  for await (const message of reader.retained()) await writer.retained(message, leftOut);
  await writer.flush();
}

function reportText(url: URL, counts: Readonly<ImportCounts>, leftOut: LeftOut, isDryRun: boolean): string {
  const rows: [string, number][] = [
    ['sessions', counts.sessions],
    ['subscriptions', counts.subscriptions],
    ['queued messages', counts.queued],
    ['QoS 2 packet ids', counts.inbound],
    ['wills', counts.wills],
    ['retained messages', counts.retained],
  ];
  const lines = [`${isDryRun ? 'Would take over' : 'Took over'} from ${shownUrl(url)}:`];
  for (const [name, count] of rows) lines.push(`  ${name.padEnd(20)}${String(count).padStart(10)}`);
  if (counts.sessions > 0) lines.push('Each session belongs to the first client that is let in with its client id.');
  if (leftOut.groups.length === 0) lines.push('Nothing was left out.');
  else lines.push('Left out:');
  for (const { reason, count, examples } of leftOut.groups) {
    const shown = examples.map((example) => JSON.stringify(example)).join(', ');
    lines.push(`  ${String(count).padStart(8)}  ${reason}; ${count > examples.length ? 'for instance ' : ''}${shown}`);
  }
  if (isDryRun) lines.push('Nothing was written, and the store here was not looked at.');
  return `${lines.join('\n')}\n`;
}

/** Without its password. */
function shownUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}
