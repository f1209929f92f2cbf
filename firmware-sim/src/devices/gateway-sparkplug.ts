import type { Agent } from '../agent/agent.ts';
import type { IncomingMessage } from '../client/client.ts';
import type { Timers } from '../lib/timers.ts';
import type { GatewayClass, SparkplugOptions } from '../scenario/scenario.ts';
import type { Device, DeviceContext } from './device.ts';
import { DriftingClock } from './device-clock.ts';
import { childNames } from './child-names.ts';
import { LivingDevice, type Work } from './life.ts';
import { planLiving, topicValues } from './names.ts';
import { Schedule } from './schedule.ts';
import { commandsTrue } from './sparkplug.ts';
import { SparkplugChild } from './sparkplug-child.ts';
import { rebirthMetric, SparkplugNode } from './sparkplug-node.ts';

/** Rebirths come at most this often, however often they are asked for, ms. */
const rebirthMs = 1000;

/** Prepares gateways that speak Sparkplug B; births and wills are those of Sparkplug, whatever topics `life` names. */
export function planSparkplugGateways(
  deviceClass: GatewayClass,
  options: SparkplugOptions,
): (context: DeviceContext) => Device {
  const living = planLiving(deviceClass);
  return (context) => {
    const { timers } = context;
    const common = living(topicValues(deviceClass, context));
    const children = childNames(context.name, deviceClass.children).map(
      (name, at) => new SparkplugChild(name, options.metrics, at * options.metrics, context.random.fork(name)),
    );
    const clock = new DriftingClock(deviceClass.clock, timers.now());
    const node = new SparkplugNode({ node: context.name, options, children, timers, clock });
    return new LivingDevice(context, {
      ...common,
      presence: node,
      subscriptions: [...common.subscriptions, { topicFilter: node.commandTopic, qos: 1 }],
      work: (agent) => new SparkplugWork(context, agent, node, { everySeconds: options.everySeconds, children }),
    });
  };
}

/** Data of the children, and rebirth on command. */
class SparkplugWork implements Work {
  readonly pending = 0;
  readonly #timers: Timers;
  readonly #agent: Agent;
  readonly #node: SparkplugNode;
  readonly #schedules: readonly Schedule[];
  #isOver = false;
  #bornAt = Number.NEGATIVE_INFINITY;

  constructor(
    context: DeviceContext,
    agent: Agent,
    node: SparkplugNode,
    { everySeconds, children }: { readonly everySeconds: number; readonly children: readonly SparkplugChild[] },
  ) {
    const { timers } = context;
    this.#timers = timers;
    this.#agent = agent;
    this.#node = node;
    const random = context.random.fork('data');
    const everyMs = everySeconds * 1000;
    this.#schedules = children.map((child) => {
      const firstAt = timers.now() + random.next() * everyMs;
      return new Schedule(timers, everyMs, firstAt, (dueAt) => this.#data(child, dueAt));
    });
  }

  start(): void {
    if (!this.#isOver) for (const schedule of this.#schedules) schedule.start();
  }

  pause(): void {
    for (const schedule of this.#schedules) schedule.stop();
  }

  drain(): void {
    this.#isOver = true;
    this.pause();
  }

  pace(factor: number): void {
    for (const schedule of this.#schedules) schedule.pace(factor);
  }

  onUp(): void {
    this.#bornAt = this.#timers.now();
  }

  onMessage({ topicName, payload }: IncomingMessage): void {
    if (topicName !== this.#node.commandTopic || !commandsTrue(payload, rebirthMetric)) return;
    const now = this.#timers.now();
    if (now - this.#bornAt < rebirthMs) return;
    this.#bornAt = now;
    this.#node.rebirth(this.#agent);
  }

  onPublished(): void {
    // All data is QoS 0.
  }

  /** Without a connection there is nothing to send: births come before data. */
  #data(child: SparkplugChild, dueAt: number): void {
    if (this.#agent.state === 'up') this.#node.data(this.#agent, child, dueAt);
  }
}
