import type { Awaitable, ClientInfo, Refusal } from '../hooks/hooks.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  PacketType,
  type Properties,
  type Qos,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubscribePacket,
} from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { isSubscribeRefusal } from '../protocol/suback.ts';
import { type ParsedTopicFilter, parseTopicFilter, topicLevels } from '../protocol/topic.ts';
import { replayRetained } from '../session/retained-replay.ts';
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
  const reasons: string[] = [];
  const replayed: SubscriptionRecord[] = [];
  const { writePath } = connection.context;
  let before = writePath.added;
  let ticket = 0;
  for (const request of packet.subscriptions) {
    // [MQTT-3.8.4-6] as if each filter came in a packet of its own
    const pending = subscribeOne(connection, request, identifier, replayed);
    const outcome = pending instanceof Promise ? await pending : pending;
    const reasonCode = typeof outcome === 'number' ? outcome : outcome.reasonCode;
    if (typeof outcome !== 'number') reasons.push(explain(connection, request, outcome));
    if (writePath.added !== before) ticket = writePath.ticket;
    before = writePath.added;
    if (connection.state !== 'connected') return;
    reasonCodes.push(connection.version < 5 && reasonCode >= 0x80 ? FAILURE_V3 : reasonCode); // [MQTT-3.9.3-1]
  }
  const { packetId } = packet;
  const properties: Properties = {};
  if (reasons.length > 0 && connection.explains) properties.reasonString = reasons.join('; ');
  connection.onceDurable(ticket, () => {
    connection.send({ type: PacketType.suback, packetId, reasonCodes, properties }); // [MQTT-3.8.4-1], [MQTT-3.8.4-2]
    replay(connection, replayed);
  });
}

/** @returns the QoS granted, or why there is none. */
function subscribeOne(
  connection: Connection,
  request: SubscriptionRequest,
  identifier: number,
  replayed: SubscriptionRecord[],
): Awaitable<Qos | Refusal> {
  const { context } = connection;
  const parsed = parseTopicFilter(request.topicFilter);
  if (parsed === undefined) {
    return { reasonCode: ReasonCode.topicFilterInvalid, reasonString: 'not a valid topic filter' };
  }
  const shared = parsed.shareName !== '';
  // [MQTT-3.8.3-4]
  if (shared && request.noLocal)
    throw new ProtocolError(ReasonCode.protocolError, 'No Local on a shared subscription', 'MQTT-3.8.3-4');
  const unavailable = unavailableFor(connection, request, parsed.filter, shared);
  if (unavailable !== undefined) return unavailable;
  const qos = Math.min(request.qos, context.settings.maximumQos) as Qos; // [MQTT-3.8.4-7]
  const client = connection.client as ClientInfo;
  const { topicFilter, noLocal, retainAsPublished, retainHandling } = request;
  const record = { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier: identifier };
  const verdict = authorize(context, client, { action: 'subscribe', topic: parsed.filter, qos, retain: false });
  if (verdict instanceof Promise)
    return verdict.then((late) => afterRights(connection, record, parsed, late, replayed));
  return afterRights(connection, record, parsed, verdict, replayed);
}

/** Adds the subscription unless it was refused. (Five arguments: what stays while a hook is asked.) */
function afterRights(
  connection: Connection,
  record: SubscriptionRecord,
  parsed: ParsedTopicFilter,
  refusal: Refusal | undefined,
  replayed: SubscriptionRecord[],
): Qos | Refusal {
  const { context } = connection;
  if (refusal !== undefined) {
    // A hook may name a code SUBACK does not have [MQTT-3.9.3-2].
    const isKnown = isSubscribeRefusal(refusal.reasonCode);
    return { ...refusal, reasonCode: isKnown ? refusal.reasonCode : ReasonCode.implementationSpecificError };
  }
  if (connection.state !== 'connected') return { reasonCode: ReasonCode.unspecifiedError };
  const { topicFilter, qos, retainHandling } = record;
  const isNew = context.registry.subscribe(connection.session as Session, record, parsed);
  context.events.emit('subscribed', connection.client as ClientInfo, topicFilter, qos);
  // [MQTT-3.3.1-9..-11] by Retain Handling; never for shared subscriptions
  if (parsed.shareName === '' && (retainHandling === 0 || (retainHandling === 1 && isNew))) replayed.push(record);
  return qos;
}

/** A switch that is off, or a limit that is reached. */
function unavailableFor(
  connection: Connection,
  request: SubscriptionRequest,
  filter: string,
  shared: boolean,
): Refusal | undefined {
  const { settings, session, writePath, guard, clock } = connection.context;
  if (shared && !settings.sharedSubscriptionAvailable) {
    return {
      reasonCode: ReasonCode.sharedSubscriptionsNotSupported,
      reasonString: 'shared subscriptions are turned off',
    };
  }
  if (!settings.wildcardSubscriptionAvailable && /[+#]/.test(filter)) {
    return { reasonCode: ReasonCode.wildcardSubscriptionsNotSupported, reasonString: 'wildcards are turned off' };
  }
  const { subscriptions, durable } = connection.session as Session;
  // Whether it is a new one is looked up only where it matters.
  if (durable && writePath.full && !subscriptions.has(request.topicFilter)) {
    return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'the store has no room' };
  }
  guard.memory?.look(clock.now());
  if (guard.memory?.sheds('subscriptions') === true && !subscriptions.has(request.topicFilter)) {
    guard.memory.refusesSubscription();
    return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'limits.memoryBytesMax is nearly reached' };
  }
  const { subscriptionsPerSessionMax, topicLevelsMax } = session.settings;
  if (subscriptions.size >= subscriptionsPerSessionMax && !subscriptions.has(request.topicFilter)) {
    guard.counters.count('subscriptions-per-session');
    return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'limits.subscriptionsPerSessionMax is reached' };
  }
  if (filter.length >= topicLevelsMax && topicLevels(filter) > topicLevelsMax) {
    guard.counters.count('topic-levels');
    return { reasonCode: ReasonCode.topicFilterInvalid, reasonString: 'it has more levels than limits.topicLevelsMax' };
  }
  return undefined;
}

/** Logs a refusal. @returns it in words, for SUBACK. */
function explain(connection: Connection, request: SubscriptionRequest, refusal: Refusal): string {
  const { client, context } = connection;
  const { reasonCode, reasonString = 'not authorized', explanation = reasonString } = refusal;
  const { topicFilter } = request;
  context.logger.warn('subscription refused', {
    client: client?.clientId,
    filter: topicFilter,
    reasonCode,
    reason: explanation,
  });
  return `${topicFilter}: ${reasonString}`;
}

function replay(connection: Connection, records: readonly SubscriptionRecord[]): void {
  const { context } = connection;
  const source = { retained: context.retained.trie, subscriptions: context.registry.subscriptions };
  replayRetained(context.session, source, connection.session as Session, records);
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
