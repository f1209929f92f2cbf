import { expect } from 'vitest';
import type { ConnackPacket, ProtocolVersion } from '../../src/protocol/packets.ts';
import { openTcp } from '../support/client-socket.ts';
import type { RawConnectOptions } from '../support/connect-packet.ts';
import type { Nodes } from '../support/nodes.ts';
import { until } from '../support/polling.ts';
import { RawClient } from '../support/raw-client.ts';

/** Session Expiry Interval of sessions that are to outlive their connection, seconds. */
export const HOUR = 3600;

/** How a client of a node connects. */
export interface NodeConnectOptions extends RawConnectOptions {
  /** 5 by default. */
  version?: ProtocolVersion;
  /** Session Expiry Interval, seconds, MQTT 5.0; 0 by default. */
  expiry?: number;
}

/** A client that was accepted. */
export type NodeClient = RawClient & { connack: ConnackPacket };

/** The clients of a test at several nodes; what they were sent against the rules is asserted when they are closed. */
export class NodeClients {
  readonly #nodes: Nodes;
  readonly #clients: RawClient[] = [];
  #passed = 0;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  /** A client at a node, accepted; the index counts round where there are fewer nodes. @throws Error when it is refused. */
  async connect(index: number, name: string, options: NodeConnectOptions = {}): Promise<NodeClient> {
    const { version = 5, expiry, properties, ...others } = options;
    const client = new RawClient(name, version);
    this.#clients.push(client);
    client.attach(await openTcp('127.0.0.1', this.#nodes.portOf(index % this.#nodes.count), client));
    const added = expiry === undefined ? {} : { sessionExpiryInterval: expiry };
    const connack = await client.connect({ ...others, properties: { ...properties, ...added } });
    return Object.assign(client, { connack });
  }

  /** A client whose session goes on, at a node: Clean Start 0, for an hour. */
  async resume(index: number, name: string, options: NodeConnectOptions = {}): Promise<NodeClient> {
    return await this.connect(index, name, { cleanStart: false, expiry: HOUR, ...options });
  }

  /** Waits until at least so many seconds are over for the nodes: a session that was given them has ended. */
  async pass(seconds: number): Promise<void> {
    this.#passed += 1;
    const name = `passes-${this.#passed}`;
    const client = await this.connect(this.#passed, name, { expiry: seconds });
    await client.disconnect();
    const key = `{trellis}:s:${name}`;
    const isGone = async (): Promise<true | undefined> =>
      (await this.#nodes.redis.client().exists(key)) === 0 ? true : undefined;
    await until(`the end of ${name}`, isGone);
  }

  /** Breaks all connections off. */
  close(): void {
    const clients = this.#clients.splice(0);
    for (const client of clients) client.destroy();
    expect(clients.map(({ violation }) => violation).filter((text) => text !== undefined)).toEqual([]);
  }
}
