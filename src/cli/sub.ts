import type { IClientSubscribeOptions, IConnackPacket, IPublishPacket, Packet } from 'mqtt';
import { parseTopicFilter, topicMatches } from '../protocol/topic.ts';
import { clientFlags, clientSettings, type ClientSettings } from './client-flags.ts';
import { Connection, NotTaken, reasonText, say } from './connection.ts';
import { CommandError, ExitCode, UsageError } from './errors.ts';
import { flagInteger, flagSeconds, helpText, parseFlags, type Flag, type GivenFlag } from './flags.ts';
import { parseFormat, plainFormat, type OutputFormat } from './output-format.ts';

function flag(names: string[], values: string[], help: string, group = 'Subscription'): Flag {
  return { names, values, group, help };
}

const subscribeFlags: readonly Flag[] = [
  flag(['-t', '--topic'], ['FILTER'], 'Topic filter to subscribe to; may be repeated.'),
  flag(['-q', '--qos'], ['QOS'], 'Highest QoS to receive with (0).'),
  flag(['-U', '--unsubscribe'], ['FILTER'], 'Unsubscribes; may be repeated.'),
  flag(['-C'], ['COUNT'], 'Ends after this many messages.'),
  flag(['-W'], ['SECONDS'], 'Ends after this time, with exit code 27.'),
  flag(['-E'], [], 'Ends once the subscription is acknowledged.'),
  flag(['-T', '--filter-out'], ['FILTER'], 'Does not print what matches this topic filter; may be repeated.'),
  flag(['-R'], [], 'Does not print messages with the retain flag.'),
  flag(['--retained-only'], [], 'Prints messages with the retain flag only, and ends at the first other one.'),
  flag(['--retain-as-published'], [], 'Asks for the retain flag as the publisher set it (MQTT 5).'),
  flag(['-v', '--verbose'], [], 'Prints the topic name before the payload.', 'Print'),
  flag(['-N'], [], 'Prints no end of line after a message.', 'Print'),
  flag(
    ['-F'],
    ['FORMAT'],
    'Prints each message in this form: %t topic, %p payload, %q QoS, %r retain, %I time, %j JSON, %J JSON with a JSON payload in it, %l length, %x hexadecimal, %m packet id, %R response topic, %D correlation data, %C content type, %E expiry, %P user properties, %S subscription identifiers; \\n and \\t as usual.',
    'Print',
  ),
  ...clientFlags,
];

const before = `
Usage: trellis sub -t FILTER [-t FILTER ...] [flags]

Subscribes at an MQTT broker and prints what comes in, one line per message; takes the flags of mosquitto_sub. A message
is acknowledged after it has been printed. When an established connection is lost it is tried again every second.`.trimStart();

const after = `
Examples:
  trellis sub -t 'demo/#' -v
  trellis sub -t 'demo/#' -q 1 -c -i kitchen      gets what was sent while it was away
  trellis sub -t '$share/workers/jobs' -q 1 -C 10
  trellis sub -t '#' -F '%I %t %q %p' -W 60

Exit codes: 0 ended as asked (also by SIGINT), 1 failed, with the reason on stderr, 2 wrong flags, 27 time ran out (-W).`;

/** Time between attempts to connect again, ms. */
const reconnectPeriodMs = 1_000;
/** Time for the broker to release what was accepted when the end has come, ms. */
const drainTimeoutMs = 1_000;
/** Seconds a timer can wait. */
const timeoutSecondsMax = 2_147_483;

interface Subscription {
  readonly topicFilters: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly filterOut: readonly string[];
  readonly options: IClientSubscribeOptions;
  readonly countMax: number;
  readonly timeoutMs: number | undefined;
  readonly endAfterSuback: boolean;
  readonly retained: 'all' | 'none' | 'only';
  readonly format: OutputFormat;
  readonly lineEnd: string;
}

/** Runs `trellis sub`; resolves to the exit code. @throws UsageError, CommandError. */
export async function sub(args: readonly string[]): Promise<number> {
  const given = parseFlags('sub', subscribeFlags, args);
  if (given.some(({ name }) => name === '--help')) {
    process.stdout.write(helpText(before, subscribeFlags, after));
    return ExitCode.ok;
  }
  const settings = clientSettings(given, ['connect', 'subscribe', 'unsubscribe', 'disconnect', 'will']);
  const subscription = subscriptionOf(given, settings);
  try {
    return await new Subscriber(settings, subscription).run();
  } catch (error) {
    if (!settings.quiet) throw error;
    return error instanceof CommandError ? error.exitCode : ExitCode.failure;
  }
}

function subscriptionOf(given: readonly GivenFlag[], settings: ClientSettings): Subscription {
  const unsubscribe: string[] = [];
  const filterOut: string[] = [];
  let countMax = Infinity;
  let timeoutMs: number | undefined;
  let verbose = false;
  let format: OutputFormat | undefined;
  for (const one of given) {
    if (one.name === '-U') unsubscribe.push(one.values[0]!);
    else if (one.name === '-T') filterOut.push(one.values[0]!);
    else if (one.name === '-C') countMax = flagInteger(one, 1, 1e15 - 1);
    else if (one.name === '-W') timeoutMs = flagSeconds(one, timeoutSecondsMax) * 1_000;
    else if (one.name === '-v') verbose = true;
    else if (one.name === '-F') format = parseFormat(one.values[0]!);
  }
  if (settings.topics.length === 0 && unsubscribe.length === 0) {
    throw new UsageError('trellis sub needs a topic filter: -t FILTER.');
  }
  for (const topicFilter of [...settings.topics, ...unsubscribe, ...filterOut]) {
    if (parseTopicFilter(topicFilter) === undefined) {
      throw new UsageError(
        `${JSON.stringify(topicFilter)} is not a topic filter: + stands for a whole level, # for the last ones.`,
      );
    }
  }
  const has = (name: string): boolean => given.some((one) => one.name === name);
  if (has('-R') && has('--retained-only')) throw new UsageError('-R does not go together with --retained-only.');
  if (has('--retain-as-published') && settings.options.protocolVersion !== 5) {
    throw new UsageError('--retain-as-published needs MQTT 5: leave -V out or use -V 5.');
  }
  const options: IClientSubscribeOptions = { qos: settings.qos, rap: has('--retain-as-published') };
  const properties = settings.properties.get('subscribe');
  if (properties !== undefined) options.properties = properties;
  const notRetained = has('-R') ? 'none' : 'all';
  return {
    topicFilters: settings.topics,
    unsubscribe,
    filterOut,
    options,
    countMax,
    timeoutMs,
    endAfterSuback: has('-E'),
    retained: has('--retained-only') ? 'only' : notRetained,
    format: format ?? plainFormat(verbose),
    lineEnd: has('-N') ? '' : '\n',
  };
}

class Subscriber {
  readonly #connection: Connection;
  readonly #settings: ClientSettings;
  readonly #subscription: Subscription;
  readonly #ended = Promise.withResolvers<number>();
  #exitCode: number = ExitCode.ok;
  /** `draining`: nothing new is taken, what was accepted is still printed; `ended`: the exit code is known. */
  #state: 'taking' | 'draining' | 'ended' = 'taking';
  /** Messages printed. */
  #count = 0;
  /** Packet ids of QoS 2 messages that were accepted (PUBREC) and will be printed once released (PUBREL). */
  readonly #accepted = new Set<number>();

  constructor(settings: ClientSettings, subscription: Subscription) {
    this.#settings = settings;
    this.#subscription = subscription;
    this.#connection = new Connection(settings, reconnectPeriodMs);
  }

  /** Resolves to the exit code. @throws CommandError when it cannot connect or subscribe. */
  async run(): Promise<number> {
    const { client } = this.#connection;
    client.on('message', (topic, payload, packet) => this.#onMessage(topic, payload, packet));
    client.options.customHandleAcks = (topic, _payload, packet, answer) => this.#accept(topic, packet, answer);
    client.handleMessage = (_packet, acknowledge) => this.#acknowledge(acknowledge);
    process.stdout.on('error', () => this.#end(ExitCode.ok));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => this.#finish(ExitCode.ok));
    const { timeoutMs } = this.#subscription;
    if (timeoutMs !== undefined) setTimeout(() => this.#finish(ExitCode.timedOut), timeoutMs);
    const ended = this.#ended.promise;
    const connack = await Promise.race([this.#connection.connected(), ended]);
    if (typeof connack !== 'number') {
      client.on('close', () => this.#onClose());
      client.on('connect', (again) => this.#onReconnect(again));
      this.#subscribe();
    }
    try {
      const exitCode = await ended;
      await this.#connection.close();
      if (exitCode === ExitCode.timedOut && !this.#settings.quiet) say('Time ran out.');
      return exitCode;
    } catch (error) {
      client.end(true);
      throw error;
    }
  }

  #onReconnect(connack: IConnackPacket): void {
    if (!this.#settings.quiet) say('Connected again.');
    // A session that is still there has its subscriptions, and the messages that were accepted.
    if (connack.sessionPresent) return;
    this.#accepted.clear();
    this.#subscribe();
  }

  #onClose(): void {
    if (this.#state === 'ended') return;
    const reason = this.#connection.takeReason('The connection was lost.');
    // Two clients with one id would otherwise take it from each other for ever.
    if (reason.includes('(0x8E)')) this.#fail(new CommandError(reason));
    else if (this.#state === 'draining') this.#end(this.#exitCode);
    else if (!this.#settings.quiet) say(`${reason} Trying again every second.`);
  }

  #subscribe(): void {
    const { client } = this.#connection;
    const { topicFilters, unsubscribe, options, endAfterSuback } = this.#subscription;
    if (topicFilters.length > 0) {
      client.subscribe([...topicFilters], options, (error, _granted, packet) => {
        if (error) this.#onSubscribeError(error, packet);
        else if (endAfterSuback) this.#finish(ExitCode.ok);
      });
    }
    if (unsubscribe.length > 0) {
      const properties = this.#settings.properties.get('unsubscribe');
      client.unsubscribe([...unsubscribe], properties === undefined ? {} : { properties }, (error) => {
        if (error && client.connected) this.#fail(new CommandError(`Cannot unsubscribe: ${error.message}.`));
        else if (topicFilters.length === 0) this.#finish(ExitCode.ok);
      });
    }
  }

  #onSubscribeError(error: Error, packet: Packet | undefined): void {
    if (packet?.cmd !== 'suback') {
      // A connection lost meanwhile is made again, and subscribes again.
      if (this.#connection.client.connected) this.#fail(new CommandError(`Cannot subscribe: ${error.message}.`));
      return;
    }
    const refused: string[] = [];
    for (const [index, granted] of packet.granted.entries()) {
      const code = Number(granted);
      const topicFilter = JSON.stringify(this.#subscription.topicFilters[index]);
      if (code >= 0x80) refused.push(`${topicFilter}: ${reasonText(code, packet.properties)}`);
    }
    this.#fail(new CommandError(`The broker refused the subscription to ${refused.join('; ')}.`));
  }

  /**
   * Asked before a QoS 1 or 2 message is acknowledged. One that will not be printed because enough were, or because the
   * end has come, is not acknowledged, so that the broker keeps it for the next time.
   */
  #accept(topic: string, packet: IPublishPacket, answer: (error: Error | number, code?: number) => void): void {
    const id = packet.messageId ?? 0;
    const { retained, countMax } = this.#subscription;
    if (retained === 'only' && !packet.retain) {
      answer(new NotTaken());
      this.#finish(ExitCode.ok);
    } else if (this.#accepted.has(id) || !this.#isWanted(topic, packet)) {
      answer(0);
    } else if (this.#state !== 'taking' || this.#count + this.#accepted.size >= countMax) {
      answer(new NotTaken());
    } else {
      if (packet.qos === 2) this.#accepted.add(id);
      answer(0);
    }
  }

  #isWanted(topic: string, packet: IPublishPacket): boolean {
    const { filterOut, retained } = this.#subscription;
    if (retained === 'none' && packet.retain) return false;
    return !filterOut.some((topicFilter) => topicMatches(topicFilter, topic));
  }

  #onMessage(topic: string, payload: Buffer, packet: IPublishPacket): void {
    const { retained, format, lineEnd, countMax } = this.#subscription;
    const accepted = packet.qos === 2 && this.#accepted.delete(packet.messageId ?? 0);
    if (!accepted && (this.#state !== 'taking' || !this.#isWanted(topic, packet))) return;
    // What was accepted is printed before a QoS 0 message may take its place.
    if (this.#count + this.#accepted.size >= countMax) return;
    if (retained === 'only' && !packet.retain) {
      this.#finish(ExitCode.ok);
      return;
    }
    process.stdout.write(Buffer.concat([format({ topic, payload, packet, time: new Date() }), Buffer.from(lineEnd)]));
    this.#count += 1;
  }

  /** Called after each message; nothing more comes in until `acknowledge` is called. */
  #acknowledge(acknowledge: () => void): void {
    if (process.stdout.writableNeedDrain && this.#state !== 'ended') {
      process.stdout.once('drain', () => this.#acknowledge(acknowledge));
      return;
    }
    // The acknowledgement leaves before the DISCONNECT of the end.
    acknowledge();
    if (this.#count >= this.#subscription.countMax) this.#end(ExitCode.ok);
    else if (this.#state === 'draining' && this.#accepted.size === 0) this.#end(this.#exitCode);
  }

  /** Ends once what was accepted is printed, for which a broker gets a moment. */
  #finish(exitCode: number): void {
    if (this.#state !== 'taking') return;
    this.#exitCode = exitCode;
    if (this.#settings.debug) say(`Ends; ${this.#accepted.size} accepted and not yet released.`);
    if (this.#accepted.size === 0 || !this.#connection.client.connected) this.#end(exitCode);
    else {
      this.#state = 'draining';
      setTimeout(() => this.#end(exitCode), drainTimeoutMs);
    }
  }

  #end(exitCode: number): void {
    this.#state = 'ended';
    this.#ended.resolve(exitCode);
  }

  #fail(error: CommandError): void {
    this.#state = 'ended';
    this.#ended.reject(error);
  }
}
