import type { ConnectionContext } from './connection/context.ts';
import { Message } from './protocol/message.ts';
import type { Properties, Qos } from './protocol/packets.ts';
import { encodeForwardedProperties } from './protocol/publish.ts';
import { ReasonCode } from './protocol/reason-codes.ts';
import { isValidTopicName } from './protocol/topic.ts';

/** A message to be published from inside. */
export interface OutgoingMessage {
  topicName: string;
  payload: Uint8Array | string;
  qos?: Qos;
  retain?: boolean;
  properties?: Properties;
}

/** Publishes from inside. @returns once it is as durable as a client's acknowledgement would mean. @throws RangeError for an invalid topic name or a refusal for lack of room. */
export async function publishLocally(
  { writePath, dispatcher, events, clock }: Pick<ConnectionContext, 'writePath' | 'dispatcher' | 'events' | 'clock'>,
  message: OutgoingMessage,
): Promise<void> {
  const { topicName, qos = 0, retain = false, properties = {} } = message;
  if (!isValidTopicName(topicName)) throw new RangeError(`invalid topic name ${JSON.stringify(topicName)}`);
  // A copy: the caller may use its buffer again while the message is still on its way, or retained.
  const payload = typeof message.payload === 'string' ? Buffer.from(message.payload) : Buffer.from(message.payload);
  const before = writePath.added;
  const seconds = properties.messageExpiryInterval;
  const expiresAt = seconds === undefined ? Number.POSITIVE_INFINITY : clock.now() + seconds * 1000;
  const reasonCode = dispatcher.publish(
    new Message({ topicName, payload, qos, retain, properties: encodeForwardedProperties(properties), expiresAt }),
  );
  if (reasonCode === ReasonCode.quotaExceeded)
    throw new RangeError(`no room for a message to ${JSON.stringify(topicName)}`);
  if (events.hears('published')) events.emit('published', undefined, { topicName, payload, qos, retain, properties });
  if (qos > 0 && writePath.added !== before) await writePath.drained();
}
