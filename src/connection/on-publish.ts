import { isUtf8 } from 'node:buffer';
import type { AuthorizeRequest, Awaitable, ClientInfo, HookMessage, Refusal } from '../hooks/hooks.ts';
import { isPublishRefusal } from '../protocol/ack.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Framer } from '../protocol/framer.ts';
import { Message } from '../protocol/message.ts';
import { PacketType } from '../protocol/packets.ts';
import {
  decodePublish,
  decodeTopicName,
  encodeForwardedProperties,
  messageOf,
  type PublishFrame,
  propertiesOf,
} from '../protocol/publish.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { isBrokerTopic, isValidTopicName, topicLevels } from '../protocol/topic.ts';
import type { Session } from '../session/session.ts';
import { isDrained } from './brake.ts';
import type { Connection } from './connection.ts';
import { IncomingAliases } from './incoming-aliases.ts';
import { authorize, isRefusal } from './rights.ts';
import { TopicMemory } from './topic-memory.ts';

/** What stays of a PUBLISH while hooks are asked. */
interface Publication {
  readonly qos: 0 | 1 | 2;
  readonly packetId: number;
}

/** PUBLISH from a client, section 3.3: the hot path, nothing here may wait unless a hook does. */
export function onPublish(connection: Connection, framer: Framer): Promise<void> | undefined {
  const { context, frame } = connection;
  decodePublish(frame, framer, connection.version);
  const { qos, packetId } = frame;
  context.traffic.publishesReceived += 1;
  context.traffic.payloadBytesReceived += frame.payloadEnd - frame.payloadStart;
  const topicName = topicNameOf(connection, frame);
  checkSwitches(connection, frame);
  if (qos > 0 && !admit(connection, qos, packetId)) return undefined;
  if (
    context.guard.publishers === 'drained' &&
    isDrained(connection) &&
    context.guard.memory?.holdsPublisher() === true
  ) {
    context.books.refused += 1;
    refuse(connection, { qos, packetId }, ReasonCode.quotaExceeded, 'limits.memoryBytesMax is nearly reached');
    return undefined;
  }
  if (
    frame.payloadFormatIndicator === 1 &&
    context.settings.checkPayloadFormat &&
    !isUtf8(frame.buffer.subarray(frame.payloadStart, frame.payloadEnd))
  ) {
    refuse(connection, { qos, packetId }, ReasonCode.payloadFormatInvalid, 'the payload is not UTF-8'); // section 3.3.2.3.2
    return undefined;
  }
  const client = connection.client as ClientInfo;
  const message = messageOf(frame, topicName, connection.now, client.clientId, connection.version);
  if (!connection.asksHooks && !topicName.startsWith('$')) {
    route(connection, message, packetId);
    return undefined;
  }
  const done = askHooks(connection, client, message, packetId);
  return done instanceof Promise ? done : undefined;
}

/** The topic name, by the memory of this connection, its aliases, or from the bytes. */
function topicNameOf(connection: Connection, frame: PublishFrame): string {
  const { buffer, topicStart, topicEnd, topicAlias } = frame;
  let topicName: string | undefined;
  if (topicStart === topicEnd) {
    topicName = connection.incomingAliases?.get(topicAlias);
    if (topicName === undefined) {
      throw new ProtocolError(ReasonCode.protocolError, `topic alias ${topicAlias} is not known`, 'MQTT-3.3.2-7');
    }
    return topicName;
  }
  connection.topics ??= new TopicMemory();
  topicName = connection.topics.recall(buffer, topicStart, topicEnd);
  if (topicName === undefined) {
    topicName = decodeTopicName(buffer, topicStart, topicEnd);
    const { topicLevelsMax } = connection.context.session.settings;
    // Levels are only counted where there could be too many.
    if (topicName.length >= topicLevelsMax && topicLevels(topicName) > topicLevelsMax) {
      connection.context.guard.counters.count('topic-levels');
      throw new ProtocolError(ReasonCode.topicNameInvalid, 'the topic name has more levels than limits.topicLevelsMax');
    }
    connection.topics.remember(buffer, topicStart, topicEnd, topicName);
  }
  if (topicAlias !== 0) setAlias(connection, topicAlias, topicName);
  return topicName;
}

function setAlias(connection: Connection, topicAlias: number, topicName: string): void {
  const { topicAliasMaximum, aliasBytesMax } = connection.context.settings;
  // [MQTT-3.3.2-9]
  if (topicAlias > topicAliasMaximum) {
    throw new ProtocolError(
      ReasonCode.topicAliasInvalid,
      `topic alias ${topicAlias} is above the maximum`,
      'MQTT-3.3.2-9',
    );
  }
  connection.incomingAliases ??= new IncomingAliases();
  if (!connection.incomingAliases.set(topicAlias, topicName, aliasBytesMax)) {
    connection.context.guard.counters.count('alias-bytes');
    throw new ProtocolError(ReasonCode.quotaExceeded, 'the topic names of its aliases are above limits.aliasBytesMax');
  }
}

/** What CONNACK said this server does not do. */
function checkSwitches(connection: Connection, frame: PublishFrame): void {
  const { settings } = connection.context;
  if (frame.qos > settings.maximumQos) {
    throw new ProtocolError(ReasonCode.qosNotSupported, `QoS ${frame.qos} is above limits.maximumQos`, 'MQTT-3.2.2-11');
  }
  if (frame.retain && !settings.retainAvailable) {
    throw new ProtocolError(ReasonCode.retainNotSupported, 'retained messages are turned off', 'MQTT-3.2.2-14');
  }
}

/**
 * Counts a QoS 1 or 2 publish against our Receive Maximum and finds repeated QoS 2 ones.
 * @returns false when it is one that was delivered already: PUBREC again, nothing else [MQTT-4.3.3-10].
 */
function admit(connection: Connection, qos: number, packetId: number): boolean {
  const session = connection.session as Session;
  const ticket = qos === 2 ? session.inbound?.get(packetId) : undefined;
  if (ticket !== undefined) {
    // What comes of its batch is what both acknowledgements say.
    const waitsFor = ticket > connection.context.writePath.flushed ? ticket : 0;
    connection.acknowledge(waitsFor, PacketType.pubrec, packetId, ReasonCode.success);
    return false;
  }
  connection.unfinishedPublishes += 1;
  // [MQTT-3.3.4-7], [MQTT-3.3.4-8]; 3.x knows no such limit, it is held back instead.
  if (connection.version === 5 && connection.unfinishedPublishes > connection.context.settings.receiveMaximum) {
    throw new ProtocolError(
      ReasonCode.receiveMaximumExceeded,
      'more unacknowledged publishes than Receive Maximum',
      'MQTT-3.3.4-7',
    );
  }
  return true;
}

/** Delivers the message and acknowledges it once that is as durable as promised. */
function route(connection: Connection, message: Message, packetId: number): void {
  const { context } = connection;
  const { writePath } = context;
  const { qos } = message;
  const before = writePath.added;
  const reasonCode = context.dispatcher.publish(message);
  if (context.events.hears('published'))
    context.events.emit('published', connection.client, hookMessageOf(message, connection.now));
  if (qos === 0) return;
  if (reasonCode === ReasonCode.quotaExceeded) {
    refuse(connection, { qos, packetId }, reasonCode, 'the store, a queue or the retained messages have no room');
    return;
  }
  if (qos === 2) {
    const session = connection.session as Session;
    if (session.durable) writePath.add({ kind: 'inbound-put', clientId: session.clientId, packetId });
  }
  const ticket = writePath.added === before ? 0 : writePath.ticket;
  if (qos === 2) noteInbound(connection, packetId, ticket);
  connection.acknowledge(ticket, qos === 1 ? PacketType.puback : PacketType.pubrec, packetId, reasonCode); // [MQTT-4.3.2-4], [MQTT-4.3.3-8]
}

/** Answers a publish that goes nowhere: by reason code in 5.0; in 3.x see section 3.3.5 of 3.1.1. */
function refuse(connection: Connection, publication: Publication, reasonCode: number, reason?: string): void {
  const { qos, packetId } = publication;
  const { version } = connection;
  if (qos === 0) return;
  // 3.x cannot say no. A lack of room is temporary: without acknowledgement the client sends it again.
  if (version < 5 && reasonCode === ReasonCode.quotaExceeded) {
    connection.finishPublish();
    return;
  }
  // [v3 MQTT-3.3.5-2] a publish without rights is acknowledged and goes nowhere
  const code = version < 5 ? ReasonCode.success : reasonCode;
  if (qos === 2 && version < 5) noteInbound(connection, packetId, 0);
  connection.acknowledge(0, qos === 1 ? PacketType.puback : PacketType.pubrec, packetId, code, reason);
}

function noteInbound(connection: Connection, packetId: number, ticket: number): void {
  const session = connection.session as Session;
  session.inbound ??= new Map();
  session.inbound.set(packetId, ticket);
}

function askHooks(connection: Connection, client: ClientInfo, message: Message, packetId: number): Awaitable<void> {
  if (isBrokerTopic(message.topicName)) {
    deny(connection, message, packetId, {
      reasonCode: ReasonCode.notAuthorized,
      reasonString: "topics below $SYS are the broker's",
    });
    return undefined;
  }
  const verdict = authorize(connection.context, client, requestOf(message));
  if (verdict instanceof Promise) return verdict.then((late) => afterRights(connection, message, packetId, late));
  return afterRights(connection, message, packetId, verdict);
}

function requestOf({ topicName: topic, qos, retain }: Message): AuthorizeRequest {
  return { action: 'publish', topic, qos, retain };
}

function afterRights(
  connection: Connection,
  message: Message,
  packetId: number,
  verdict: Refusal | undefined,
): Awaitable<void> {
  if (isTooLate(connection)) return undefined;
  if (verdict !== undefined) {
    deny(connection, message, packetId, verdict);
    return undefined;
  }
  const { hooks, access } = connection.context;
  const client = connection.client as ClientInfo;
  if (hooks.onPublish === undefined) {
    route(connection, message, packetId);
    return undefined;
  }
  const changed = hooks.onPublish(client, hookMessageOf(message, connection.now));
  if (changed instanceof Promise) {
    // The rules may be others than when the hook was asked.
    return changed.then((late) =>
      afterChange(connection, message, packetId, access?.refusalOf(client, requestOf(message)) ?? late),
    );
  }
  afterChange(connection, message, packetId, changed);
  return undefined;
}

function afterChange(
  connection: Connection,
  message: Message,
  packetId: number,
  changed: HookMessage | Refusal | undefined,
): void {
  if (isTooLate(connection)) return;
  if (changed === undefined) {
    route(connection, message, packetId);
    return;
  }
  if (isRefusal(changed)) {
    deny(connection, message, packetId, changed);
    return;
  }
  if (!isValidTopicName(changed.topicName))
    throw new Error(`onPublish returned an invalid topic name ${JSON.stringify(changed.topicName)}`);
  const { topicName, payload, retain, properties } = changed;
  const expiry = properties.messageExpiryInterval;
  const expiresAt = expiry === undefined ? Number.POSITIVE_INFINITY : connection.now + expiry * 1000;
  const { publisherId, qos } = message;
  // The QoS stays what the publisher was promised.
  route(
    connection,
    new Message({
      topicName,
      payload,
      qos,
      retain,
      properties: encodeForwardedProperties(properties),
      expiresAt,
      publisherId,
    }),
    packetId,
  );
}

/**
 * Whether the connection ended while a hook was asked. The client never saw an acknowledgement, so it sends a QoS 1 or 2
 * message again; taken in now as well it would be delivered twice [MQTT-4.3.3-10].
 */
function isTooLate(connection: Connection): boolean {
  return connection.state !== 'connected';
}

function deny(connection: Connection, message: Message, packetId: number, refusal: Refusal): void {
  const { context, client } = connection;
  context.books.refused += 1;
  if (connection.version < 5 && message.qos > 0 && refusal.reasonCode === ReasonCode.implementationSpecificError) {
    // A hook that failed has decided nothing: what 3.x would take for success must not be sent [v3 MQTT-3.3.5-2].
    throw new ProtocolError(
      ReasonCode.implementationSpecificError,
      'the publish could not be authorised',
      'v3 MQTT-3.3.5-2',
    );
  }
  const fields = {
    client: client?.clientId,
    topic: message.topicName,
    reason: refusal.explanation ?? refusal.reasonString ?? 'not authorized',
  };
  context.logger.warn('publish refused', fields);
  // A hook may name a code these packets do not have [MQTT-3.4.2-1], [MQTT-3.5.2-1].
  const isKnown = isPublishRefusal(refusal.reasonCode);
  const reasonCode = isKnown ? refusal.reasonCode : ReasonCode.implementationSpecificError;
  refuse(connection, { qos: message.qos, packetId }, reasonCode, refusal.reasonString);
}

/** The message as hooks and listeners see it. */
export function hookMessageOf(message: Message, now: number): HookMessage {
  const { topicName, payload, qos, retain } = message;
  const properties = propertiesOf(message);
  if (message.expiresAt !== Number.POSITIVE_INFINITY) {
    properties.messageExpiryInterval = Math.max(0, Math.ceil((message.expiresAt - now) / 1000));
  }
  return { topicName, payload, qos, retain, properties };
}
