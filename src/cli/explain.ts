import { AccessRules } from '../acl/access-rules.ts';
import type { AccessRequest } from '../acl/active-rules.ts';
import { explanationText } from '../acl/explain.ts';
import type { Subject } from '../acl/filter-template.ts';
import { readRules } from '../acl/read-rules.ts';
import { RulesError, type RuleSet } from '../acl/rule-set.ts';
import { ConfigError } from '../config.ts';
import { nearest } from '../lib/nearest.ts';
import { isValidTopicName, parseTopicFilter } from '../protocol/topic.ts';
import { ExitCode, UsageError } from './errors.ts';
import { flagInteger, helpText, parseFlags, type Flag, type GivenFlag } from './flags.ts';

const before = `
Usage: trellis explain publish|subscribe --acl FILE [flags] TOPIC

Says whether access rules allow a client to publish to a topic name or to subscribe to a topic filter: the rule that
decides, with its line and role, and why the others do not. It reads the file only; no broker is asked.`.trimStart();

const after = `
FILE is YAML or JSON where its name ends in .yaml, .yml or .json, else in the format of Mosquitto's acl_file.

Examples:
  trellis explain publish --acl rules.yaml --user alice --client sensor-7 sensors/sensor-7/temperature
  trellis explain subscribe --acl rules.yaml --user alice 'sensors/#'
  trellis explain publish --acl rules.yaml --client c1 --claims '{"tenant":"acme"}' acme/state --qos 1 --retain

Exit codes: 0 allowed, 1 refused, 2 wrong flags or a file that cannot be used; every mistake is a line on stderr.`;

function flag(name: string, value: string | undefined, group: string, help: string): Flag {
  return { names: [name], values: value === undefined ? [] : [value], group, help };
}

const flags: readonly Flag[] = [
  flag('--acl', 'FILE', 'Rules', 'The file of access rules.'),
  flag('--default', 'deny|allow', 'Rules', 'What holds where no rule matches (deny).'),
  flag('--user', 'NAME', 'Client', 'Its user name; without one it is anonymous.'),
  flag('--client', 'ID', 'Client', 'Its client id.'),
  flag('--cn', 'NAME', 'Client', 'Common name of its certificate.'),
  flag('--role', 'NAME', 'Client', 'A role that it has from whoever authenticated it (repeatable).'),
  flag('--claims', 'JSON', 'Client', 'Claims of its token, a JSON object.'),
  flag('--qos', 'QOS', 'Publish', 'QoS of the publish, 0 to 2 (0).'),
  flag('--retain', undefined, 'Publish', 'The publish is retained.'),
  flag('--help', undefined, 'Other', 'Prints this.'),
];

const QUESTIONS: readonly string[] = ['publish', 'subscribe'];

/** Runs `trellis explain`; resolves to the exit code. @throws UsageError, or ConfigError where the rules cannot be used. */
export function explain(args: readonly string[]): number {
  const words: string[] = [];
  const given = new Map<string, GivenFlag[]>();
  for (const one of parseFlags('explain', flags, args, words)) {
    const others = given.get(one.name) ?? [];
    if (others.length > 0 && one.name !== '--role') throw new UsageError(`${one.typed} can be given once only.`);
    given.set(one.name, [...others, one]);
  }
  if (given.has('--help')) {
    process.stdout.write(helpText(before, flags, after));
    return ExitCode.ok;
  }
  const request = requestOf(words, given);
  const otherwise = textOf(given, '--default') ?? 'deny';
  if (otherwise !== 'deny' && otherwise !== 'allow') {
    throw new UsageError(`--default must be deny or allow, not ${JSON.stringify(otherwise)}.`);
  }
  const subject = subjectOf(given);
  const file = textOf(given, '--acl');
  if (file === undefined || file === '') throw new UsageError('trellis explain needs the access rules: --acl FILE.');
  const explanation = new AccessRules(rulesOf(file), otherwise).explain(subject, request);
  process.stdout.write(explanationText(explanation));
  return explanation.allowed ? ExitCode.ok : ExitCode.failure;
}

function requestOf(words: readonly string[], given: ReadonlyMap<string, GivenFlag[]>): AccessRequest {
  const [question, topic, ...more] = words;
  if (question === undefined) {
    throw new UsageError('trellis explain needs what to explain: publish or subscribe; see trellis explain --help.');
  }
  if (!QUESTIONS.includes(question)) {
    const near = nearest(question, QUESTIONS);
    const hint = near === undefined ? 'see trellis explain --help.' : `did you mean ${near}?`;
    throw new UsageError(`trellis explain knows ${QUESTIONS.join(' and ')}, not ${JSON.stringify(question)}; ${hint}`);
  }
  if (topic === undefined || more.length > 0) throw new UsageError(`trellis explain ${question} needs one TOPIC.`);
  return question === 'publish' ? publishOf(topic, given) : subscribeOf(topic, given);
}

function publishOf(topicName: string, given: ReadonlyMap<string, GivenFlag[]>): AccessRequest {
  if (!isValidTopicName(topicName)) {
    throw new UsageError(`TOPIC must be a topic name without wildcards, not ${JSON.stringify(topicName)}.`);
  }
  const [qos] = given.get('--qos') ?? [];
  const retain = given.has('--retain');
  return { action: 'publish', topicName, retain, qos: qos === undefined ? 0 : flagInteger(qos, 0, 2) };
}

function subscribeOf(topicFilter: string, given: ReadonlyMap<string, GivenFlag[]>): AccessRequest {
  const parsed = parseTopicFilter(topicFilter);
  if (parsed === undefined) {
    throw new UsageError(`TOPIC must be a topic filter of MQTT, not ${JSON.stringify(topicFilter)}.`);
  }
  for (const name of ['--qos', '--retain']) {
    if (given.has(name)) throw new UsageError(`${name} goes with trellis explain publish only.`);
  }
  return { action: 'subscribe', topicFilter: parsed.filter };
}

function subjectOf(given: ReadonlyMap<string, GivenFlag[]>): Subject {
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

function textOf(given: ReadonlyMap<string, GivenFlag[]>, name: string): string | undefined {
  return given.get(name)?.[0]?.values[0];
}

function rulesOf(file: string): RuleSet {
  try {
    return readRules(file);
  } catch (error) {
    throw error instanceof RulesError ? new ConfigError(error.problems) : error;
  }
}
