import type { Agent, AgentHandler, AgentOptions, PublishOptions } from '../../src/agent/agent.ts';
import type { StampedPayload } from '../../src/checker/stamp.ts';
import type { IncomingMessage, MessageProperties, QoS, SubscribeOptions } from '../../src/client/client.ts';

/** A message a device has published. */
export interface Published {
  readonly topicName: string;
  readonly payload: Buffer;
  readonly stampAt: number;
  readonly options: PublishOptions;
}

/** An agent that does nothing by itself: tests say what becomes of its connection and its messages. */
export class FakeAgent implements Agent {
  readonly clientId = 'fake';
  readonly published: Published[] = [];
  readonly subscriptions: Map<string, SubscribeOptions> = new Map();
  /** Names of calls, in order. */
  readonly calls: string[] = [];
  state: Agent['state'] = 'off';
  /** What publish returns. */
  isTaking = true;
  /** The last will a connection was opened with. */
  will: { topicName: string; payload: Buffer; retain: boolean; qos: QoS } | undefined;
  readonly #handler: AgentHandler;
  readonly #options: Partial<Pick<AgentOptions, 'will'>>;
  #unacknowledged: (number | undefined)[] = [];

  constructor(handler: AgentHandler, options: Partial<Pick<AgentOptions, 'will'>> = {}) {
    this.#handler = handler;
    this.#options = options;
  }

  get pending(): number {
    return this.#unacknowledged.length;
  }

  // ---- what devices call

  start(): void {
    if (this.state !== 'off') throw new Error('started twice');
    this.calls.push('start');
    this.state = 'connecting';
    const { will } = this.#options;
    if (will !== undefined) {
      const { topicName, qos, retain } = will;
      this.will = { topicName, qos, retain, payload: will.payload().bytes };
    }
  }

  publish(topicName: string, payload: StampedPayload | undefined, options: PublishOptions): boolean {
    if (!this.isTaking) return false;
    this.published.push({
      topicName,
      payload: payload?.bytes ?? Buffer.alloc(0),
      stampAt: payload?.stampAt ?? -1,
      options,
    });
    if (options.qos > 0) this.#unacknowledged.push(options.reference);
    return true;
  }

  subscribe(subscriptions: readonly SubscribeOptions[]): void {
    for (const subscription of subscriptions) this.subscriptions.set(subscription.topicFilter, subscription);
  }

  unsubscribe(topicFilters: readonly string[]): void {
    for (const topicFilter of topicFilters) this.subscriptions.delete(topicFilter);
  }

  sleep(): void {
    this.#off('sleep');
  }

  leave(): void {
    this.#off('leave');
  }

  crash(): void {
    this.#off('crash');
  }

  drop(delaySeconds: number): void {
    this.calls.push(`drop ${delaySeconds}`);
  }

  // ---- what tests call

  /** CONNACK. */
  up(sessionPresent = false): void {
    this.state = 'up';
    this.#handler.onUp(sessionPresent);
  }

  /** The connection goes, and the agent tries again. */
  down(): void {
    this.state = 'waiting';
    this.#handler.onDown({ cause: 'cut', text: 'cut' } as never);
  }

  receive(topicName: string, payload: Buffer | object, more: { qos?: QoS; properties?: MessageProperties } = {}): void {
    const message: IncomingMessage = {
      topicName,
      payload: Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload)),
      qos: more.qos ?? 1,
      retain: false,
      dup: false,
      properties: more.properties,
    };
    this.#handler.onMessage(message);
  }

  /** Completes the oldest `count` messages of QoS 1 and 2. */
  acknowledge(count: number = Number.POSITIVE_INFINITY): void {
    for (const reference of this.#unacknowledged.splice(0, count)) {
      if (reference !== undefined) this.#handler.onPublished(reference, 0);
    }
  }

  /** Takes what was published so far. */
  take(): Published[] {
    return this.published.splice(0);
  }

  /** Topics and JSON of what was published so far, without stamps. */
  takeJson(): [topicName: string, value: Record<string, unknown>][] {
    return this.take().map(({ topicName, payload }) => {
      const { sim: _, ...value } = JSON.parse(payload.toString()) as Record<string, unknown>;
      return [topicName, value];
    });
  }

  #off(call: string): void {
    this.calls.push(call);
    this.state = 'off';
  }
}
