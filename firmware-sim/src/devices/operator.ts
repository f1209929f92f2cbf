import type { Agent, AgentHandler } from '../agent/agent.ts';
import type { IncomingMessage } from '../client/client.ts';
import type { OperatorClass } from '../scenario/scenario.ts';
import { Commander } from './commander.ts';
import { Configurator } from './configurator.ts';
import type { Device, DeviceContext } from './device.ts';
import { Campaign } from './firmware/campaign.ts';
import { planSubscriptions, topicValues } from './names.ts';
import { Pump } from './pump.ts';

/** Prepares operators: the back office. */
export function planOperators(deviceClass: OperatorClass): (context: DeviceContext) => Device {
  const subscriptions = planSubscriptions(deviceClass);
  return (context) => {
    const operator = new Operator(context, deviceClass);
    operator.subscribe(subscriptions(topicValues(deviceClass, context)));
    return operator;
  };
}

/** Sends commands, configuration and firmware. All operators of a class command; the first one does the rest. */
class Operator implements Device, AgentHandler {
  readonly name: string;
  readonly #agent: Agent;
  readonly #pump: Pump;
  readonly #commander: Commander | undefined;
  readonly #configurator: Configurator | undefined;
  readonly #campaign: Campaign | undefined;
  #state: 'new' | 'working' | 'draining' = 'new';

  constructor(context: DeviceContext, deviceClass: OperatorClass) {
    const { commands, configures, firmware, connection } = deviceClass;
    this.name = context.name;
    this.#agent = context.agent(this);
    this.#pump = new Pump(this.#agent, context.timers, connection.window);
    if (commands !== undefined) this.#commander = new Commander(context, this.#agent, deviceClass, commands);
    if (context.index > 0) return;
    if (configures !== undefined) {
      this.#configurator = new Configurator(context, this.#agent, this.#pump, configures);
    }
    if (firmware !== undefined) this.#campaign = new Campaign(context, this.#agent, this.#pump, firmware);
  }

  get pending(): number {
    const exchanges =
      (this.#commander?.pending ?? 0) + (this.#configurator?.pending ?? 0) + (this.#campaign?.pending ?? 0);
    return this.#agent.pending + exchanges;
  }

  subscribe(subscriptions: Parameters<Agent['subscribe']>[0]): void {
    this.#agent.subscribe(subscriptions);
  }

  start(): void {
    if (this.#agent.state === 'off') this.#agent.start();
  }

  storm(): void {
    if (this.#agent.state === 'up') this.#agent.drop(0);
  }

  pace(): void {
    // Telemetry is not what operators send.
  }

  drain(): void {
    this.#state = 'draining';
    this.#commander?.drain();
    this.#configurator?.drain();
    this.#campaign?.drain();
  }

  stop(): void {
    this.drain();
    this.#agent.leave();
  }

  onUp(): void {
    if (this.#state === 'new') {
      this.#state = 'working';
      this.#configurator?.start();
      this.#commander?.start();
      this.#campaign?.start();
    }
    this.#pump.fill();
  }

  onDown(): void {
    // The agent comes back by itself, and everything here waits for it.
  }

  onMessage(message: IncomingMessage): void {
    this.#commander?.onMessage(message);
    this.#campaign?.onMessage(message);
  }

  onPublished(): void {
    this.#pump.onPublished();
  }
}
