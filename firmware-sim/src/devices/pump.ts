import type { Agent, PublishOptions } from '../agent/agent.ts';
import type { QoS } from '../client/client.ts';
import type { TimerHandle, Timers } from '../lib/timers.ts';

/** What became of an attempt to publish: the agent will tell when it is complete, it will not, or there was nothing to publish. */
export type Pumped = 'told' | 'untold' | 'nothing';

/** How sources have to publish: the agent tells of the message when it is complete, where its QoS has such a thing. */
export function pumpOptions(qos: QoS, retain: boolean): PublishOptions {
  return qos === 0 ? { qos, retain } : { qos, retain, reference: 1 };
}

/** What a source returns of a message that it has published. */
export function pumpedAs(isTaken: boolean, qos: QoS): Pumped {
  return isTaken && qos > 0 ? 'told' : 'untold';
}

/** QoS 0 has no acknowledgement to wait for: such a message's place is free again after this, ms. */
const untoldMs = 1;

/** Publishes as fast as the broker acknowledges: so many messages at once, sources in turns. Waits without a connection. */
export class Pump {
  readonly #agent: Agent;
  readonly #timers: Timers;
  readonly #limit: number;
  readonly #sources: (() => Pumped)[] = [];
  #turn = 0;
  #underway = 0;
  #untold = 0;
  #untoldTimer: TimerHandle | undefined;
  #isFilling = false;

  /** @param limit messages at once, 1 or more. */
  constructor(agent: Agent, timers: Timers, limit: number) {
    this.#agent = agent;
    this.#timers = timers;
    this.#limit = limit;
  }

  /** Messages that were published and are not complete. */
  get underway(): number {
    return this.#underway;
  }

  /** Adds a source: publishes one message, if it has any. */
  add(source: () => Pumped): void {
    this.#sources.push(source);
  }

  /** A message published with {@link pumpOptions} is complete, or will never be. */
  onPublished(): void {
    this.#underway--;
    this.fill();
  }

  /** To be called when the connection is up and when a source has something new. */
  fill(): void {
    if (this.#isFilling) return;
    this.#isFilling = true;
    let idle = 0;
    while (idle < this.#sources.length && this.#underway < this.#limit && this.#agent.state === 'up') {
      const source = this.#sources[this.#turn] as () => Pumped;
      this.#turn = (this.#turn + 1) % this.#sources.length;
      const pumped = source();
      if (pumped === 'nothing') {
        idle++;
        continue;
      }
      idle = 0;
      this.#underway++;
      if (pumped === 'told') continue;
      this.#untold++;
      if (this.#untoldTimer === undefined) this.#untoldTimer = this.#timers.after(untoldMs, this.#freeUntold);
    }
    this.#isFilling = false;
  }

  readonly #freeUntold = (): void => {
    this.#untoldTimer = undefined;
    this.#underway -= this.#untold;
    this.#untold = 0;
    this.fill();
  };
}
