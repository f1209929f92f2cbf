import { Message } from '../protocol/message.ts';
import type { Properties } from '../protocol/packets.ts';
import type { QueueRecord, WillRecord } from './store.ts';

/** A message with buffers of its own, so that keeping it does not keep the chunk it was read from. */
export function copyMessage(message: Message): Message {
  return new Message({
    topicName: message.topicName,
    payload: Uint8Array.prototype.slice.call(message.bytes, message.payloadStart, message.payloadEnd),
    qos: message.qos,
    retain: message.retain,
    properties: Uint8Array.prototype.slice.call(message.properties),
    expiresAt: message.expiresAt,
    publisherId: message.publisherId,
  });
}

/** A queue record that shares nothing but the message with the one given. */
export function copyQueueRecord(record: QueueRecord, message: Message): QueueRecord {
  return {
    queueId: record.queueId,
    sequence: record.sequence,
    message,
    qos: record.qos,
    retain: record.retain,
    subscriptionIdentifiers: record.subscriptionIdentifiers.slice(),
    packetId: record.packetId,
    state: record.state,
    shareKey: record.shareKey,
  };
}

/** A will record that shares nothing with the one given. */
export function copyWillRecord(record: WillRecord): WillRecord {
  const will = record.will;
  const payload = Uint8Array.prototype.slice.call(will.payload);
  return {
    ...record,
    will: { ...will, payload, properties: copyProperties(will.properties) },
  };
}

function copyProperties(properties: Properties): Properties {
  const copy: Properties = { ...properties };
  if (copy.correlationData !== undefined) copy.correlationData = copy.correlationData.slice();
  if (copy.userProperties !== undefined)
    copy.userProperties = copy.userProperties.map(([name, value]) => [name, value]);
  return copy;
}
