/** OpenSSL's own short reason of an error, such as `no shared cipher`; its whole message names places in its sources. */
export function tlsReason(error: unknown): string | undefined {
  const { message, reason } = error as Error & { reason?: string };
  return reason ?? /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1];
}
