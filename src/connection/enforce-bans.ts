import { hostOf } from '../lib/ip-address.ts';
import type { Ban } from '../limits/ban-lines.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection } from './connection.ts';
import type { ConnectionContext } from './context.ts';
import { inTurns } from './in-turns.ts';

/** The address of a peer without its port, as limits and bans know it; empty where it has none, as on a Unix socket. */
export function addressOf({ transport, remoteAddress }: Pick<ByteStream, 'transport' | 'remoteAddress'>): string {
  return transport === 'unix' ? '' : hostOf(remoteAddress);
}

/** Ends the connections of all who are banned now. @returns how many, when all have been looked at. */
export async function enforceBans({
  connections,
  clock,
  guard,
}: Pick<ConnectionContext, 'connections' | 'clock' | 'guard'>): Promise<number> {
  let ended = 0;
  if (guard.bans.size === 0) return ended;
  await inTurns(connections, clock, (connection) => {
    const ban = banOf(connection);
    if (ban === undefined) return;
    ended += 1;
    const { client, stream } = connection;
    const fields = { client: client?.clientId, remote: stream.remoteAddress, ban: ban.reason };
    connection.context.logger.warn(`a connection ends, as its ${ban.kind} is banned`, fields);
    // DISCONNECT has no 0x8A.
    const reasonCode = connection.state === 'connected' ? ReasonCode.administrativeAction : ReasonCode.banned;
    connection.close(reasonCode, 'banned', undefined, 'banned');
  });
  return ended;
}

/** What bans a connection; who has not said yet who it is is known by its address alone. */
function banOf({ client, context, stream }: Connection): Ban | undefined {
  const { bans } = context.guard;
  const byAddress = bans.findAddress(addressOf(stream));
  if (byAddress !== undefined || client === undefined) return byAddress;
  return bans.find('client', client.clientId) ?? bans.find('user', client.username);
}
