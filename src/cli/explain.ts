import { isIP } from 'node:net';
import { AccessControl, type AccessControlOptions } from '../acl/access-control.ts';
import type { AccessRequest } from '../acl/active-rules.ts';
import { explanationText } from '../acl/explain.ts';
import type { Subject } from '../acl/filter-template.ts';
import { RulesError, shown } from '../acl/rule-set.ts';
import { ConfigError } from '../config.ts';
import { nearest } from '../lib/nearest.ts';
import { isBrokerTopic, isValidTopicName, parseTopicFilter } from '../protocol/topic.ts';
import { loadFromFlags } from './broker-flags.ts';
import { ExitCode, UsageError } from './errors.ts';
import { flagInteger, helpText, parseFlags, type Flag, type GivenFlag } from './flags.ts';

const before = `
Usage: trellis explain publish|subscribe --acl FILE|--config FILE [flags] TOPIC
       trellis explain connect [--config FILE] [flags]

With publish and subscribe it says whether access rules allow a client to publish to a topic name or to subscribe to a
topic filter: the rule that decides, with its line and role, and why the others do not.

With connect it says whether a client is let in: what each of those who are asked says of it, in their order, and which
roles and rules it has then. What only a running broker knows, such as failed attempts, limits, bans for flapping and
the owners of client ids, it does not look at.

It reads files, and asks a webhook or for a key set where the configuration names one; no broker is asked.`.trimStart();

const after = `
FILE is YAML or JSON where its name ends in .yaml, .yml or .json, else in the format of Mosquitto's acl_file.

Examples:
  trellis explain publish --acl rules.yaml --user alice --client sensor-7 sensors/sensor-7/temperature
  trellis explain subscribe --acl rules.yaml --user alice 'sensors/#'
  trellis explain publish --acl rules.yaml --client c1 --claims '{"tenant":"acme"}' acme/state --qos 1 --retain
  trellis explain subscribe --config broker.yaml --user alice 'sensors/#'
  trellis explain connect --config broker.yaml --user alice --client kitchen --password-file - < password.txt

Exit codes: 0 allowed, 1 refused, 2 wrong flags or a file that cannot be used; every mistake is a line on stderr.`;

function flag(name: string, value: string | undefined, group: string, help: string): Flag {
  return { names: [name], values: value === undefined ? [] : [value], group, help };
}

const flags: readonly Flag[] = [
  flag('--acl', 'FILE', 'Rules', 'The file of access rules.'),
  flag('--default', 'deny|allow', 'Rules', 'What holds where no rule matches (deny).'),
  flag('--config', 'FILE', 'Rules', 'The configuration of the broker, in place of these two; the environment counts.'),
  flag('--user', 'NAME', 'Client', 'Its user name; without one it is anonymous.'),
  flag('--client', 'ID', 'Client', 'Its client id.'),
  flag('--cn', 'NAME', 'Client', 'Common name of its certificate.'),
  flag('--role', 'NAME', 'Client', 'A role that it has from whoever authenticated it (repeatable).'),
  flag('--claims', 'JSON', 'Client', 'Claims of its token, a JSON object.'),
  flag('--address', 'ADDRESS', 'Connect', 'Where it comes from (127.0.0.1).'),
  flag('--password-file', 'FILE', 'Connect', 'File whose one line is its password or token; - for stdin.'),
  flag('--psk-identity', 'NAME', 'Connect', 'Identity of its pre-shared key.'),
  flag('--qos', 'QOS', 'Publish', 'QoS of the publish, 0 to 2 (0).'),
  flag('--retain', undefined, 'Publish', 'The publish is retained.'),
  flag('--help', undefined, 'Other', 'Prints this.'),
];

const QUESTIONS: readonly string[] = ['publish', 'subscribe', 'connect'];

/** Flags that go with one question only; those of rules go with two. */
const CONNECT_FLAGS: readonly string[] = ['--address', '--password-file', '--psk-identity'];
const RULES_FLAGS: readonly string[] = ['--acl', '--default', '--qos', '--retain'];

type Given = ReadonlyMap<string, readonly GivenFlag[]>;

/** Runs `trellis explain`; resolves to the exit code. @throws UsageError, or ConfigError where files cannot be used. */
export async function explain(args: readonly string[]): Promise<number> {
  const words: string[] = [];
  const given = new Map<string, readonly GivenFlag[]>();
  for (const one of parseFlags('explain', flags, args, words)) {
    const others = given.get(one.name) ?? [];
    if (others.length > 0 && one.name !== '--role') throw new UsageError(`${one.typed} can be given once only.`);
    given.set(one.name, [...others, one]);
  }
  if (given.has('--help')) {
    process.stdout.write(helpText(before, flags, after));
    return ExitCode.ok;
  }
  const [question, ...topics] = words;
  checkQuestion(question);
  if (question === 'connect') return connect(topics, given);
  refuseFlags(given, CONNECT_FLAGS, 'connect');
  const [topic, ...more] = topics;
  if (topic === undefined || more.length > 0) throw new UsageError(`trellis explain ${question} needs one TOPIC.`);
  const request = question === 'publish' ? publishOf(topic, given) : subscribeOf(topic, given);
  const subject = subjectOf(given);
  const explanation = controlOf(await accessOf(given)).explain(subject, request);
  if (question === 'publish' && isBrokerTopic(topic)) {
    process.stdout.write(`Refused: publish to ${shown(topic)}\n  topics below $SYS are the broker's\n`);
    return ExitCode.failure;
  }
  process.stdout.write(explanationText(explanation));
  return explanation.allowed ? ExitCode.ok : ExitCode.failure;
}

function checkQuestion(question: string | undefined): void {
  if (question === undefined) {
    throw new UsageError(
      'trellis explain needs what to explain: publish, subscribe or connect; see trellis explain --help.',
    );
  }
  if (QUESTIONS.includes(question)) return;
  const near = nearest(question, QUESTIONS);
  const hint = near === undefined ? 'see trellis explain --help.' : `did you mean ${near}?`;
  throw new UsageError(
    `trellis explain knows publish, subscribe and connect, not ${JSON.stringify(question)}; ${hint}`,
  );
}

function refuseFlags(given: Given, names: readonly string[], questions: string): void {
  const wrong = names.find((name) => given.has(name));
  if (wrong !== undefined) throw new UsageError(`${wrong} goes with trellis explain ${questions} only.`);
}

async function connect(topics: readonly string[], given: Given): Promise<number> {
  if (topics.length > 0) throw new UsageError('trellis explain connect takes no TOPIC.');
  refuseFlags(given, RULES_FLAGS, 'publish and subscribe');
  const address = textOf(given, '--address') ?? '127.0.0.1';
  if (isIP(address) === 0) throw new UsageError(`--address must be an address, not ${JSON.stringify(address)}.`);
  const { config } = loadFromFlags(given.get('--config') ?? [], process.env);
  const passwordFile = textOf(given, '--password-file');
  const { readPasswordFrom } = await import('./password-input.ts');
  const { explainConnect } = await import('./explain-connect.ts');
  return explainConnect(config, {
    subject: subjectOf(given),
    username: textOf(given, '--user'),
    pskIdentity: textOf(given, '--psk-identity'),
    address,
    password: passwordFile === undefined ? undefined : await readPasswordFrom(passwordFile),
  });
}

/** Which rules to look at. */
async function accessOf(given: Given): Promise<AccessControlOptions> {
  const file = textOf(given, '--acl');
  const otherwise = textOf(given, '--default') ?? 'deny';
  if (otherwise !== 'deny' && otherwise !== 'allow') {
    throw new UsageError(`--default must be deny or allow, not ${JSON.stringify(otherwise)}.`);
  }
  const config = given.get('--config');
  if (config !== undefined) {
    if (file !== undefined || given.has('--default'))
      throw new UsageError(
        '--config says which rules there are and what holds beside them: leave --acl and --default out.',
      );
    const { accessOptions } = await import('../security.ts');
    return accessOptions(loadFromFlags(config, process.env).config);
  }
  if (file === undefined || file === '')
    throw new UsageError('trellis explain needs the access rules: --acl FILE, or --config FILE.');
  return { file, otherwise, explainsToClients: false };
}

function publishOf(topicName: string, given: Given): AccessRequest {
  if (!isValidTopicName(topicName)) {
    throw new UsageError(`TOPIC must be a topic name without wildcards, not ${JSON.stringify(topicName)}.`);
  }
  const [qos] = given.get('--qos') ?? [];
  const retain = given.has('--retain');
  return { action: 'publish', topicName, retain, qos: qos === undefined ? 0 : flagInteger(qos, 0, 2) };
}

function subscribeOf(topicFilter: string, given: Given): AccessRequest {
  const parsed = parseTopicFilter(topicFilter);
  if (parsed === undefined) {
    throw new UsageError(`TOPIC must be a topic filter of MQTT, not ${JSON.stringify(topicFilter)}.`);
  }
  for (const name of ['--qos', '--retain']) {
    if (given.has(name)) throw new UsageError(`${name} goes with trellis explain publish only.`);
  }
  return { action: 'subscribe', topicFilter: parsed.filter };
}

function subjectOf(given: Given): Subject {
  const claims = textOf(given, '--claims');
  const commonName = textOf(given, '--cn');
  return {
    clientId: textOf(given, '--client') ?? '',
    username: textOf(given, '--user') ?? '',
    roles: (given.get('--role') ?? []).map(({ values }) => values[0]!),
    ...(claims === undefined ? {} : { claims: claimsOf(claims) }),
    ...(commonName === undefined ? {} : { certificate: { commonName, alternativeNames: [], fingerprint: '' } }),
  };
}

function claimsOf(text: string): Record<string, unknown> {
  let claims: unknown;
  try {
    claims = JSON.parse(text);
  } catch {
    claims = undefined;
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw new UsageError('--claims must be a JSON object such as {"tenant":"acme"}.');
  }
  return claims as Record<string, unknown>;
}

function textOf(given: Given, name: string): string | undefined {
  return given.get(name)?.[0]?.values[0];
}

function controlOf(options: AccessControlOptions): AccessControl {
  try {
    return new AccessControl(options);
  } catch (error) {
    throw error instanceof RulesError ? new ConfigError(error.problems) : error;
  }
}
