import type { Awaitable, Refusal } from '../hooks/hooks.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { UNCLAIMED } from '../store/store.ts';
import type { Connection } from './connection.ts';
import type { Handshake } from './handshake.ts';

const OWNED: Refusal = {
  reasonCode: ReasonCode.notAuthorized,
  reasonString: 'the session of this client id belongs to another user',
};

/** A step of the handshake: makes this node the one that has the client id, where the client may have it. */
export function claimClientId(handshake: Handshake): Awaitable<Refusal | undefined> {
  const { connection, client } = handshake;
  const { context } = connection;
  if (context.writePath.full && needsRoom(handshake)) {
    return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'the store has no room for a session or a will' };
  }
  if (belongsToAnother(handshake)) return OWNED;
  const epoch = context.clientIds.claim(client.clientId, client.username);
  if (epoch instanceof Promise) return epoch.then((late) => takeEpoch(handshake, late));
  return takeEpoch(handshake, epoch);
}

/** Tells the node that nothing more becomes of the claim of a connection than has. */
export function settleClaim(connection: Connection): void {
  const { claimed } = connection;
  if (claimed === undefined) return;
  connection.claimed = undefined;
  connection.context.clientIds.settle(claimed);
}

function takeEpoch(handshake: Handshake, epoch: number | undefined): Refusal | undefined {
  if (epoch === undefined) return OWNED;
  const { connection, client } = handshake;
  connection.claimed = client.clientId;
  connection.epoch = epoch;
  if (connection.isOver) settleClaim(connection);
  // A session that was another node's is known only now.
  return belongsToAnother(handshake) ? OWNED : undefined;
}

/** A client id belongs to the identity that opened its session, as far as identities are proven at all. */
function belongsToAnother({ connection, client }: Handshake): boolean {
  const { hooks, registry } = connection.context;
  if (hooks.authenticate === undefined && hooks.startAuthExchange === undefined) return false;
  const session = registry.get(client.clientId);
  return session !== undefined && session.username !== client.username && session.username !== UNCLAIMED;
}

/** Whether the store would have to keep something new. A client that comes back for its queue always may. */
function needsRoom({ connection, packet, client, sessionExpiryInterval }: Handshake): boolean {
  const isNew = packet.cleanStart || connection.context.registry.get(client.clientId) === undefined;
  return packet.will !== undefined || (isNew && sessionExpiryInterval > 0);
}
