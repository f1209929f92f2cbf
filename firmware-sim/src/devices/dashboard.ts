import type { Agent, AgentHandler } from '../agent/agent.ts';
import type { SubscribeOptions } from '../client/client.ts';
import type { TimerHandle } from '../lib/timers.ts';
import type { DashboardClass } from '../scenario/scenario.ts';
import type { Device, DeviceContext } from './device.ts';
import { planSubscriptions, topicValues } from './names.ts';

/** How long a page takes to load again, s. */
const reloadSeconds = [0.2, 1] as const;

/** Prepares dashboards: they subscribe and look. */
export function planDashboards(deviceClass: DashboardClass): (context: DeviceContext) => Device {
  const subscriptions = planSubscriptions(deviceClass);
  return (context) =>
    new Dashboard(context, deviceClass.reopenEverySeconds, subscriptions(topicValues(deviceClass, context)));
}

/** Is opened and closed again; a new subscription replays what is retained. */
class Dashboard implements Device, AgentHandler {
  readonly name: string;
  readonly #context: DeviceContext;
  readonly #agent: Agent;
  readonly #reopenEverySeconds: number;
  readonly #subscriptions: readonly SubscribeOptions[];
  #state: 'closed' | 'open' | 'reloading' = 'closed';
  #isDraining = false;
  #timer: TimerHandle | undefined;

  constructor(context: DeviceContext, reopenEverySeconds: number, subscriptions: readonly SubscribeOptions[]) {
    this.name = context.name;
    this.#context = context;
    this.#reopenEverySeconds = reopenEverySeconds;
    this.#subscriptions = subscriptions;
    this.#agent = context.agent(this);
    this.#agent.subscribe(subscriptions);
  }

  get pending(): number {
    return this.#agent.pending;
  }

  start(): void {
    if (this.#state === 'closed') this.#open();
  }

  storm(): void {
    if (this.#agent.state === 'up') this.#agent.drop(0);
  }

  pace(): void {
    // It publishes nothing.
  }

  drain(): void {
    this.#isDraining = true;
    this.#cancel();
    if (this.#state === 'reloading') this.#reopened();
  }

  stop(): void {
    this.#cancel();
    this.#agent.leave();
  }

  onUp(): void {}

  onDown(): void {}

  onMessage(): void {
    // What it gets is the delivery checker's concern.
  }

  onPublished(): void {}

  #open(): void {
    this.#state = 'open';
    this.#agent.start();
    if (this.#reopenEverySeconds === 0 || this.#isDraining) return;
    this.#after(this.#context.random.exponential(this.#reopenEverySeconds), () => this.#reload());
  }

  #reload(): void {
    this.#state = 'reloading';
    // A session of MQTT 3.x may stay at the broker; its subscriptions shall not.
    this.#agent.unsubscribe(this.#subscriptions.map(({ topicFilter }) => topicFilter));
    this.#agent.leave();
    this.#after(this.#context.random.between(...reloadSeconds), () => this.#reopened());
  }

  #reopened(): void {
    this.#agent.subscribe(this.#subscriptions);
    this.#open();
  }

  #after(seconds: number, callback: () => void): void {
    this.#timer = this.#context.timers.after(seconds * 1000, callback);
  }

  #cancel(): void {
    if (this.#timer !== undefined) this.#context.timers.cancel(this.#timer);
  }
}
