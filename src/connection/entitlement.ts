import type { ClientInfo, Entitlement } from '../hooks/hooks.ts';
import type { Deadline } from '../lib/deadline-heap.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Connection } from './connection.ts';

/** Ends a connection when its credentials expire. */
class CredentialExpiry implements Deadline {
  readonly #connection: Connection;
  at = 0;
  index = -1;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  onDeadline(): void {
    this.#connection.close(ReasonCode.maximumConnectTime, 'the credentials have expired');
  }
}

/** A client with the name and the rights that were proven, and no others. */
export function entitled(client: ClientInfo, username: string | undefined, proven: Entitlement): ClientInfo {
  const { roles, claims, grants, provenBy } = proven;
  const { roles: _roles, claims: _claims, grants: _grants, provenBy: _provenBy, ...unproven } = client;
  return {
    ...unproven,
    ...(username !== undefined && { username }),
    ...(roles !== undefined && { roles }),
    ...(claims !== undefined && { claims }),
    ...(grants !== undefined && { grants }),
    ...(provenBy !== undefined && { provenBy }),
  };
}

/** Has the connection end at a time of day, ms since the epoch; undefined for never. Replaces what was said before. */
export function limitTime(connection: Connection, expiresAt: number | undefined): void {
  const { deadlines, clock } = connection.context;
  if (connection.expiry !== undefined) deadlines.cancel(connection.expiry);
  connection.expiry = undefined;
  if (expiresAt === undefined) return;
  connection.expiry = new CredentialExpiry(connection);
  deadlines.schedule(connection.expiry, clock.now() + expiresAt - clock.calendarNow());
}
