import type { Refusal } from '../hooks/hooks.ts';
import type { LimitReason } from '../limits/limit-counters.ts';
import type { RefusedPeer } from '../limits/guard.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Handshake } from './handshake.ts';

/** A step of the handshake, before anything is spent on finding out who it is: bans, and whether there is memory. */
export function admitClaimed(handshake: Handshake): Refusal | undefined {
  const { connection, client } = handshake;
  const { guard, registry } = connection.context;
  // Whoever takes over or comes back has its memory already, and what waits for it comes free by its acknowledgements only.
  if (registry.get(client.clientId) === undefined && guard.memory?.refusesConnection() === true) {
    tell(handshake, 'memory-connections');
    return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'limits.memoryBytesMax is nearly reached' };
  }
  return refusalOfBan(handshake);
}

/** Refuses a client id or user name that is banned. Asked again when it counts, as bans may come in between. */
export function refusalOfBan(handshake: Handshake): Refusal | undefined {
  const { clientId, username } = handshake.client;
  const { bans } = handshake.connection.context.guard;
  if (bans.size === 0) return undefined;
  const ban = bans.refuse('client', clientId) ?? (username === '' ? undefined : bans.refuse('user', username));
  if (ban === undefined) return undefined;
  tell(handshake, ban.kind === 'user' ? 'banned-user' : 'banned-client', { ban });
  return { reasonCode: ReasonCode.banned, reasonString: 'banned' };
}

/** A step of the handshake, once it is known who it is: bans, flapping, connections of the user. */
export function admitProven(handshake: Handshake): Refusal | undefined {
  const { connection, client } = handshake;
  const { guard, connections } = connection.context;
  const username = provenName(handshake);
  const banned = refusalOfBan(handshake);
  if (banned !== undefined) return banned;
  if (username !== '' && guard.refusesClient(username, client.clientId)) {
    tell(handshake, 'flapping-client', { username });
    return { reasonCode: ReasonCode.banned, reasonString: 'it has connected too often: try again later' };
  }
  const takesOver = connections.owner(client.clientId)?.client?.username === username;
  const reason = connection.admission.admitUser(username, takesOver);
  if (reason === undefined) return undefined;
  tell(handshake, reason, { username });
  return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'limits.connectionsPerUserMax is reached' };
}

/** A user name that nobody has asked for a proof of could be anybody's: it counts for nothing. */
function provenName({ connection, client }: Handshake): string {
  const isProven = connection.authenticationMethod !== '' || connection.context.hooks.authenticate !== undefined;
  return isProven ? client.username : '';
}

function tell({ connection, client }: Handshake, reason: LimitReason, known: Partial<RefusedPeer> = {}): void {
  const { clientId, remoteAddress } = client;
  connection.context.guard.tell(reason, { client: clientId, remote: remoteAddress, ...known });
}

/** Counts and logs a limit that refuses the client. */
export function tellLimit(handshake: Handshake, reason: LimitReason): void {
  tell(handshake, handshake.connection.context.guard.counters.count(reason));
}
