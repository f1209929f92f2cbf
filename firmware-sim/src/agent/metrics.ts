import { Histogram } from '../lib/histogram.ts';
import type { ByQos } from '../checker/witness.ts';

/** What one class of devices did in a time; agents count into it, reports read it. */
export class Metrics {
  /** Messages first written to the network, by QoS. */
  readonly sent: ByQos = [0, 0, 0];
  /** PUBACK and PUBREC that accept. */
  readonly acknowledged: ByQos = [0, 0, 0];
  /** Deliveries to applications, by QoS of delivery. */
  readonly delivered: ByQos = [0, 0, 0];
  /** Payload bytes. */
  sentBytes = 0;
  deliveredBytes = 0;
  /** Publishes the broker refused. */
  refused = 0;
  /** Messages a device wanted to send and could not: QoS 0 without a connection, or its buffer was full. */
  unsent = 0;
  /** CONNACK, successful. */
  connects = 0;
  /** Attempts that did not get there. */
  connectFailures = 0;
  /** Connections that ended, whoever ended them. */
  disconnects = 0;
  /** From when a message was due to when its application had it. */
  readonly delivery: Histogram = new Histogram();
  /** From when a message was due to PUBACK or PUBREC. */
  readonly acknowledgement: Histogram = new Histogram();
  /** From the first byte out, TLS and WebSocket included, to CONNACK. */
  readonly connect: Histogram = new Histogram();
  /** From a command to its answer. */
  readonly roundTrip: Histogram = new Histogram();

  /** Adds all that another counted. */
  add(other: Metrics): void {
    for (const qos of [0, 1, 2] as const) {
      this.sent[qos] += other.sent[qos];
      this.acknowledged[qos] += other.acknowledged[qos];
      this.delivered[qos] += other.delivered[qos];
    }
    for (const counter of counters) this[counter] += other[counter];
    for (const histogram of histograms) this[histogram].add(other[histogram]);
  }

  /** Back to nothing. */
  reset(): void {
    for (const row of [this.sent, this.acknowledged, this.delivered]) row.fill(0);
    for (const counter of counters) this[counter] = 0;
    for (const histogram of histograms) if (this[histogram].count > 0) this[histogram].reset();
  }
}

const counters = [
  'sentBytes',
  'deliveredBytes',
  'refused',
  'unsent',
  'connects',
  'connectFailures',
  'disconnects',
] as const;

/** Names of the distributions among its members. */
export const histograms = ['delivery', 'acknowledgement', 'connect', 'roundTrip'] as const;
