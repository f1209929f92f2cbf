import type { Agent } from '../agent/agent.ts';
import { jsonPayload } from '../checker/stamp.ts';
import type { TimerHandle } from '../lib/timers.ts';
import type { OperatorClass } from '../scenario/scenario.ts';
import type { DeviceContext, Peers } from './device.ts';
import { type Pump, type Pumped, pumpedAs, pumpOptions } from './pump.ts';
import { TopicTemplate } from './topics.ts';

/** Writes the retained configuration of each device of a class, as fast as the broker acknowledges, and again every so often. */
export class Configurator {
  readonly #context: DeviceContext;
  readonly #agent: Agent;
  readonly #pump: Pump;
  readonly #everyMs: number;
  readonly #peers: Peers;
  readonly #topic: TopicTemplate;
  /** Device to be written next; `count` when all are. */
  #next: number;
  #revision = 0;
  #timer: TimerHandle | undefined;

  constructor(context: DeviceContext, agent: Agent, pump: Pump, configures: NonNullable<OperatorClass['configures']>) {
    const peers = context.peers.get(configures.to) as Peers;
    const { deviceClass } = peers;
    this.#context = context;
    this.#agent = agent;
    this.#pump = pump;
    this.#everyMs = configures.everySeconds * 1000;
    this.#peers = peers;
    this.#topic = new TopicTemplate(('life' in deviceClass ? deviceClass.life.configTopic : undefined) ?? '');
    this.#next = peers.count;
    pump.add(() => this.#write());
  }

  /** Devices still to be written. */
  get pending(): number {
    return this.#peers.count - this.#next;
  }

  /** Begins a round over all devices. */
  readonly start = (): void => {
    // A round that takes longer than the time between two is finished first.
    if (this.#next >= this.#peers.count) {
      this.#next = 0;
      this.#revision++;
      this.#pump.fill();
    }
    if (this.#everyMs > 0) this.#timer = this.#context.timers.after(this.#everyMs, this.start);
  };

  /** No new round any more. */
  drain(): void {
    if (this.#timer !== undefined) this.#context.timers.cancel(this.#timer);
  }

  #write(): Pumped {
    const index = this.#next;
    if (index >= this.#peers.count) return 'nothing';
    const device = this.#peers.nameOf(index);
    const topicName = this.#topic.expand({
      prefix: this.#context.topicPrefix,
      class: this.#peers.deviceClass.name,
      device,
      index,
    });
    const isTaken = this.#agent.publish(
      topicName,
      jsonPayload({ device, revision: this.#revision }),
      pumpOptions(1, true),
    );
    if (isTaken) this.#next++;
    return pumpedAs(isTaken, 1);
  }
}
