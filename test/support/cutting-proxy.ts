import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { endRelay } from './relay-end.ts';

const HOST = '127.0.0.1';

/** What flows through a proxy: requests to the server, replies to the client. */
export type Direction = 'requests' | 'replies';

/** A cut that is armed: what is left of `bytes` is passed, then the connection it ran out on is cut. */
interface Cut {
  bytes: number;
  onCut: (link: Link) => void;
}

/** One connection of a client, and the one to the server that belongs to it. */
interface Link {
  client: Socket;
  server: Socket;
  isCut: boolean;
  /** Whether the handler of replies has seen the chunk that comes next: it waits since the handler blocked it. */
  isShown: boolean;
}

/**
 * A TCP proxy in front of a port of loopback that breaks connections at exact bytes, or keeps them open and passes
 * nothing. What was passed to the server before a cut reaches it for certain, and is executed. Use it with `await using`,
 * or stop it.
 */
export class CuttingProxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #cuts = new Map<Direction, Cut>();
  readonly #blocked = new Set<Direction>();
  readonly #passed: Record<Direction, number> = { requests: 0, replies: 0 };
  #onReply: ((chunk: Buffer) => void) | undefined;

  private constructor(targetPort: number) {
    // A client that has ended its side still gets its replies.
    const options = { allowHalfOpen: true, noDelay: true };
    this.#server = createServer(options, (client) => {
      const server = connect({ host: HOST, port: targetPort, ...options });
      const link: Link = { client, server, isCut: false, isShown: false };
      this.#links.add(link);
      this.#relay('requests', link);
      this.#relay('replies', link);
    });
  }

  /** Opens a proxy in front of this port of 127.0.0.1, which need not be listened on. */
  static async start(targetPort: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort);
    proxy.#server.listen(0, HOST);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** Where it listens on 127.0.0.1. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open and were not cut. */
  get connections(): number {
    return [...this.#links].filter(({ isCut, client }) => !isCut && !client.closed).length;
  }

  /** Bytes of requests that were passed to the server, over all connections since the start. */
  get requestBytes(): number {
    return this.#passed.requests;
  }

  /** Bytes of replies that were passed to clients, over all connections since the start. */
  get replyBytes(): number {
    return this.#passed.replies;
  }

  /**
   * Cuts the connection on which the n-th byte of replies from now on, counted over all connections, is passed: the client
   * gets that byte and no more. With 0 the next reply is cut off whole. It happens once; a second call replaces the first.
   * @returns what resolves when both sides are closed, so the server has executed all that was passed to it.
   */
  cutAfterReplyBytes(n: number): Promise<void> {
    return this.#cutAfter('replies', n);
  }

  /** The same for the n-th byte of requests, which the server gets; replies that are still due to the client are lost. */
  cutAfterRequestBytes(n: number): Promise<void> {
    return this.#cutAfter('requests', n);
  }

  /**
   * Passes nothing more that way, on connections open or new, while they stay open on both sides. What is sent meanwhile
   * is on its way, as in a network that does not forward: it arrives after `unblock`, even if its sender is gone.
   */
  block(what: Direction | 'both'): void {
    if (what !== 'replies') this.#blocked.add('requests');
    if (what !== 'requests') this.#blocked.add('replies');
    for (const link of this.#links) this.#flow(link);
  }

  /** Passes everything again, first what waited. */
  unblock(): void {
    this.#blocked.clear();
    for (const link of this.#links) this.#flow(link);
  }

  /** Shows every chunk of replies to the handler before it is passed, so that it may block or cut; one handler at a time. */
  onReply(handler: (chunk: Buffer) => void): void {
    this.#onReply = handler;
  }

  /** Cuts all connections now. What was not passed yet is lost. */
  cutAll(): void {
    for (const link of this.#links) this.#cut(link);
  }

  /** Closes everything. */
  stop(): Promise<void> {
    return endRelay(this.#server, this.#links);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #cutAfter(direction: Direction, bytes: number): Promise<void> {
    return new Promise((resolve) => {
      const onCut = ({ client, server }: Link): void => {
        void Promise.all([client, server].map(closed)).then(() => resolve());
      };
      this.#cuts.set(direction, { bytes, onCut });
    });
  }

  #relay(direction: Direction, link: Link): void {
    const [from, to] = ends(direction, link);
    from.on('data', (chunk: Buffer) => {
      if (!link.isCut) this.#pass(direction, link, chunk);
    });
    from.on('end', () => to.end());
    // Every error is followed by a close.
    from.on('error', () => undefined);
    from.on('close', () => this.#flow(link));
    to.on('drain', () => this.#flow(link));
    this.#flow(link);
  }

  #pass(direction: Direction, link: Link, chunk: Buffer): void {
    const [from, to] = ends(direction, link);
    if (direction === 'replies' && !link.isShown) {
      link.isShown = true;
      this.#onReply?.(chunk);
      if (this.#blocked.has('replies')) from.unshift(chunk);
      if (link.isCut || this.#blocked.has('replies')) return;
    }
    link.isShown = false;
    const cut = this.#cuts.get(direction);
    const part = cut === undefined ? chunk : chunk.subarray(0, cut.bytes);
    this.#passed[direction] += part.length;
    if (!to.write(part)) this.#flow(link);
    if (cut === undefined) return;
    cut.bytes -= part.length;
    if (cut.bytes > 0) return;
    this.#cuts.delete(direction);
    this.#cut(link);
    cut.onCut(link);
  }

  /** Lets each side be read while what it sends may pass and is taken, and tells of its close where that may pass. */
  #flow(link: Link): void {
    const { client, server } = link;
    for (const direction of ['requests', 'replies'] as const) {
      const [from, to] = ends(direction, link);
      const mayPass = link.isCut || !this.#blocked.has(direction);
      if (mayPass && !to.writableNeedDrain) from.resume();
      else from.pause();
    }
    // The server's side is only ended, and read to its end: a reset would make the server drop requests.
    if (client.closed && !this.#blocked.has('requests')) server.end();
    if (server.closed && !this.#blocked.has('replies')) client.destroySoon();
    if (client.closed && server.closed) this.#links.delete(link);
  }

  /** Ends both sides after what was passed, however they are blocked. */
  #cut(link: Link): void {
    link.isCut = true;
    link.client.destroySoon();
    link.server.end();
    this.#flow(link);
  }
}

/** Where the bytes of a direction come from and go to. */
function ends(direction: Direction, { client, server }: Link): [from: Socket, to: Socket] {
  return direction === 'requests' ? [client, server] : [server, client];
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}
