/**
 * Where a connection stands. `handshaking` is from CONNECT to CONNACK, `authenticating` the part of it in which AUTH
 * packets are expected; `closing` waits for the peer to read the reason.
 *
 *     new -> handshaking <-> authenticating -> connected -> closing -> closed
 */
export type ConnectionState = 'new' | 'handshaking' | 'authenticating' | 'connected' | 'closing' | 'closed';
