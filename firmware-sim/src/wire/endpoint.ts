import { nearest } from '../lib/nearest.ts';

/** Where a broker listens, and how to speak to it. */
export interface Endpoint {
  readonly transport: 'tcp' | 'tls' | 'ws' | 'wss';
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** Of the WebSocket handshake; `/mqtt` unless the URL names one. */
  readonly path: string;
  readonly tls?: TlsOptions;
}

/** What a TLS connection needs; PEM texts, read from their files when the scenario was loaded. */
export interface TlsOptions {
  /** Certificates of authorities to trust in place of the system's. */
  readonly ca?: string;
  /** The client's certificate and its key, for brokers that ask for one. */
  readonly cert?: string;
  readonly key?: string;
  readonly passphrase?: string;
  /** False accepts any certificate of the broker. */
  readonly verify: boolean;
}

/** An endpoint as a URL names it, with who to be there. */
export interface ParsedEndpoint extends Endpoint {
  readonly username?: string;
  readonly password?: string;
}

const schemes: ReadonlyMap<string, { readonly transport: Endpoint['transport']; readonly port: number }> = new Map([
  ['mqtt', { transport: 'tcp', port: 1883 }],
  ['tcp', { transport: 'tcp', port: 1883 }],
  ['mqtts', { transport: 'tls', port: 8883 }],
  ['ssl', { transport: 'tls', port: 8883 }],
  ['tls', { transport: 'tls', port: 8883 }],
  ['ws', { transport: 'ws', port: 8083 }],
  ['wss', { transport: 'wss', port: 8084 }],
]);

const shownScheme: Readonly<Record<Endpoint['transport'], string>> = {
  tcp: 'mqtt',
  tls: 'mqtts',
  ws: 'ws',
  wss: 'wss',
};

const schemeNames = 'mqtt://, mqtts://, ws:// or wss://';

/**
 * Reads the URL of a broker: `mqtt://user:password@host:1883`, `wss://host/mqtt`.
 * @param tls of the two TLS transports; absent trusts what the system trusts.
 * @throws Error with one sentence for people that says what is wrong with the URL; it never shows a password.
 */
export function parseEndpoint(url: string, tls: TlsOptions = { verify: true }): ParsedEndpoint {
  const { scheme, rest } = splitScheme(url.trim());
  const known = schemes.get(scheme);
  if (known === undefined) throw new Error(unknownScheme(scheme));
  const parsed = parseRest(rest, scheme);
  const { transport } = known;
  const isWebSocket = transport === 'ws' || transport === 'wss';
  const path = parsed.pathname + parsed.search;
  if (!isWebSocket && path !== '' && path !== '/') {
    throw new Error(`The broker's URL has the path '${path}', which only ws:// and wss:// can have.`);
  }
  if (parsed.hash !== '') throw new Error("The broker's URL must not have a part behind '#'.");
  const port = parsed.port === '' ? known.port : Number(parsed.port);
  if (port === 0) throw new Error("The broker's URL has port 0; ports go from 1 to 65535.");
  return {
    transport,
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port,
    path: isWebSocket && path !== '' && path !== '/' ? path : '/mqtt',
    ...(transport === 'tls' || transport === 'wss' ? { tls } : {}),
    ...(parsed.username === '' ? {} : { username: decode(parsed.username, 'user name') }),
    ...(parsed.password === '' ? {} : { password: decode(parsed.password, 'password') }),
  };
}

/** The URL of an endpoint, without user and password. */
export function endpointUrl(endpoint: Endpoint): string {
  const { transport, host, port, path } = endpoint;
  const address = `${shownScheme[transport]}://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return transport === 'ws' || transport === 'wss' ? address + path : address;
}

/** Whether the endpoint is on this machine, so that all of 127.0.0.0/8 may connect to it. */
export function isLoopback(endpoint: Endpoint): boolean {
  return endpoint.host === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(endpoint.host);
}

function splitScheme(url: string): { scheme: string; rest: string } {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(url);
  if (match === null) {
    throw new Error(`The broker's URL must begin with ${schemeNames}, as in mqtt://127.0.0.1:1883.`);
  }
  return { scheme: (match[1] as string).toLowerCase(), rest: match[2] as string };
}

function unknownScheme(scheme: string): string {
  const meant = nearest(scheme, schemes.keys());
  const hint = meant === undefined ? `It must be ${schemeNames}.` : `Did you mean ${meant}://?`;
  return `The broker's URL begins with '${scheme}://', which is no way to speak MQTT. ${hint}`;
}

/** Read as if of a scheme of its own: of ws:// the URL class would forget a port 80 that was named. */
function parseRest(rest: string, scheme: string): URL {
  const example = `${scheme}://host:${schemes.get(scheme)?.port}`;
  let parsed: URL;
  try {
    parsed = new URL(`mqtt://${rest}`);
  } catch {
    throw new Error(`The broker's URL cannot be read: host or port is wrong; it should be like ${example}.`);
  }
  if (parsed.hostname === '') throw new Error(`The broker's URL names no host; it should be like ${example}.`);
  return parsed;
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error(`The ${what} in the broker's URL has a '%' that begins no escape; write it as %25.`);
  }
}
