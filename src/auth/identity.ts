import type { ClientInfo } from '../hooks/hooks.ts';

/** What is known of a client by its id, its user name and what was kept of its identity. */
export interface KeptIdentity {
  readonly clientId: string;
  readonly username: string;
  /** What was proven of it beyond these; left out for nothing. */
  readonly identity?: string;
}

/** What of a client is to be kept with what may have to be done in its name when it is gone. */
export function keptOf(client: ClientInfo): KeptIdentity {
  const { clientId, username, certificate, roles, claims, grants, provenBy } = client;
  const parts = { certificate, roles, claims, grants, provenBy };
  if (Object.values(parts).every((part) => part === undefined)) return { clientId, username };
  return { clientId, username, identity: JSON.stringify(parts) };
}

/** The client of a kept identity, as access rules and hooks see it; it has no connection. */
export function clientOf({ clientId, username, identity }: KeptIdentity): ClientInfo {
  const parts = identity === undefined ? {} : (JSON.parse(identity) as Partial<ClientInfo>);
  return { ...parts, clientId, username, protocolVersion: 5, remoteAddress: '', transport: '' };
}
