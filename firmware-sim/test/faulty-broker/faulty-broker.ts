import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { BrokerConnection, type BrokerWill, type ConnectionOwner } from './broker-connection.ts';
import type { PlantOptions, Spot } from './planter.ts';
import { Router } from './router.ts';
import type { Session } from './session.ts';

/** What the end of a client's last connection left to be done later. */
interface Aftermath {
  will: BrokerWill | undefined;
  willTimer: NodeJS.Timeout | undefined;
  expiryTimer: NodeJS.Timeout | undefined;
}

/** The longest delay that Node's timers know, ms. */
const delayMaxMs = 2 ** 31 - 1;

/**
 * A small MQTT broker in memory: 3.1, 3.1.1 and 5, all QoS, sessions, retained messages, wills, shared subscriptions.
 * It is right in all of it, except for what it is told to do wrong, which it counts.
 */
export class FaultyBroker implements ConnectionOwner {
  readonly router: Router;
  readonly routesOnRelease: boolean;
  readonly #connections: Map<string, BrokerConnection> = new Map();
  /** All connections, those without CONNECT included. */
  readonly #all: Set<BrokerConnection> = new Set();
  readonly #aftermaths: Map<string, Aftermath> = new Map();
  #server: Server | undefined;
  #port = 0;

  /** @param routesOnRelease see {@link ConnectionOwner.routesOnRelease}. */
  constructor(plants: PlantOptions, routesOnRelease: boolean = false) {
    this.routesOnRelease = routesOnRelease;
    this.router = new Router(plants);
  }

  get port(): number {
    return this.#port;
  }

  /** Listens on loopback: on a free port at first, and then always on the same. */
  async up(): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => {
      const connection = new BrokerConnection(socket, this);
      this.#all.add(connection);
      socket.on('close', () => this.#all.delete(connection));
    });
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Dies as by SIGKILL with all on disk: connections break, no wills, sessions and retained messages stay. */
  async down(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    for (const connection of this.#all) connection.vanish();
    this.#connections.clear();
    server.close();
    await once(server, 'close');
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    await this.down();
    for (const { willTimer, expiryTimer } of this.#aftermaths.values()) {
      clearTimeout(willTimer);
      clearTimeout(expiryTimer);
    }
    this.#aftermaths.clear();
  }

  accept(connection: BrokerConnection): { readonly session: Session; readonly sessionPresent: boolean } {
    const { clientId, cleanStart, expirySeconds } = connection;
    const { router } = this;
    this.#connections.get(clientId)?.takeOver();
    this.#connections.set(clientId, connection);
    const before = router.session(clientId);
    if (before !== undefined && (cleanStart || this.#isForgotten(before))) this.#endSession(before);
    const isThere = router.session(clientId) !== undefined;
    this.#forgetAftermath(clientId);
    const session = router.session(clientId) ?? router.create(clientId, expirySeconds);
    session.expirySeconds = expirySeconds;
    const isInvented = cleanStart && router.planter.draw(['session-invented'], sessionSpot(clientId)) !== undefined;
    return { session, sessionPresent: isThere || isInvented };
  }

  ended(connection: BrokerConnection, isClean: boolean): void {
    const { clientId, session } = connection;
    if (session === undefined || this.#connections.get(clientId) !== connection) return;
    this.#connections.delete(clientId);
    session.detach();
    const will = isClean ? undefined : connection.will;
    if (isClean) this.#onCleanEnd(connection);
    const aftermath: Aftermath = { will, willTimer: undefined, expiryTimer: undefined };
    this.#aftermaths.set(clientId, aftermath);
    if (session.expirySeconds === 0) {
      this.#endSession(session);
      return;
    }
    if (will !== undefined) {
      if (will.delaySeconds === 0) this.#publishWill(clientId);
      else aftermath.willTimer = later(will.delaySeconds, () => this.#publishWill(clientId));
    }
    if (session.expirySeconds !== Number.POSITIVE_INFINITY) {
      aftermath.expiryTimer = later(session.expirySeconds, () => this.#endSession(session));
    }
  }

  /** Whether the broker acts as if it had no such session; only where nobody misses anything else for it. */
  #isForgotten(session: Session): boolean {
    const { clientId } = session;
    if (!session.isIdle || this.#aftermaths.get(clientId)?.will !== undefined) return false;
    return this.router.planter.draw(['session-lost'], sessionSpot(clientId)) !== undefined;
  }

  #endSession(session: Session): void {
    this.router.end(session);
    this.#publishWill(session.clientId);
    this.#forgetAftermath(session.clientId);
  }

  #forgetAftermath(clientId: string): void {
    const aftermath = this.#aftermaths.get(clientId);
    clearTimeout(aftermath?.willTimer);
    clearTimeout(aftermath?.expiryTimer);
    this.#aftermaths.delete(clientId);
  }

  /** Publishes the will of a connection that ended in order, if that is to go wrong. */
  #onCleanEnd({ will }: BrokerConnection): void {
    if (will === undefined) return;
    if (this.router.planter.draw(['clean-will'], willSpot(will)) !== undefined) this.router.route(will.message);
  }

  #publishWill(clientId: string): void {
    const aftermath = this.#aftermaths.get(clientId);
    const will = aftermath?.will;
    if (aftermath === undefined || will === undefined) return;
    aftermath.will = undefined;
    const { message } = will;
    const plant = this.router.planter.draw(['no-will', 'second-will'], willSpot(will));
    if (plant === 'no-will') return;
    this.router.route(message);
    if (plant === 'second-will') this.router.route(message);
  }
}

function sessionSpot(clientId: string): Spot {
  return { clientId, topicName: '', publisherId: clientId, qos: 0 };
}

function willSpot({ message }: BrokerWill): Spot {
  const { topicName, publisherId, qos } = message;
  return { clientId: publisherId, topicName, publisherId, qos };
}

function later(seconds: number, callback: () => void): NodeJS.Timeout {
  return setTimeout(callback, Math.min(delayMaxMs, seconds * 1000));
}
