import { nearest } from '../lib/nearest.ts';
import { busySeconds, unknownClass, type CheckedFile } from './references.ts';
import { defaults } from './defaults.ts';
import { orList } from './wording.ts';
import type {
  ActuatorFile,
  ClassFile,
  ConnectionFile,
  LifeFile,
  OperatorFile,
  TelemetryFile,
} from './scenario-file.ts';
import type { Path, Problem } from './scenario-error.ts';
import { bytesOf, formatDuration, secondsOf } from './units.ts';

/** Collects problems below one class. */
type Report = (path: Path, text: string) => void;

/** Checks a class that is right in itself, field by field, for what its fields mean together and for others. */
export function checkClass(name: string, file: ClassFile, checked: CheckedFile, problems: Problem[]): void {
  const report: Report = (path, text) => problems.push({ path: ['fleet', name, ...path], text });
  checkConnection(file.connection ?? {}, file, report);
  checkNetwork(file, report);
  for (const [at, entry] of (file.subscribes ?? []).entries()) {
    const filter = typeof entry === 'string' ? entry : entry.filter;
    if (filter.includes('{child}')) report(['subscribes', at], '{child} is only for telemetry of gateways');
  }
  switch (file.kind) {
    case 'dashboard':
      if ((file.subscribes ?? []).length === 0) report(['subscribes'], 'a dashboard must subscribe to something');
      return;
    case 'operator':
      return checkOperator(file, checked, report);
    case 'actuator':
      checkOwnTopic(file, 'commandTopic', file.commandTopic ?? defaults.commandTopic, report);
      break;
    case 'sensor':
    case 'legacy':
    case 'gateway':
      for (const [at, row] of (file.telemetry ?? []).entries()) {
        checkRow(row, file, (path, text) => report(['telemetry', at, ...path], text));
      }
      break;
  }
  if (file.life !== undefined) checkLife(file.life, file, checked, (path, text) => report(['life', ...path], text));
}

function checkConnection(connection: ConnectionFile, file: ClassFile, report: Report): void {
  const hasSleep = 'life' in file && file.life?.sleep !== undefined;
  const isClean = connection.session === 'clean' || (connection.session === undefined && !hasSleep);
  if (connection.session === 'clean' && hasSleep) {
    report(['connection', 'session'], 'must be persistent where devices sleep, or nothing waits for them');
  }
  if (connection.sessionExpiry !== undefined && isClean) {
    report(['connection', 'sessionExpiry'], 'is only for session: persistent');
  }
  if (connection.reconnect !== undefined && secondsOf(connection.reconnect[0]) > secondsOf(connection.reconnect[1])) {
    report(['connection', 'reconnect'], 'must not have a longest wait below the shortest');
  }
  if (connection.password !== undefined && connection.username === undefined) {
    report(['connection', 'password'], 'needs a username beside it');
  }
}

function checkNetwork({ network }: ClassFile, report: Report): void {
  if (typeof network !== 'object') return;
  const { latency, profile, halfOpen, cutEvery, cutAtByte } = network;
  if (typeof latency === 'object' && secondsOf(latency[0]) > secondsOf(latency[1])) {
    report(['network', 'latency'], 'must not have the least above the most');
  }
  if (
    halfOpen !== undefined &&
    halfOpen > 0 &&
    (profile ?? 'good') === 'good' &&
    (cutEvery ?? cutAtByte) === undefined
  ) {
    report(['network', 'halfOpen'], 'is a part of the cuts; add cutEvery or cutAtByte');
  }
}

function checkRow(row: TelemetryFile, file: ClassFile, report: Report): void {
  if (row.loop === 'closed') {
    if (row.every !== undefined)
      report(['every'], 'does not go with loop: closed, which is as fast as the broker acknowledges');
    const qos = row.qos ?? (file.kind === 'legacy' ? [0, 1, 2] : defaults.qos);
    if ([qos].flat().includes(0))
      report([row.qos === undefined ? 'loop' : 'qos'], 'a closed loop needs QoS 1 or 2, which are acknowledged');
  }
  if (row.topic?.includes('{child}') === true && file.kind !== 'gateway')
    report(['topic'], '{child} is only for gateways');
  if (typeof row.model !== 'object') return;
  const models = Object.keys(row.model);
  if (models.length !== 1) {
    report(
      ['model'],
      `must be exactly one of constant, random-walk, sine, csv and template, not ${orList(models, 'and') || 'nothing'}`,
    );
  }
  const walk = { ...defaults.randomWalk, ...row.model['random-walk'] };
  if (walk.min > walk.max) report(['model', 'random-walk'], `has a min of ${walk.min}, above its max of ${walk.max}`);
  if (row.model.template === undefined) return;
  if (row.format === 'binary') report(['model', 'template'], 'is JSON; it does not go with format: binary');
  const problem = templateProblem(row.model.template);
  if (problem !== undefined) report(['model', 'template'], problem);
}

const templateWords: readonly string[] = [
  '{counter}',
  '{time}',
  '{device}',
  '{index}',
  '{random:low:high}',
  '{pick:a|b|c}',
];

const templateNames = templateWords.map((word) => (/\w+/.exec(word) as RegExpExecArray)[0]);

/** Whatever looks like a placeholder has to be one; `{{ value }}`, which Home Assistant uses, does not look like one. */
function templateProblem(template: Readonly<Record<string, unknown>>): string | undefined {
  if (Object.hasOwn(template, 'sim')) return 'must have no member sim, which is where the simulator puts its stamp';
  for (const [word] of JSON.stringify(template).matchAll(/(?<![{\w])\{[A-Za-z][^{}"]*\}(?!\})/g)) {
    if (/^\{(?:counter|time|device|index|random:-?\d+(?:\.\d+)?:-?\d+(?:\.\d+)?|pick:.+)\}$/.test(word)) continue;
    const near = nearest((/\w+/.exec(word) as RegExpExecArray)[0], templateNames);
    const meant = near === undefined ? '' : `; did you mean ${templateWords[templateNames.indexOf(near)]}?`;
    return `has ${word}, which is none of ${templateWords.join(', ')}${meant}`;
  }
  return undefined;
}

function checkLife(life: LifeFile, file: ClassFile, checked: CheckedFile, report: Report): void {
  for (const field of ['birthTopic', 'willTopic', 'configTopic'] as const) {
    const topic = life[field];
    if (topic !== undefined) checkOwnTopic(file, field, topic, report);
  }
  if (life.willDelay !== undefined && (life.willTopic ?? life.birthTopic) === undefined) {
    report(['willDelay'], 'needs a willTopic or a birthTopic');
  }
  if (life.configTopic !== undefined && !someOperator(checked, ({ configures }) => configures !== undefined)) {
    report(
      ['configTopic'],
      'nobody writes a configuration there, and devices would wait for it for ever; add an operator that configures this class',
    );
  }
  const channel = life.firmware === undefined ? undefined : (life.firmware.channel ?? defaults.firmware.channel);
  if (
    channel !== undefined &&
    !someOperator(
      checked,
      ({ firmware }) => firmware !== undefined && (firmware.channel ?? defaults.firmware.channel) === channel,
    )
  ) {
    report(
      life.firmware?.channel === undefined ? ['firmware'] : ['firmware', 'channel'],
      `nobody announces firmware in channel ${channel}; add an operator with firmware: { channel: ${channel} }`,
    );
  }
}

/** True also where an operator is not right in itself: it may be the one. */
function someOperator({ file, kinds }: CheckedFile, isRight: (operator: OperatorFile) => boolean): boolean {
  if ([...kinds.values()].includes(undefined)) return true;
  return Object.values(file.fleet).some((entry) => entry.kind === 'operator' && isRight(entry));
}

/** Topics that must not be shared by several devices. */
function checkOwnTopic(file: ClassFile, field: string, topic: string, report: Report): void {
  if (topic.includes('{child}')) report([field], '{child} is only for telemetry of gateways');
  else if (!/\{(?:device|index)\}/.test(topic) && (file.kind === 'actuator' || (file.count ?? defaults.count) > 1)) {
    report([field], 'must contain {device} or {index}, so that each device has its own');
  }
}

function checkOperator(file: OperatorFile, checked: CheckedFile, report: Report): void {
  const { commands, configures, firmware } = file;
  if (commands === undefined && configures === undefined && firmware === undefined) {
    report([], 'an operator must have commands, configures or firmware');
  }
  const target =
    commands === undefined ? undefined : classOf(commands.to, checked, (text) => report(['commands', 'to'], text));
  if (commands !== undefined && target !== undefined && target.kind !== 'actuator') {
    report(['commands', 'to'], `${commands.to} is a ${target.kind}; commands go to a class of actuators`);
  }
  const configured =
    configures === undefined
      ? undefined
      : classOf(configures.to, checked, (text) => report(['configures', 'to'], text));
  if (configures !== undefined && configured !== undefined && lifeOf(configured)?.configTopic === undefined) {
    report(['configures', 'to'], `${configures.to} has no life.configTopic to write to`);
  }
  if (firmware !== undefined) checkCampaign(file, checked, (path, text) => report(['firmware', ...path], text));
}

function classOf(name: string, { file, kinds }: CheckedFile, report: (text: string) => void): ClassFile | undefined {
  if (!kinds.has(name)) report(unknownClass(name, kinds));
  return Object.hasOwn(file.fleet, name) ? file.fleet[name] : undefined;
}

function lifeOf(file: ClassFile): ActuatorFile['life'] {
  return 'life' in file ? file.life : undefined;
}

function checkCampaign({ firmware = {} }: OperatorFile, checked: CheckedFile, report: Report): void {
  const channel = firmware.channel ?? defaults.firmware.channel;
  const follows = (entry: ClassFile): boolean => {
    const life = lifeOf(entry);
    return life?.firmware !== undefined && (life.firmware.channel ?? defaults.firmware.channel) === channel;
  };
  const isSure = ![...checked.kinds.values()].includes(undefined);
  if (isSure && !Object.values(checked.file.fleet).some(follows)) {
    report(
      firmware.channel === undefined ? [] : ['channel'],
      `no class follows channel ${channel}; add life: { firmware: { channel: ${channel} } } to one`,
    );
  }
  const times = (firmware.releasesAt ?? defaults.firmware.releasesAt).map(secondsOf);
  if (times.some((time, at) => at > 0 && time <= (times[at - 1] as number)))
    report(['releasesAt'], 'must be ascending');
  const end = busySeconds(checked.stages);
  const late = end === undefined ? undefined : times.find((time) => time >= end);
  if (late !== undefined) {
    report(
      ['releasesAt'],
      `has a release after ${formatDuration(late)}, when the stages before the drain, ${formatDuration(end as number)} in all, are over`,
    );
  }
  for (const [at, index] of (firmware.badReleases ?? []).entries()) {
    if (index >= times.length) report(['badReleases', at], `is no release; there are ${times.length}, counted from 0`);
  }
  if (bytesOf(firmware.chunk ?? defaults.firmware.chunk) > bytesOf(firmware.size ?? defaults.firmware.size)) {
    report(firmware.chunk === undefined ? ['size'] : ['chunk'], 'a piece must not be larger than the image');
  }
}
