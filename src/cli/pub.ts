import { readFile } from 'node:fs/promises';
import type { IClientPublishOptions } from 'mqtt';
import { readProblem } from '../lib/text-file.ts';
import { isValidTopicName } from '../protocol/topic.ts';
import { clientFlags, clientSettings, type ClientSettings } from './client-flags.ts';
import { Connection, reasonText } from './connection.ts';
import { CommandError, ExitCode, UsageError } from './errors.ts';
import { flagInteger, flagSeconds, helpText, parseFlags, type Flag, type GivenFlag } from './flags.ts';

const publishFlags: readonly Flag[] = [
  { group: 'Message', names: ['-t', '--topic'], values: ['TOPIC'], help: 'Topic name to publish to.' },
  { group: 'Message', names: ['-m', '--message'], values: ['TEXT'], help: 'Publishes this text.' },
  {
    group: 'Message',
    names: ['-n', '--null-message'],
    values: [],
    help: 'Publishes a message without payload; with -r it removes the retained one.',
  },
  { group: 'Message', names: ['-f', '--file'], values: ['FILE'], help: 'Publishes what is in the file.' },
  { group: 'Message', names: ['-s', '--stdin-file'], values: [], help: 'Publishes all of stdin as one message.' },
  { group: 'Message', names: ['-l', '--stdin-line'], values: [], help: 'Publishes each line of stdin as a message.' },
  {
    group: 'Message',
    names: ['-q', '--qos'],
    values: ['QOS'],
    help: 'QoS of the messages (0); with 1 or 2 the command ends after the last acknowledgement.',
  },
  { group: 'Message', names: ['-r', '--retain'], values: [], help: 'Retains the message.' },
  { group: 'Message', names: ['--repeat'], values: ['COUNT'], help: 'Publishes the message this many times (1).' },
  { group: 'Message', names: ['--repeat-delay'], values: ['SECONDS'], help: 'Time between repetitions (0).' },
  ...clientFlags,
];

const before = `
Usage: trellis pub -t TOPIC {-m TEXT | -n | -f FILE | -s | -l} [flags]

Publishes to an MQTT broker; takes the flags of mosquitto_pub.`.trimStart();

const after = `
Examples:
  trellis pub -t demo/hello -m Hello
  trellis pub -t demo/state -m on -q 1 -r
  seq 1000 | trellis pub -t demo/count -l -q 2
  trellis pub -t demo/ask -m '?' -D publish response-topic demo/answer -D publish correlation-data 42

Exit codes: 0 published (and acknowledged, with -q 1 or 2), 1 not, with the reason on stderr, 2 wrong flags.`;

/** Messages on their way at most, whatever the broker allows. */
const outstandingMax = 1_000;
/** Length of a line of stdin at most, bytes; a packet cannot be longer. */
const lineBytesMax = 268_435_455;

interface Publication {
  readonly topicName: string;
  readonly options: IClientPublishOptions;
  readonly source:
    | { kind: 'payload'; payload: Buffer }
    | { kind: 'file'; path: string }
    | { kind: 'stdin' }
    | { kind: 'lines' };
  readonly repeat: number;
  readonly repeatDelayMs: number;
}

/** Runs `trellis pub`; resolves to the exit code. @throws UsageError, CommandError. */
export async function pub(args: readonly string[]): Promise<number> {
  const given = parseFlags('pub', publishFlags, args);
  if (given.some(({ name }) => name === '--help')) {
    process.stdout.write(helpText(before, publishFlags, after));
    return ExitCode.ok;
  }
  const settings = clientSettings(given, ['connect', 'publish', 'disconnect', 'will']);
  const publication = publicationOf(given, settings);
  const payloads = await openSource(publication.source);
  try {
    const connection = new Connection(settings, 0);
    const connack = await connection.connected();
    const window = Math.min(connack.properties?.receiveMaximum ?? outstandingMax, outstandingMax);
    await new Publisher(connection, publication, window).publishAll(payloads);
    await connection.close();
  } catch (error) {
    if (!settings.quiet) throw error;
    return error instanceof CommandError ? error.exitCode : ExitCode.failure;
  }
  return ExitCode.ok;
}

function publicationOf(given: readonly GivenFlag[], settings: ClientSettings): Publication {
  const [topicName, ...others] = settings.topics;
  if (topicName === undefined || others.length > 0) throw new UsageError('trellis pub needs one topic name: -t TOPIC.');
  if (!isValidTopicName(topicName)) {
    throw new UsageError(`-t must be a topic name without wildcards, not ${JSON.stringify(topicName)}.`);
  }
  const sources: Publication['source'][] = [];
  let repeat = 1;
  let repeatDelayMs = 0;
  let retain = false;
  for (const one of given) {
    if (one.name === '-m') sources.push({ kind: 'payload', payload: Buffer.from(one.values[0]!) });
    else if (one.name === '-n') sources.push({ kind: 'payload', payload: Buffer.alloc(0) });
    else if (one.name === '-f') sources.push({ kind: 'file', path: one.values[0]! });
    else if (one.name === '-s') sources.push({ kind: 'stdin' });
    else if (one.name === '-l') sources.push({ kind: 'lines' });
    else if (one.name === '-r') retain = true;
    else if (one.name === '--repeat') repeat = flagInteger(one, 1, 1_000_000_000);
    else if (one.name === '--repeat-delay') repeatDelayMs = flagSeconds(one, 86_400) * 1_000;
  }
  const [source] = sources;
  if (source === undefined || sources.length > 1)
    throw new UsageError('trellis pub needs one of -m, -n, -f, -s and -l.');
  if (source.kind === 'lines' && repeat > 1) throw new UsageError('--repeat does not go together with -l.');
  const options: IClientPublishOptions = { qos: settings.qos, retain };
  const properties = settings.properties.get('publish');
  if (properties !== undefined) options.properties = properties;
  return { topicName, options, source, repeat, repeatDelayMs };
}

async function openSource(source: Publication['source']): Promise<AsyncIterable<Buffer> | Buffer> {
  switch (source.kind) {
    case 'payload':
      return source.payload;
    case 'file':
      try {
        return await readFile(source.path);
      } catch (error) {
        throw new UsageError(`Cannot read ${source.path}: ${readProblem(error)}.`);
      }
    case 'stdin':
      return readAll(process.stdin as AsyncIterable<Buffer>);
    case 'lines':
      return splitLines(process.stdin as AsyncIterable<Buffer>);
  }
}

async function readAll(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** The lines of a stream as bytes, without their ends; the last one need not have any. */
async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      yield Buffer.concat(parts);
      parts = [];
      length = 0;
      start = end + 1;
    }
    const rest = chunk.subarray(start);
    length += rest.length;
    if (length > lineBytesMax) throw new CommandError('A line of stdin is longer than an MQTT packet can be.');
    if (rest.length > 0) parts.push(rest);
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

/** Publishes through a window of unacknowledged messages; the first failure ends it. */
class Publisher {
  readonly #connection: Connection;
  readonly #publication: Publication;
  readonly #window: number;
  #outstanding = 0;
  #failure: CommandError | undefined;
  #closing = false;
  /** Resolves the wait for room in the window, for the end, or for a repetition's time. */
  #wake: () => void = () => {};

  constructor(connection: Connection, publication: Publication, window: number) {
    this.#connection = connection;
    this.#publication = publication;
    this.#window = window;
    connection.client.on('close', () => this.#onClose());
  }

  /** Resolves once everything is acknowledged (QoS 0: handed to the network). @throws CommandError when something is not. */
  async publishAll(payloads: AsyncIterable<Buffer> | Buffer): Promise<void> {
    if (Buffer.isBuffer(payloads)) {
      for (let count = 0; count < this.#publication.repeat; count += 1) {
        if (count > 0) await this.#pause();
        await this.#publish(payloads);
      }
    } else await this.#publishLines(payloads);
    await this.#until(() => this.#outstanding === 0);
    this.#closing = true;
  }

  async #publishLines(lines: AsyncIterable<Buffer>): Promise<void> {
    try {
      for await (const line of lines) await this.#publish(line);
    } catch (error) {
      throw this.#failure ?? error;
    }
  }

  async #publish(payload: Buffer): Promise<void> {
    await this.#until(() => this.#outstanding < this.#window);
    this.#outstanding += 1;
    const { topicName, options } = this.#publication;
    this.#connection.client.publish(topicName, payload, options, (error, packet) => {
      this.#outstanding -= 1;
      if (error) this.#fail(publishFailure(error, packet));
      this.#wake();
    });
  }

  #pause(): Promise<void> {
    const { repeatDelayMs } = this.#publication;
    if (repeatDelayMs === 0 || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, repeatDelayMs);
      this.#wake = () => {
        if (this.#failure === undefined) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #until(condition: () => boolean): Promise<void> {
    while (this.#failure === undefined && !condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) {
      this.#connection.client.end(true);
      throw this.#failure;
    }
  }

  #onClose(): void {
    if (this.#closing) return;
    const reason = this.#connection.takeReason('The connection was lost.');
    const open = this.#publication.options.qos === 0 ? '' : ` ${this.#outstanding} not acknowledged.`;
    this.#fail(new CommandError(`${reason}${open}`));
    this.#wake();
  }

  #fail(failure: CommandError): void {
    this.#failure ??= failure;
    // Else the next line would be waited for, which may never come.
    if (this.#publication.source.kind === 'lines') process.stdin.destroy();
  }
}

function publishFailure(error: Error, packet: unknown): CommandError {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'number') return new CommandError(`The message was not published: ${error.message}.`);
  const properties = (packet as { properties?: Record<string, unknown> } | undefined)?.properties;
  return new CommandError(`The broker refused the message: ${reasonText(code, properties)}.`);
}
