import type { ClientInfo } from '../hooks/hooks.ts';

/** What is known of a client by its id, its user name and what was kept of its identity. */
export interface KeptIdentity {
  readonly clientId: string;
  readonly username: string;
  readonly identity?: string;
}

/**
 * What was proven of a client beyond its user name, to be kept with what may have to be done in its name when it is gone.
 * @returns undefined for nothing.
 */
export function identityOf({ certificate, roles, claims, grants, provenBy }: ClientInfo): string | undefined {
  const parts = { certificate, roles, claims, grants, provenBy };
  return Object.values(parts).every((part) => part === undefined) ? undefined : JSON.stringify(parts);
}

/** The client of a kept identity, as access rules and hooks see it; it has no connection. */
export function clientOf({ clientId, username, identity }: KeptIdentity): ClientInfo {
  const parts = identity === undefined ? {} : (JSON.parse(identity) as Partial<ClientInfo>);
  return { ...parts, clientId, username, protocolVersion: 5, remoteAddress: '', transport: '' };
}
