import type { Agent } from '../agent/agent.ts';
import { jsonPayload } from '../checker/stamp.ts';
import type { IncomingMessage } from '../client/client.ts';
import type { Random } from '../lib/random.ts';
import type { TimerHandle } from '../lib/timers.ts';
import type { DeviceClass, OperatorClass } from '../scenario/scenario.ts';
import { answerLevel } from './actuator.ts';
import type { DeviceContext, Peers } from './device.ts';
import { readJsonObject } from './json-object.ts';
import { RollCall } from './roll-call.ts';
import { Schedule } from './schedule.ts';
import { TopicTemplate } from './topics.ts';

/** How long an answer may take, besides the actuator's work and sleep, before the command counts as unanswered, ms. */
const patienceMs = 10_000;
/** Commands that wait for an answer; with more than that no further ones are sent. */
const openMax = 100_000;

/** Sends commands to the actuators of a class in turns, in an open loop, and measures how long the answers take. */
export class Commander {
  readonly #context: DeviceContext;
  readonly #agent: Agent;
  readonly #random: Random;
  readonly #commands: NonNullable<OperatorClass['commands']>;
  readonly #commandTopic: TopicTemplate;
  readonly #rollCall: RollCall;
  readonly #className: string;
  readonly #answerTopic: string;
  readonly #patienceMs: number;
  readonly #schedule: Schedule;
  /** When each command that has no answer was due, by number, the oldest first. */
  readonly #open: Map<number, number> = new Map();
  #number = 0;
  #timer: TimerHandle | undefined;

  constructor(
    context: DeviceContext,
    agent: Agent,
    operator: OperatorClass,
    commands: NonNullable<OperatorClass['commands']>,
  ) {
    const { timers, topicPrefix } = context;
    const peers = context.peers.get(commands.to) as Peers;
    const { deviceClass } = peers;
    const commandTopic = deviceClass.kind === 'actuator' ? deviceClass.commandTopic : '';
    this.#context = context;
    this.#agent = agent;
    this.#random = context.random.fork('commands');
    this.#commands = commands;
    this.#className = deviceClass.name;
    this.#commandTopic = new TopicTemplate(commandTopic);
    this.#rollCall = new RollCall(peers, topicPrefix);
    this.#answerTopic = `${topicPrefix}/${operator.name}/${context.name}/answers`;
    this.#patienceMs = patienceMs + absenceMs(deviceClass);
    const everyMs = commands.everySeconds * 1000;
    const firstAt = timers.now() + this.#random.next() * everyMs;
    this.#schedule = new Schedule(timers, everyMs, firstAt, (dueAt) => this.#command(dueAt));
    agent.subscribe([...this.#rollCall.subscriptions, { topicFilter: this.#answerTopic, qos: commands.qos }]);
    const versions = [...operator.connection.versions, ...deviceClass.connection.versions];
    if (versions.every((version) => version === 5)) return;
    const answers = this.#commandTopic.filter({ prefix: topicPrefix, class: this.#className }) + answerLevel;
    agent.subscribe([{ topicFilter: answers, qos: commands.qos }]);
  }

  /** Commands without an answer so far. */
  get pending(): number {
    return this.#open.size;
  }

  start(): void {
    this.#schedule.start();
  }

  drain(): void {
    this.#schedule.stop();
  }

  onMessage(message: IncomingMessage): void {
    const number = this.#numberOf(message);
    if (number === undefined) {
      this.#rollCall.onMessage(message);
      return;
    }
    const dueAt = this.#open.get(number);
    if (dueAt === undefined) return;
    this.#open.delete(number);
    const context = this.#context;
    context.metrics().roundTrip.record(context.timers.now() - dueAt);
    context.note('answered', `command ${number} of ${context.name} was answered`);
  }

  #command(dueAt: number): void {
    const { name, topicPrefix } = this.#context;
    const peer = this.#open.size < openMax ? this.#rollCall.next() : undefined;
    if (peer === undefined) return;
    const number = ++this.#number;
    const correlation = `${name}:${number}`;
    const topicName = this.#commandTopic.expand({
      prefix: topicPrefix,
      class: this.#className,
      device: peer.name,
      index: peer.index,
    });
    const payload = jsonPayload({ command: 'set', value: this.#random.below(100), correlation });
    const isTaken = this.#agent.publish(topicName, payload, {
      qos: this.#commands.qos,
      retain: false,
      dueAt,
      properties: { responseTopic: this.#answerTopic, correlationData: Buffer.from(correlation) },
    });
    if (!isTaken) return;
    this.#open.set(number, dueAt);
    if (this.#timer === undefined) this.#timer = this.#context.timers.after(this.#patienceMs, this.#giveUp);
  }

  /** The number of this operator's command that a message answers. */
  #numberOf({ payload, properties }: IncomingMessage): number | undefined {
    const correlation = properties?.correlationData?.toString() ?? readJsonObject(payload)?.['correlation'];
    if (typeof correlation !== 'string') return undefined;
    const prefix = `${this.#context.name}:`;
    return correlation.startsWith(prefix) ? Number(correlation.slice(prefix.length)) : undefined;
  }

  readonly #giveUp = (): void => {
    const { timers, name } = this.#context;
    const now = timers.now();
    this.#timer = undefined;
    for (const [number, dueAt] of this.#open) {
      const rest = dueAt + this.#patienceMs - now;
      if (rest > 0) {
        this.#timer = timers.after(rest, this.#giveUp);
        return;
      }
      this.#open.delete(number);
      this.#context.note('unanswered', `command ${number} of ${name} was not answered`);
    }
  };
}

/** How long an actuator needs at most, ms: it may be asleep when the command comes. */
function absenceMs(deviceClass: DeviceClass): number {
  if (deviceClass.kind !== 'actuator') return 0;
  const { sleep, crash } = deviceClass.life;
  return 1000 * (deviceClass.workSeconds + (sleep?.asleepSeconds ?? 0) + (crash?.downSeconds ?? 0));
}
