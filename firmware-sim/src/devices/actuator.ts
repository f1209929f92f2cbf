import type { Agent } from '../agent/agent.ts';
import { jsonPayload } from '../checker/stamp.ts';
import type { IncomingMessage, QoS } from '../client/client.ts';
import type { TimerHandle, Timers } from '../lib/timers.ts';
import type { ActuatorClass } from '../scenario/scenario.ts';
import type { Device, DeviceContext } from './device.ts';
import { readJsonObject } from './json-object.ts';
import { LivingDevice, type Work } from './life.ts';
import { planLiving, topicValues } from './names.ts';
import { JsonPresence, planPresence } from './presence.ts';
import { TopicTemplate } from './topics.ts';

/** What is put behind the command topic for the answer, where a command names no response topic: MQTT 3.x has none. */
export const answerLevel = '/answer';

/** Commands in work at once; further ones are not answered. */
const jobsMax = 1000;

/** Prepares actuators: devices that answer commands. */
export function planActuators(deviceClass: ActuatorClass): (context: DeviceContext) => Device {
  const living = planLiving(deviceClass);
  const presence = planPresence(deviceClass.life);
  const commandTemplate = new TopicTemplate(deviceClass.commandTopic);
  const workMs = deviceClass.workSeconds * 1000;
  return (context) => {
    const names = topicValues(deviceClass, context);
    const common = living(names);
    const commandTopic = commandTemplate.expand(names);
    return new LivingDevice(context, {
      ...common,
      presence: new JsonPresence(presence, names),
      // The operator's QoS decides.
      subscriptions: [...common.subscriptions, { topicFilter: commandTopic, qos: 2 }],
      work: (agent) => new ActuatorWork(agent, context.timers, { device: context.name, commandTopic, workMs }),
    });
  };
}

/** A command that is being carried out. */
interface Job {
  readonly doneAt: number;
  readonly topicName: string;
  readonly qos: QoS;
  readonly correlationData: Buffer | undefined;
  /** Of the command's JSON, for operators of MQTT 3.x. */
  readonly correlation: unknown;
}

/** Answers each command after a while, in order. */
class ActuatorWork implements Work {
  readonly #agent: Agent;
  readonly #timers: Timers;
  readonly #parts: { readonly device: string; readonly commandTopic: string; readonly workMs: number };
  /** The oldest first; all take the same time. */
  #jobs: Job[] = [];
  #timer: TimerHandle | undefined;

  constructor(
    agent: Agent,
    timers: Timers,
    parts: { readonly device: string; readonly commandTopic: string; readonly workMs: number },
  ) {
    this.#agent = agent;
    this.#timers = timers;
    this.#parts = parts;
  }

  get pending(): number {
    return this.#jobs.length;
  }

  onMessage({ topicName, payload, qos, properties }: IncomingMessage): void {
    const { commandTopic, workMs } = this.#parts;
    if (topicName !== commandTopic || this.#jobs.length >= jobsMax) return;
    const answerTopic = properties?.responseTopic ?? commandTopic + answerLevel;
    if (answerTopic === '' || /[+#\0]/.test(answerTopic)) return;
    const { correlationData } = properties ?? {};
    this.#jobs.push({
      doneAt: this.#timers.now() + workMs,
      topicName: answerTopic,
      qos,
      correlationData: correlationData === undefined ? undefined : Buffer.from(correlationData),
      correlation: readJsonObject(payload)?.['correlation'],
    });
    this.#timer ??= this.#timers.after(workMs, this.#answer);
  }

  /** A crash forgets what was in work; rest waits for it. */
  pause(why: 'rest' | 'crash'): void {
    if (why === 'rest') return;
    this.#jobs = [];
    if (this.#timer !== undefined) this.#timers.cancel(this.#timer);
    this.#timer = undefined;
  }

  start(): void {}

  drain(): void {}

  pace(): void {}

  onUp(): void {}

  onPublished(): void {}

  readonly #answer = (): void => {
    const now = this.#timers.now();
    const waiting = this.#jobs.findIndex(({ doneAt }) => doneAt > now);
    const done = this.#jobs.splice(0, waiting === -1 ? this.#jobs.length : waiting);
    for (const { topicName, qos, correlation, correlationData } of done) {
      const answer = { device: this.#parts.device, done: true };
      const payload = jsonPayload(correlation === undefined ? answer : { ...answer, correlation });
      const options = { qos, retain: false };
      this.#agent.publish(
        topicName,
        payload,
        correlationData === undefined ? options : { ...options, properties: { correlationData } },
      );
    }
    const next = this.#jobs[0];
    this.#timer = next === undefined ? undefined : this.#timers.after(next.doneAt - now, this.#answer);
  };
}
