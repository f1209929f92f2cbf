import { Message } from '../../src/protocol/message.ts';
import type { Mutation, QueueRecord, WillRecord } from '../../src/store/store.ts';

/** More than any queue of a test has. */
export const NO_LIMIT = 1_000_000_000;
/** Too long for a key. */
export const LONG_NAME: string = 'x'.repeat(65_535);

/** A will with every property there is. */
export const fullWill: WillRecord = {
  clientId: 'w',
  username: 'ü',
  identity: '{"roles":["sensor"]}',
  publishAt: 1_893_456_000_000,
  will: {
    topicName: 'will/ü',
    payload: Buffer.from([0, 255, 1]),
    qos: 2,
    retain: true,
    properties: {
      payloadFormatIndicator: 1,
      messageExpiryInterval: 60,
      contentType: 'text/plain',
      responseTopic: 'r',
      correlationData: new Uint8Array([0, 128, 255]),
      willDelayInterval: 5,
      userProperties: [
        ['a', '1'],
        ['a', '2'],
      ],
    },
  },
};

/** A message with this payload. */
export function text(payload: string): Message {
  return new Message({ topicName: 'topic', payload: Buffer.from(payload), qos: 1, publisherId: 'p' });
}

/** A waiting entry. */
export function entry(
  queueId: number,
  sequence: number,
  message: Message = text(`${queueId}/${sequence}`),
): QueueRecord {
  return {
    queueId,
    sequence,
    message,
    qos: 1,
    retain: false,
    subscriptionIdentifiers: [],
    packetId: 0,
    state: 'waiting',
    shareKey: '',
  };
}

/** Puts an entry. */
export function put(record: QueueRecord): Mutation {
  return { kind: 'queue-put', record };
}

/** Changes packet id and state of an entry. */
export function setState(queueId: number, sequence: number, packetId: number, to: QueueRecord['state']): Mutation {
  return { kind: 'queue-state', queueId, sequence, packetId, state: to };
}

/** Puts a session that never expires. */
export function session(
  clientId: string,
  queueId: number,
  change: { epoch?: number; expiresAt?: number; username?: string } = {},
): Mutation {
  const base = {
    clientId,
    epoch: 1,
    queueId,
    sessionExpiryInterval: 0xffff_ffff,
    expiresAt: Number.POSITIVE_INFINITY,
    username: '',
  };
  return { kind: 'session-put', record: { ...base, ...change } };
}

/** Deletes a session and its queue. */
export function sessionDelete(clientId: string, queueId: number): Mutation {
  return { kind: 'session-delete', clientId, epoch: 1, queueId };
}

/** Puts a subscription. */
export function subscription(clientId: string, topicFilter: string, change: object = {}): Mutation {
  const base = {
    topicFilter,
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    subscriptionIdentifier: 0,
  } as const;
  return { kind: 'subscription-put', clientId, queueId: 1, record: { ...base, ...change } };
}

/** Puts an inbound packet id. */
export function inbound(clientId: string, packetId: number): Mutation {
  return { kind: 'inbound-put', clientId, packetId };
}

/** Puts a retained message. */
export function retained(topicName: string, payload: string): Mutation {
  return {
    kind: 'retained-put',
    message: new Message({ topicName, payload: Buffer.from(payload), qos: 1, retain: true }),
  };
}
