import { type OpenWire, openTcp } from './fuzz-wire.ts';
import { openTls } from './tls-wire.ts';
import { webSocketOver } from './web-socket-wire.ts';

/** A way to come to the broker. */
export interface FuzzTransport {
  /** For `--transport` and for reports. */
  readonly name: string;
  /** With what the URL of its listener begins. */
  readonly scheme: string;
  readonly open: OpenWire;
}

/** All transports there are; a further one is a further entry. */
export const FUZZ_TRANSPORTS: readonly FuzzTransport[] = [
  { name: 'tcp', scheme: 'mqtt:', open: openTcp },
  { name: 'ws', scheme: 'ws:', open: webSocketOver(openTcp) },
  { name: 'tls', scheme: 'mqtts:', open: openTls('mqtt') },
  { name: 'wss', scheme: 'wss:', open: webSocketOver(openTls('http/1.1')) },
];
