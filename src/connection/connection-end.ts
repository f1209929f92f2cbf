import { logsInfo } from '../lib/logger.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { settleClaim } from './claim.ts';
import type { Connection } from './connection.ts';
import type { ConnectionState } from './connection-state.ts';
import type { DisconnectReason } from './disconnect-reasons.ts';

/** Refusals that are the doing of the client: what came was wrong, or did not come. */
const FAILURES: ReadonlySet<number> = new Set([
  ReasonCode.unspecifiedError,
  ReasonCode.malformedPacket,
  ReasonCode.protocolError,
  ReasonCode.unsupportedProtocolVersion,
  ReasonCode.clientIdentifierNotValid,
  ReasonCode.badUserNameOrPassword,
  ReasonCode.notAuthorized,
  ReasonCode.badAuthenticationMethod,
  ReasonCode.packetTooLarge,
]);

/**
 * Whether a connection that ended in a state before it was let in counts as failed: what the broker is to blame for (it
 * is full, or too slow) does not, as its clients would be banned for it.
 * @param reasonCode with which it was refused; undefined where the client went.
 */
function isFailure(state: ConnectionState, reasonCode: number | undefined): boolean {
  if (reasonCode === undefined) return state === 'new' || state === 'authenticating';
  return FAILURES.has(reasonCode);
}

/** Why and how a connection ends. */
export interface ConnectionEnd {
  readonly why: DisconnectReason;
  /** Whether its will is dropped. */
  readonly clean: boolean;
  /** For people. */
  readonly reason: string;
  /** What it was ended with; undefined where it is the client who went. */
  readonly reasonCode: number | undefined;
}

/** Gives up all that a connection has a part in; `before` is the state it was in. */
export function letGo(connection: Connection, before: ConnectionState, end: ConnectionEnd): void {
  const { context, client, session, admission } = connection;
  const { connections, registry, wills } = context;
  if (before === 'connected') admission.ended();
  else admission.refused(isFailure(before, end.reasonCode), context.clock.now());
  settleClaim(connection);
  connections.noteAwaited(connection, false);
  if (connection.expiry !== undefined) context.deadlines.cancel(connection.expiry);
  connections.countEnd(end.why);
  if (session !== undefined && client !== undefined) {
    connections.disown(client.clientId, connection);
    if (end.clean) wills.forget(client.clientId); // [MQTT-3.1.2-10], [MQTT-3.14.4-3]
    const lives = registry.disconnect(session);
    if (!end.clean) wills.connectionLost(client.clientId, lives ? session : undefined); // [MQTT-3.1.2-8]
  }
  tellEnd(connection, before === 'connected', end);
  context.scheduler.schedule(connection.outbox);
}

/** Tells log and embedding program. */
function tellEnd(connection: Connection, wasConnected: boolean, { why, reason }: ConnectionEnd): void {
  const { client, stream, context } = connection;
  const { logger, events } = context;
  const ended = wasConnected && client !== undefined;
  if (logsInfo(logger)) {
    const fields = { client: client?.clientId, remote: stream.remoteAddress, reason };
    logger.info(`connection ${ended ? 'ended' : 'refused'}: ${why}`, fields);
  }
  if (ended) {
    if (events.hears('clientDisconnected')) events.emit('clientDisconnected', client, why);
  } else if (events.hears('connectionRefused')) {
    events.emit('connectionRefused', stream.remoteAddress, `${why}: ${reason}`);
  }
}
