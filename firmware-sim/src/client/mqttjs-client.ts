import type { Timers } from '../lib/timers.ts';
import type { LinkFactory } from '../wire/link.ts';
import type { Client, ClientEnd, ClientFactory, ClientHandler, ConnectOptions } from './client.ts';
import { MqttjsConnection, type MqttjsContext } from './mqttjs-connection.ts';
import { PacketStores } from './packet-store.ts';
import { type ClientConnection, type ClientState, type ConnectionMaker, SessionClient } from './session-client.ts';

/** Makes clients on MQTT.js, the library that most devices and services in JavaScript use. One per thread. */
export class MqttJsClients implements ClientFactory, ConnectionMaker<PacketStores> {
  readonly #context: MqttjsContext;

  constructor(timers: Timers, links: LinkFactory) {
    this.#context = { timers, links };
  }

  create(handler: ClientHandler, options: { readonly window: number }): Client {
    return new SessionClient(handler, options.window, new PacketStores(), this);
  }

  make(client: ClientState<PacketStores>, options: ConnectOptions, onOver: (end: ClientEnd) => void): ClientConnection {
    return new MqttjsConnection(this.#context, client, options, onOver);
  }
}
