import { type Endpoint, endpointUrl, parseEndpoint, type TlsOptions } from '../wire/endpoint.ts';

/** A broker's URL, taken apart. */
export interface ParsedUrl {
  readonly endpoint: Endpoint;
  /** Without user name and password. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
}

/** Takes a URL apart; a text says what is wrong with it, without a password. */
export function parseBrokerUrl(text: string, tls: TlsOptions): ParsedUrl | string {
  try {
    const { username, password, ...endpoint } = parseEndpoint(text, tls);
    return {
      endpoint,
      url: endpointUrl(endpoint),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    };
  } catch (error) {
    return (error as Error).message.replace(/\.$/, '');
  }
}

/** True for the transports of MQTT over WebSocket. */
export function isWebsocket({ transport }: Endpoint): boolean {
  return transport === 'ws' || transport === 'wss';
}

/**
 * Where a broker that has its usual MQTT port usually has WebSocket; undefined for other ports, where a guess could
 * meet another broker.
 */
export function usualWebsocket(endpoint: Endpoint): Endpoint | undefined {
  const { transport, port } = endpoint;
  if (transport === 'tcp' && port === 1883) return { ...endpoint, transport: 'ws', port: 8083, path: '/mqtt' };
  if (transport === 'tls' && port === 8883) return { ...endpoint, transport: 'wss', port: 8084, path: '/mqtt' };
  return undefined;
}
