import type { ClientInfo } from '../hooks/hooks.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  PacketType,
  type Qos,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubscribePacket,
} from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { isSubscribeRefusal } from '../protocol/suback.ts';
import { parseTopicFilter, topicLevels } from '../protocol/topic.ts';
import { RetainedReplay } from '../session/retained-replay.ts';
import type { Session } from '../session/session.ts';
import type { SubscriptionRecord } from '../store/store.ts';
import type { Connection } from './connection.ts';
import { authorize } from './rights.ts';

/** SUBACK's only failure in 3.1.1 [v3 MQTT-3.9.3-2]. */
const FAILURE_V3 = 0x80;

/** SUBSCRIBE, section 3.8. SUBACK follows when the subscriptions are durable, then their retained messages. */
export async function onSubscribe(connection: Connection, packet: SubscribePacket): Promise<void> {
  const identifier = packet.properties.subscriptionIdentifiers?.[0] ?? 0;
  if (identifier !== 0 && !connection.context.settings.subscriptionIdentifiersAvailable) {
    throw new ProtocolError(ReasonCode.subscriptionIdentifiersNotSupported, 'subscription identifiers are turned off');
  }
  const reasonCodes: number[] = [];
  const replayed: SubscriptionRecord[] = [];
  const { writePath } = connection.context;
  let before = writePath.added;
  let ticket = 0;
  for (const request of packet.subscriptions) {
    // [MQTT-3.8.4-6] as if each filter came in a packet of its own
    const reasonCode = await subscribeOne(connection, request, identifier, replayed);
    if (writePath.added !== before) ticket = writePath.ticket;
    before = writePath.added;
    if (connection.state !== 'connected') return;
    reasonCodes.push(connection.version < 5 && reasonCode >= 0x80 ? FAILURE_V3 : reasonCode); // [MQTT-3.9.3-1]
  }
  const { packetId } = packet;
  connection.onceDurable(ticket, () => {
    connection.send({ type: PacketType.suback, packetId, reasonCodes, properties: {} }); // [MQTT-3.8.4-1], [MQTT-3.8.4-2]
    replay(connection, replayed);
  });
}

async function subscribeOne(
  connection: Connection,
  request: SubscriptionRequest,
  identifier: number,
  replayed: SubscriptionRecord[],
): Promise<number> {
  const { context } = connection;
  const session = connection.session as Session;
  const parsed = parseTopicFilter(request.topicFilter);
  if (parsed === undefined) return refused(connection, request, ReasonCode.topicFilterInvalid);
  const shared = parsed.shareName !== '';
  // [MQTT-3.8.3-4]
  if (shared && request.noLocal)
    throw new ProtocolError(ReasonCode.protocolError, 'No Local on a shared subscription', 'MQTT-3.8.3-4');
  const unavailable = unavailableFor(connection, request, parsed.filter, shared);
  if (unavailable !== undefined) return refused(connection, request, unavailable);
  const qos = Math.min(request.qos, context.settings.maximumQos) as Qos; // [MQTT-3.8.4-7]
  const client = connection.client as ClientInfo;
  const refusal = await authorize(context, client, { action: 'subscribe', topic: parsed.filter, qos, retain: false });
  if (refusal !== undefined) {
    // A hook may name a code SUBACK does not have [MQTT-3.9.3-2].
    const isKnown = isSubscribeRefusal(refusal.reasonCode);
    return refused(connection, request, isKnown ? refusal.reasonCode : ReasonCode.implementationSpecificError);
  }
  if (connection.state !== 'connected') return ReasonCode.unspecifiedError;
  const { topicFilter, noLocal, retainAsPublished, retainHandling } = request;
  const record = { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier: identifier };
  const isNew = context.registry.subscribe(session, record);
  context.events.emit('subscribed', client, topicFilter, qos);
  // [MQTT-3.3.1-9..-11] by Retain Handling; never for shared subscriptions
  if (!shared && (retainHandling === 0 || (retainHandling === 1 && isNew))) replayed.push(record);
  return qos;
}

/** A switch that is off or a limit that is reached, by its reason code. */
function unavailableFor(
  connection: Connection,
  request: SubscriptionRequest,
  filter: string,
  shared: boolean,
): number | undefined {
  const { settings, session, writePath } = connection.context;
  if (shared && !settings.sharedSubscriptionAvailable) return ReasonCode.sharedSubscriptionsNotSupported;
  if (!settings.wildcardSubscriptionAvailable && /[+#]/.test(filter))
    return ReasonCode.wildcardSubscriptionsNotSupported;
  const { subscriptions } = connection.session as Session;
  const isNew = !subscriptions.has(request.topicFilter);
  if (isNew && writePath.full && (connection.session as Session).durable) return ReasonCode.quotaExceeded;
  if (isNew && subscriptions.size >= session.settings.subscriptionsPerSessionMax) return ReasonCode.quotaExceeded;
  if (topicLevels(filter) > session.settings.topicLevelsMax) return ReasonCode.topicFilterInvalid;
  return undefined;
}

function refused(connection: Connection, request: SubscriptionRequest, reasonCode: number): number {
  const { client, context } = connection;
  context.logger.warn('subscription refused', { client: client?.clientId, filter: request.topicFilter, reasonCode });
  return reasonCode;
}

function replay(connection: Connection, records: readonly SubscriptionRecord[]): void {
  const session = connection.session as Session;
  const { context } = connection;
  if (records.length === 0 || context.retained.trie.count === 0) return;
  const source = { retained: context.retained.trie, subscriptions: context.registry.subscriptions };
  session.replays ??= [];
  session.replays.push(new RetainedReplay(context.session, source, records));
  session.pump();
}

/** UNSUBSCRIBE, section 3.10: what is in flight is still completed [MQTT-3.10.4-3]. */
export function onUnsubscribe(connection: Connection, packet: UnsubscribePacket): void {
  const { context, client } = connection;
  const session = connection.session as Session;
  const before = context.writePath.added;
  const reasonCodes = packet.topicFilters.map((topicFilter) => {
    if (!context.registry.unsubscribe(session, topicFilter)) return ReasonCode.noSubscriptionExisted; // [MQTT-3.11.3-1]
    context.events.emit('unsubscribed', client as ClientInfo, topicFilter);
    return ReasonCode.success;
  });
  const ticket = context.writePath.added === before ? 0 : context.writePath.ticket;
  const { packetId } = packet;
  connection.onceDurable(ticket, () => {
    connection.send({ type: PacketType.unsuback, packetId, reasonCodes, properties: {} }); // [MQTT-3.10.4-4], [MQTT-3.10.4-5]
  });
}
