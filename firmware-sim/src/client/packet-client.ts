import type { Timers } from '../lib/timers.ts';
import type { LinkFactory } from '../wire/link.ts';
import type { Client, ClientEnd, ClientFactory, ClientHandler, ConnectOptions } from './client.ts';
import { newAcknowledgements, PacketConnection, type PacketContext } from './packet-connection.ts';
import { PacketDecoder } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import { ReceivedIds } from './received-ids.ts';
import { type ClientConnection, type ClientState, type ConnectionMaker, SessionClient } from './session-client.ts';

/** Makes clients of the simulator's own kind, on mqtt-packet; what they share is kept here. One per thread. */
export class PacketClients implements ClientFactory, ConnectionMaker<ReceivedIds> {
  readonly #context: PacketContext;

  constructor(timers: Timers, links: LinkFactory) {
    this.#context = {
      timers,
      links,
      writer: new PacketWriter(),
      decoder: new PacketDecoder(),
      acknowledgements: newAcknowledgements(),
    };
  }

  create(handler: ClientHandler, options: { readonly window: number }): Client {
    return new SessionClient(handler, options.window, new ReceivedIds(), this);
  }

  make(client: ClientState<ReceivedIds>, options: ConnectOptions, onOver: (end: ClientEnd) => void): ClientConnection {
    return new PacketConnection(this.#context, client, options, onOver);
  }
}
