import { createSecureContext, type SecureContext } from 'node:tls';
import type { Random } from '../lib/random.ts';
import type { Timers } from '../lib/timers.ts';
import { type Endpoint, isLoopback, type TlsOptions } from './endpoint.ts';
import type { Link, LinkFactory, LinkHandler } from './link.ts';
import { type LinkContext, NetLink } from './net-link.ts';
import type { NetworkPath } from './network-path.ts';
import { DevicePath, hasEvents, isShaped } from './paths.ts';

const readBufferBytes = 64 * 1024;

const systemTrust: TlsOptions = { verify: true };

/** Opens real connections: TCP, TLS and WebSocket, each through the network of its device. */
export class Links implements LinkFactory {
  readonly #random: Random;
  readonly #localAddress: string | undefined;
  readonly #secureContexts = new WeakMap<TlsOptions, SecureContext>();
  readonly #lingering = new Set<NetLink>();
  readonly #context: LinkContext;
  /** Links that were written to in this turn, each once. */
  #unflushed: NetLink[] = [];
  readonly #flushAll = (): void => {
    const links = this.#unflushed;
    this.#unflushed = [];
    for (const link of links) link.flush();
  };

  /**
   * @param random for networks that bring no randomness of their own (those that are no {@link DevicePath}).
   * @param localAddress where connections within this machine come from, unless a path says otherwise. One address
   * has some 28,000 ports, so threads that have more devices together need one each: 127.0.0.1, 127.0.0.2 ...
   */
  constructor(timers: Timers, random: Random, localAddress?: string) {
    this.#random = random;
    this.#localAddress = localAddress;
    this.#context = {
      timers,
      // Windows reads ahead, so that there each socket needs a buffer of its own.
      readBuffer: process.platform === 'win32' ? undefined : Buffer.allocUnsafeSlow(readBufferBytes),
      secureContext: (endpoint) => this.#secureContext(endpoint),
      flushLater: (link) => this.#flushLater(link),
      lingering: this.#lingering,
      isHealed: false,
    };
  }

  /** Half-open connections that nobody holds any more. */
  get lingering(): number {
    return this.#lingering.size;
  }

  open(endpoint: Endpoint, path: NetworkPath, handler: LinkHandler): Link {
    const { profile } = path;
    const shaped = isShaped(profile);
    const devicePath = shaped || hasEvents(profile) ? this.#devicePath(path) : undefined;
    const localAddress = path.localAddress ?? (isLoopback(endpoint) ? this.#localAddress : undefined);
    const shaping = shaped ? devicePath : undefined;
    return new NetLink(this.#context, { endpoint, localAddress, shaping }, devicePath, handler);
  }

  /** Ends cuts and hand-overs at times of the networks' own, so that what is owed can come. Slow networks stay slow. */
  heal(): void {
    this.#context.isHealed = true;
  }

  /** Closes what lingers half open, for the end of a run. */
  close(): void {
    for (const link of this.#lingering) link.close();
  }

  #devicePath(path: NetworkPath): DevicePath {
    return path instanceof DevicePath ? path : new DevicePath(path.profile, this.#random, path.localAddress);
  }

  #flushLater(link: NetLink): void {
    if (this.#unflushed.push(link) === 1) setImmediate(this.#flushAll);
  }

  #secureContext(endpoint: Endpoint): SecureContext {
    const tls = endpoint.tls ?? systemTrust;
    let context = this.#secureContexts.get(tls);
    if (context === undefined) {
      context = createSecureContext({ ca: tls.ca, cert: tls.cert, key: tls.key, passphrase: tls.passphrase });
      this.#secureContexts.set(tls, context);
    }
    return context;
  }
}
