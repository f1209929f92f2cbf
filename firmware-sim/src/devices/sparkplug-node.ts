import type { Agent, AgentWill } from '../agent/agent.ts';
import type { StampedPayload } from '../checker/stamp.ts';
import type { Timers } from '../lib/timers.ts';
import type { SparkplugOptions } from '../scenario/scenario.ts';
import type { DriftingClock } from './device-clock.ts';
import type { Presence } from './presence.ts';
import { encodeSparkplug, type Metric } from './sparkplug.ts';
import type { SparkplugChild } from './sparkplug-child.ts';

/** What asks a node for its births again. */
export const rebirthMetric = 'Node Control/Rebirth';

/** What a node consists of. */
export interface SparkplugParts {
  readonly node: string;
  readonly options: SparkplugOptions;
  readonly children: readonly SparkplugChild[];
  readonly timers: Timers;
  readonly clock: DriftingClock;
}

/** Sequence numbers are bytes. */
const sequences = 256;

/** An edge node of Sparkplug B: its births, its death and its sequence numbers. */
export class SparkplugNode implements Presence {
  readonly will: AgentWill;
  readonly #parts: SparkplugParts;
  /** Of the connection; in NBIRTH the same as in its will, NDEATH. */
  #bdSeq = sequences - 1;
  #seq = 0;
  #firmware = 0;
  #isAlive = false;

  constructor(parts: SparkplugParts) {
    this.#parts = parts;
    this.will = {
      topicName: this.#topic('NDEATH'),
      qos: 1,
      retain: false,
      delaySeconds: 0,
      payload: () => {
        this.#bdSeq = (this.#bdSeq + 1) % sequences;
        return this.#death();
      },
    };
  }

  /** Where commands to the node come from. */
  get commandTopic(): string {
    return this.#topic('NCMD');
  }

  /** NBIRTH, which begins the row of sequence numbers, and DBIRTH of each child. */
  announce(agent: Agent, firmware: number): void {
    this.#firmware = firmware;
    this.#isAlive = true;
    this.#birth(agent);
  }

  /** The same again, because a host has asked for it; nothing after the node's own death. */
  rebirth(agent: Agent): void {
    if (this.#isAlive) this.#birth(agent);
  }

  /** After DISCONNECT no will comes: the node tells its death itself. */
  farewell(agent: Agent): void {
    this.#isAlive = false;
    agent.publish(this.will.topicName, this.#death(), { qos: 1, retain: false });
  }

  #birth(agent: Agent): void {
    const timestamp = this.#time(this.#parts.timers.now());
    this.#seq = 0;
    this.#publish(agent, this.#topic('NBIRTH'), timestamp, [
      { name: 'bdSeq', timestamp, type: 'Int64', value: this.#bdSeq },
      { name: rebirthMetric, timestamp, type: 'Boolean', value: false },
      { name: 'Properties/Firmware', timestamp, type: 'Int32', value: this.#firmware },
    ]);
    for (const child of this.#parts.children) {
      this.#publish(agent, this.#topic('DBIRTH', child.name), timestamp, child.birth(timestamp));
    }
  }

  /** DDATA of a child, due at `dueAt`; only after {@link announce} on the same connection. */
  data(agent: Agent, child: SparkplugChild, dueAt: number): void {
    const timestamp = this.#time(dueAt);
    this.#publish(agent, this.#topic('DDATA', child.name), timestamp, child.data(timestamp), dueAt);
  }

  #publish(agent: Agent, topicName: string, timestamp: number, metrics: readonly Metric[], dueAt?: number): void {
    const payload = encodeSparkplug({ timestamp, seq: this.#seq, metrics });
    this.#seq = (this.#seq + 1) % sequences;
    agent.publish(
      topicName,
      payload,
      dueAt === undefined ? { qos: 0, retain: false } : { qos: 0, retain: false, dueAt },
    );
  }

  #death(): StampedPayload {
    const timestamp = this.#time(this.#parts.timers.now());
    return encodeSparkplug({ timestamp, metrics: [{ name: 'bdSeq', timestamp, type: 'Int64', value: this.#bdSeq }] });
  }

  #time(now: number): number {
    return Math.max(0, Math.round(this.#parts.clock.read(now)));
  }

  #topic(type: 'NBIRTH' | 'NDEATH' | 'NCMD' | 'DBIRTH' | 'DDATA', child?: string): string {
    const { node, options } = this.#parts;
    const topicName = `spBv1.0/${options.groupId}/${type}/${node}`;
    return child === undefined ? topicName : `${topicName}/${child}`;
  }
}
