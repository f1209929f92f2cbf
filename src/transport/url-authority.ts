/** The host and port as they stand in a URL; an IPv6 address goes in brackets. */
export function urlAuthority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
