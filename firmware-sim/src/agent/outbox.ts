import { type StampedPayload, writeStamp } from '../checker/stamp.ts';
import type { MessageProperties, OutgoingMessage, QoS } from '../client/client.ts';
import type { SentMessage } from '../checker/witness.ts';
import type { PublishOptions } from './agent.ts';

const noBytes: Buffer = Buffer.alloc(0);

/** One message of an agent, from when it is taken over to when it is complete: the client's, the witness' and its own. */
export interface Publication extends OutgoingMessage, SentMessage {
  /** The sequence number; 0 until the message is handed to the client. */
  sequence: number;
  token: number;
  readonly topicName: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties?: MessageProperties;
  readonly payload: Buffer;
  /** Offset of the stamp; -1 for an empty payload. */
  readonly stampAt: number;
  /** ms on the clock of Timers. */
  readonly dueAt: number;
  readonly reference: number | undefined;
  isSent: boolean;
  /** Of PUBACK or PUBREC; -1 until then. */
  reasonCode: number;
}

/** Messages that wait for a connection or for a place in the window, in the order they were taken over. */
export class Outbox {
  #items: (Publication | undefined)[] = [];
  #head = 0;
  #qos0 = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** How many of them are QoS 0. */
  get qos0(): number {
    return this.#qos0;
  }

  first(): Publication | undefined {
    return this.#items[this.#head];
  }

  push(publication: Publication): void {
    this.#items.push(publication);
    if (publication.qos === 0) this.#qos0++;
  }

  shift(): void {
    const first = this.first();
    if (first === undefined) return;
    if (first.qos === 0) this.#qos0--;
    this.#items[this.#head++] = undefined;
    if (2 * this.#head < this.#items.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }

  /** Gives up the oldest message of QoS 0. False where there is none. */
  dropQos0(): boolean {
    if (this.#qos0 === 0) return false;
    this.#items.splice(
      this.#items.findIndex((item) => item?.qos === 0),
      1,
    );
    this.#qos0--;
    return true;
  }
}

/** A message as it was taken over, without a number and a stamp. */
export function publicationOf(
  topicName: string,
  payload: StampedPayload | undefined,
  options: PublishOptions,
  dueAt: number,
): Publication {
  const { properties } = options;
  const publication = {
    sequence: 0,
    token: 0,
    topicName,
    qos: options.qos,
    retain: options.retain,
    payload: payload?.bytes ?? noBytes,
    stampAt: payload?.stampAt ?? -1,
    isEmpty: payload === undefined,
    dueAt,
    reference: options.reference,
    isSent: false,
    reasonCode: -1,
  };
  if (properties === undefined) return publication;
  const expirySeconds = properties.messageExpiryInterval;
  return expirySeconds === undefined ? { ...publication, properties } : { ...publication, properties, expirySeconds };
}

/** Gives a message its number, when it goes out, and stamps it. */
export function number(publication: Publication, run: number, client: number, sequence: number): void {
  const { stampAt, dueAt, qos } = publication;
  publication.sequence = sequence;
  publication.token = sequence;
  if (stampAt !== -1) writeStamp({ bytes: publication.payload, stampAt }, run, { client, sequence, dueAt, qos });
}
