import type { Agent, AgentWill } from '../agent/agent.ts';
import { jsonPayload } from '../checker/stamp.ts';
import type { Life } from '../scenario/scenario.ts';
import { TopicTemplate, type TopicValues } from './topics.ts';

/** Why a device goes away in order. */
export type Farewell = 'asleep' | 'rebooting' | 'offline';

/** How a device says that it is there. */
export interface Presence {
  readonly will: AgentWill | undefined;
  /** Connected: says so, and which firmware it runs. */
  announce(agent: Agent, firmware: number): void;
  /** About to send DISCONNECT, after which no will comes. */
  farewell(agent: Agent, farewell: Farewell): void;
}

/** Topics of {@link JsonPresence}, taken apart once for a class. */
export interface PresencePlan {
  readonly life: Life;
  readonly birthTopic: TopicTemplate | undefined;
  /** Where the will goes. */
  readonly statusTopic: TopicTemplate | undefined;
}

/** Prepares the presence of a class. */
export function planPresence(life: Life): PresencePlan {
  const statusTopic = life.willTopic ?? life.birthTopic;
  return {
    life,
    birthTopic: life.birthTopic === undefined ? undefined : new TopicTemplate(life.birthTopic),
    statusTopic: statusTopic === undefined ? undefined : new TopicTemplate(statusTopic),
  };
}

/**
 * Retained JSON: the birth `{device, state: online, firmware}` on the birth topic; `{device, state}` on the topic of the
 * will, where that is another, and for the children of a gateway on that topic + `/<child>`.
 */
export class JsonPresence implements Presence {
  readonly will: AgentWill | undefined;
  readonly #device: string;
  readonly #qos: 0 | 1 | 2;
  readonly #birthTopic: string | undefined;
  readonly #statusTopic: string | undefined;
  readonly #children: readonly string[];

  constructor(plan: PresencePlan, names: TopicValues, children: readonly string[] = []) {
    const { life } = plan;
    this.#device = names.device;
    this.#qos = life.willQos;
    this.#birthTopic = plan.birthTopic?.expand(names);
    this.#statusTopic = plan.statusTopic?.expand(names);
    this.#children = children;
    const payload = { device: names.device, state: 'offline' };
    if (this.#statusTopic === undefined) return;
    this.will = {
      topicName: this.#statusTopic,
      qos: life.willQos,
      retain: true,
      delaySeconds: life.willDelaySeconds,
      payload: () => jsonPayload(payload),
    };
  }

  announce(agent: Agent, firmware: number): void {
    if (this.#birthTopic !== undefined) {
      this.#retain(agent, this.#birthTopic, { device: this.#device, state: 'online', firmware });
    }
    if (this.#statusTopic !== this.#birthTopic) this.#status(agent, 'online');
    this.#childStatus(agent, 'online');
  }

  farewell(agent: Agent, farewell: Farewell): void {
    this.#childStatus(agent, farewell);
    this.#status(agent, farewell);
  }

  #status(agent: Agent, state: Farewell | 'online'): void {
    if (this.#statusTopic !== undefined) this.#retain(agent, this.#statusTopic, { device: this.#device, state });
  }

  #childStatus(agent: Agent, state: Farewell | 'online'): void {
    if (this.#statusTopic === undefined) return;
    for (const device of this.#children) this.#retain(agent, `${this.#statusTopic}/${device}`, { device, state });
  }

  #retain(agent: Agent, topicName: string, value: Readonly<Record<string, unknown>>): void {
    agent.publish(topicName, jsonPayload(value), { qos: this.#qos, retain: true });
  }
}
