import { randomBytes, type X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import { errorText } from '../lib/error-text.ts';
import { FileError } from '../lib/file-error.ts';
import { tlsReason } from '../lib/tls-reason.ts';
import type { PeerIdentity } from './byte-stream.ts';
import { describeCertificate } from './client-certificate.ts';
import type { Handshake } from './handshakes.ts';
import { ignoreError, NO_IDENTITY } from './node-stream.ts';
import { loadTlsCredentials, type TlsCredentials, type TlsOptions } from './tls-credentials.ts';

export type { TlsOptions } from './tls-credentials.ts';

/** Takes a socket that is through with TLS; `handshake.identity` says who it is. */
export type OnSecureSocket = (socket: TLSSocket, handshake: Handshake) => void;

/** What a certificate may be refused for, in OpenSSL's words, and for people. */
const VERIFY_FAULTS: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'its certificate has expired'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet'],
  ['CERT_REVOKED', 'its certificate is revoked'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'its certificate is of an authority that is not trusted here'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'its certificate is of an authority that is not trusted here'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'its certificate is of an authority that is not trusted here'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'its certificate is of an authority that is not trusted here'],
  ['CERT_SIGNATURE_FAILURE', 'its certificate is of an authority that is not trusted here'],
  ['INVALID_PURPOSE', 'its certificate is not one for clients'],
  ['UNABLE_TO_GET_CRL', 'its certificate is of an authority that is not trusted, or has no list of revoked ones, here'],
  ['CRL_HAS_EXPIRED', 'the list of revoked certificates is out of date'],
  ['CRL_NOT_YET_VALID', 'the list of revoked certificates is not valid yet'],
]);

/** Node closes a handshake by itself after this long, in milliseconds: never before the deadline of `Handshakes`. */
const NODE_TIMEOUT_MS = 700_000;

/**
 * Reads the credentials and makes what leads sockets through the handshake of TLS.
 * @param protocol What a client must offer by ALPN if it offers anything.
 * @throws FileError, its sentence as `loadTlsCredentials`.
 */
export async function createTlsGate(options: TlsOptions, protocol: string, onSecure: OnSecureSocket): Promise<TlsGate> {
  return new TlsGate(options, protocol, await load(options), onSecure);
}

async function load(options: TlsOptions): Promise<TlsCredentials> {
  let credentials: TlsCredentials;
  try {
    // Certificates are valid by the clock on the wall, as OpenSSL counts.
    credentials = await loadTlsCredentials(options, Date.now());
  } catch (error) {
    throw new FileError(errorText(error), { cause: error });
  }
  for (const warning of credentials.warnings) options.onWarning?.(warning);
  return credentials;
}

/** Leads accepted sockets through the handshake of TLS: a server of TLS that never listens by itself. */
export class TlsGate {
  readonly #options: TlsOptions;
  readonly #onSecure: OnSecureSocket;
  readonly #server: Server;
  /** By where they are: Node makes the TLS socket by itself, and says nowhere out of which. */
  readonly #handshakes = new Map<string, Handshake>();
  /** Identities whose keys were handed out in handshakes that are not over. */
  readonly #pskIdentities = new WeakMap<Socket, string>();
  #credentials: TlsCredentials;
  /** The latest reload; never rejects. */
  #reloaded: Promise<void> = Promise.resolve();

  constructor(options: TlsOptions, protocol: string, credentials: TlsCredentials, onSecure: OnSecureSocket) {
    this.#options = options;
    this.#onSecure = onSecure;
    this.#credentials = credentials;
    const { clientCertificates = 'none', pskFile } = options;
    const server = createServer({
      ...credentials.context,
      ALPNProtocols: [protocol],
      handshakeTimeout: NODE_TIMEOUT_MS,
      requestCert: clientCertificates !== 'none',
      // `#identityOf` decides: Node would close the socket and not say why.
      rejectUnauthorized: false,
      SNICallback: (name, callback) => callback(null, this.#contextOf(name)),
      ...(pskFile === undefined
        ? {}
        : { pskCallback: (socket: TLSSocket, identity: string) => this.#pskOf(socket, identity) }),
    });
    server.on('secureConnection', (socket) => this.#onSecureConnection(socket));
    server.on('tlsClientError', (error, socket) => this.#onClientError(error, socket));
    this.#server = server;
  }

  /** Begins the handshake of an accepted socket; what was unshifted to it comes first. */
  take(handshake: Handshake): void {
    const { socket } = handshake;
    const key = whereIs(socket);
    if (key === undefined) {
      handshake.refuse('it closed the connection before its handshake was done');
      return;
    }
    this.#handshakes.set(key, handshake);
    socket.on('error', ignoreError);
    socket.once('close', () => {
      if (this.#handshakes.get(key) === handshake) this.#handshakes.delete(key);
    });
    this.#server.emit('connection', socket);
  }

  /** As `SecureListener.reload`. One waits for the other, so that what was read last stays. */
  reload(): Promise<void> {
    const reloading = this.#reloaded.then(() => this.#reload());
    this.#reloaded = reloading.catch(() => {});
    return reloading;
  }

  async #reload(): Promise<void> {
    const credentials = await load(this.#options);
    // Brings new keys for tickets along, so that no session from before is resumed.
    this.#server.setSecureContext(credentials.context);
    this.#credentials = credentials;
  }

  #contextOf(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase();
    const { contexts } = this.#credentials;
    return contexts.get(name) ?? contexts.get(name.replace(/^[^.]+/, '*'));
  }

  #pskOf(socket: TLSSocket, identity: string): Buffer | null {
    const psk = this.#credentials.pskKeys.get(identity);
    if (psk !== undefined) {
      this.#pskIdentities.set(socket, identity);
      return psk;
    }
    this.#pskIdentities.delete(socket);
    if (socket.getProtocol() === 'TLSv1.3' && !isIdentity(identity)) return null;
    // An unknown identity fails as a wrong key does, and nobody learns which there are.
    return randomBytes(32);
  }

  #handshakeOf(socket: Socket): Handshake | undefined {
    const key = whereIs(socket);
    if (key === undefined) return undefined;
    const handshake = this.#handshakes.get(key);
    this.#handshakes.delete(key);
    return handshake;
  }

  #onSecureConnection(socket: TLSSocket): void {
    const handshake = this.#handshakeOf(socket);
    if (handshake === undefined) {
      // It was refused already, or has gone.
      socket.destroy();
      return;
    }
    const identity = this.#identityOf(socket);
    if (typeof identity === 'string') {
      // A list of revoked certificates that cannot be used is not the client's fault.
      if (String(socket.authorizationError).includes('CRL')) handshake.dismiss(identity);
      else handshake.refuse(identity);
      return;
    }
    handshake.identity = identity;
    socket.on('error', destroyAfterError);
    this.#onSecure(socket, handshake);
  }

  /** Who it is, or why it may not be. */
  #identityOf(socket: TLSSocket): PeerIdentity | string {
    const pskIdentity = this.#pskIdentities.get(socket);
    // A key that was handed out may not have been used: then OpenSSL went on with certificates.
    if (pskIdentity !== undefined && isByPsk(socket)) return { pskIdentity };
    const { clientCertificates = 'none' } = this.#options;
    if (clientCertificates === 'none') return NO_IDENTITY;
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return clientCertificates === 'optional' ? NO_IDENTITY : 'it has no certificate';
    if (!socket.authorized) return verifyFault(socket, certificate);
    // In a resumed session OpenSSL does not look at the time again.
    if (Date.parse(certificate.validTo) <= Date.now()) return 'its certificate has expired';
    return { certificate: describeCertificate(certificate) };
  }

  #onClientError(error: Error, socket: TLSSocket): void {
    this.#handshakeOf(socket)?.refuse(handshakeFault(error));
    socket.destroy();
  }
}

/** What tells a connection from all others, the same for a socket and the TLS socket made of it; undefined once it has gone. */
function whereIs(socket: Socket): string | undefined {
  if (socket.remoteAddress === undefined) return undefined;
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}

/**
 * Whether a text that TLS 1.3 offers is meant as the identity of a key. It may be a session that the client would resume, 32
 * random bytes up to the first that is 0, of which Node shows what is text: then the certificate must remain.
 */
function isIdentity(text: string): boolean {
  return text.length >= 4 && !/[\p{Cc}\ufffd]/u.test(text);
}

/** Whether the handshake used a pre-shared key: in TLS 1.3 that looks like a resumed session, and there are no tickets. */
function isByPsk(socket: TLSSocket): boolean {
  return socket.getProtocol() === 'TLSv1.3' ? socket.isSessionReused() : socket.getCipher().name.includes('PSK');
}

/** OpenSSL tells the last fault of several, so the plainest is looked for first. */
function verifyFault(socket: TLSSocket, certificate: X509Certificate): string {
  if (certificate.checkIssued(certificate)) return 'it signed its certificate itself';
  // Node has a text where the types say Error.
  const code = String(socket.authorizationError);
  return VERIFY_FAULTS.get(code) ?? `its certificate does not verify (${code})`;
}

/** Node closes a handshake for a fault of TLS, but tells only of one that comes after it, such as a record that was changed. */
function destroyAfterError(this: TLSSocket, error: Error): void {
  this.destroy(error);
}

function handshakeFault(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return `the TLS handshake failed: ${tlsReason(error) ?? code ?? error.message}`;
}
