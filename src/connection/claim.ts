import type { Awaitable, Hooks, Refusal } from '../hooks/hooks.ts';
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
  const refusal = refusalOfOwner(handshake);
  if (refusal !== undefined) return refusal;
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
  return refusalOfOwner(handshake);
}

/**
 * Refuses who is not the identity that opened the session of its client id, as far as identities are proven at all. Asked
 * again when it counts, as another client may have opened one meanwhile.
 */
export function refusalOfOwner({ connection, client }: Handshake): Refusal | undefined {
  const { hooks, registry } = connection.context;
  if (!provesIdentities(hooks)) return undefined;
  const owner = registry.get(client.clientId)?.username ?? UNCLAIMED;
  return owner === client.username || owner === UNCLAIMED ? undefined : OWNED;
}

/** Whose the session is that a client opens: nobody's where nobody proves who it is, so that none is lost when that begins. */
export function ownerOf({ connection, client }: Handshake): string {
  return provesIdentities(connection.context.hooks) ? client.username : UNCLAIMED;
}

/** Whether clients prove who they are, so that a client id belongs to a user. */
export function provesIdentities(hooks: Hooks): boolean {
  return hooks.authenticate !== undefined || hooks.startAuthExchange !== undefined;
}

/** Whether the store would have to keep something new. A client that comes back for its queue always may. */
function needsRoom({ connection, packet, client, sessionExpiryInterval }: Handshake): boolean {
  const isNew = packet.cleanStart || connection.context.registry.get(client.clientId) === undefined;
  return packet.will !== undefined || (isNew && sessionExpiryInterval > 0);
}
