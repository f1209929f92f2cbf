import type { ClientInfo } from '../hooks/hooks.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { parseTopicFilter } from '../protocol/topic.ts';
import type { Session } from '../session/session.ts';
import type { Connection } from './connection.ts';
import type { ConnectionContext } from './context.ts';
import { inTurns } from './in-turns.ts';

/**
 * Looks anew at what a client may have by the access rules, where its session comes from before, or the rules have changed:
 * subscriptions that it may not have end, and what waits for it or is in flight goes out as far as it may have it.
 */
export function reviewRights(connection: Connection): void {
  const { context } = connection;
  const { access, registry, logger, events } = context;
  const session = connection.session as Session;
  const client = connection.client as ClientInfo;
  if (access === undefined) return;
  session.mayReceive = (topicName) => access.mayReceive(client, topicName);
  for (const { topicFilter, qos } of [...session.subscriptions.values()]) {
    const topic = parseTopicFilter(topicFilter)?.filter ?? topicFilter;
    const refusal = access.refusalOf(client, { action: 'subscribe', topic, qos, retain: false });
    if (refusal === undefined) continue;
    registry.unsubscribe(session, topicFilter);
    const { reasonCode, reasonString, explanation = reasonString } = refusal;
    const fields = { client: client.clientId, filter: topicFilter, reasonCode, reason: explanation };
    logger.warn('a subscription ended that is not allowed any more', fields);
    events.emit('unsubscribed', client, topicFilter);
  }
}

/**
 * Looks anew at the rights of all clients that have a session, and ends the connections of those nobody knows any more.
 * @returns when all have been looked at.
 */
export async function reviewAll({
  connections,
  clock,
  isKnown,
}: Pick<ConnectionContext, 'connections' | 'clock' | 'isKnown'>): Promise<void> {
  await inTurns(connections, clock, (connection) => {
    const { client } = connection;
    // Those that are on their way to a session are looked at when they get it.
    if (client === undefined) return;
    if (isKnown(client)) reviewRights(connection);
    else connection.close(ReasonCode.notAuthorized, 'the user is not known any more');
  });
}
