import { createConnection, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { type IConnackPacket, MqttClient, type Packet, ReasonCodes } from 'mqtt';
import { createWebSocketStream, WebSocket } from 'ws';
import type { Address, ClientSettings } from './client-flags.ts';
import { CommandError } from './errors.ts';
import type { PropertyBag } from './properties.ts';
import { type TlsClientOptions, tlsFailure } from './tls-flags.ts';

/** How long the broker may take to close after DISCONNECT, ms. */
const closeTimeoutMs = 3_000;

/** Told to the client library in place of an acknowledgement: the message stays with the broker; nothing is wrong. */
export class NotTaken extends Error {}

/** A client's connection to a broker, with a sentence for whatever can happen to it. */
export class Connection {
  readonly client: MqttClient;
  readonly #settings: ClientSettings;
  /** What the broker or the network said last about why a connection ended. */
  #reason: string | undefined;

  /** Connects, and with `reconnectPeriodMs` above 0 does so again after each loss until `close`. */
  constructor(settings: ClientSettings, reconnectPeriodMs: number) {
    this.#settings = settings;
    const options = { ...settings.options, reconnectPeriod: reconnectPeriodMs };
    this.client = new MqttClient(() => this.#openStream(), options);
    // Also keeps the emitter from throwing; whoever waits looks at the reason.
    this.client.on('error', (error) => {
      if (error instanceof NotTaken) return;
      this.#reason ??= failureSentence(error, settings.address);
    });
    this.client.on('packetreceive', (packet) => this.#onPacket(packet));
    if (settings.debug) {
      this.client.on('packetsend', (packet) => say(`sends ${packetText(packet)}`));
      this.client.on('packetreceive', (packet) => say(`receives ${packetText(packet)}`));
    }
  }

  /** Resolves with the first CONNACK that accepts. @throws CommandError with the reason when there is none. */
  connected(): Promise<IConnackPacket> {
    return new Promise((resolve, reject) => {
      const onClose = (): void => {
        this.client.end(true);
        reject(new CommandError(this.takeReason('The broker closed the connection instead of accepting it.')));
      };
      this.client.once('close', onClose);
      this.client.once('connect', (connack) => {
        this.client.off('close', onClose);
        resolve(connack);
      });
    });
  }

  /** Why the connection ended, and forgets it. */
  takeReason(otherwise: string): string {
    const reason = this.#reason ?? otherwise;
    this.#reason = undefined;
    return reason;
  }

  /** Sends DISCONNECT after all that was published and waits until the connection is closed, for a limited time. */
  close(): Promise<void> {
    const properties = this.#settings.properties.get('disconnect');
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, closeTimeoutMs);
      this.client.end(false, properties === undefined ? {} : { properties }, () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #openStream(): Duplex {
    this.#reason = undefined;
    const { address, options, tls } = this.#settings;
    const stream = openStream(address, options.protocolVersion, tls);
    stream.on('error', (error) => {
      this.#reason ??= failureSentence(error, this.#settings.address);
    });
    return stream;
  }

  #onPacket(packet: Packet): void {
    if (packet.cmd === 'connack') {
      const code = packet.reasonCode ?? packet.returnCode ?? 0;
      if (code === 0) return;
      this.#reason = `The broker refused the connection: ${reasonText(code, packet.properties)}.`;
    } else if (packet.cmd === 'disconnect') {
      this.#reason = `The broker ended the connection: ${reasonText(packet.reasonCode ?? 0, packet.properties)}.`;
    }
  }
}

function openStream(address: Address, protocolVersion: 3 | 4 | 5, tls: TlsClientOptions | undefined): Duplex {
  switch (address.kind) {
    case 'tcp': {
      const { host, port } = address;
      if (tls === undefined) return createConnection({ host, port, noDelay: true });
      return connectTls({ ...tls, host, port, servername: isIP(host) === 0 ? host : '' }).setNoDelay();
    }
    case 'unix':
      return createConnection({ path: address.path });
    case 'websocket': {
      const subprotocol = protocolVersion === 3 ? 'mqttv3.1' : 'mqtt';
      const socket = new WebSocket(address.url, [subprotocol], { ...tls, perMessageDeflate: false });
      return createWebSocketStream(socket);
    }
  }
}

/** A reason code in words, with the broker's own where it sent some. */
export function reasonText(code: number, properties?: PropertyBag): string {
  const names = ReasonCodes as Readonly<Record<number, string>>;
  const name = code === 0 ? 'Normal disconnection' : (names[code] ?? 'Unknown reason');
  const own = properties?.['reasonString'];
  const hex = `0x${code.toString(16).padStart(2, '0').toUpperCase()}`;
  return `${name} (${hex})${typeof own === 'string' && own !== '' ? `, ${JSON.stringify(own)}` : ''}`;
}

function failureSentence(error: Error, address: Address): string {
  const where = addressText(address);
  const { code } = error as NodeJS.ErrnoException;
  switch (code ?? '') {
    case 'ECONNREFUSED':
      return `Nothing accepts connections at ${where}.`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `The host of ${where} has no address.`;
    case 'ENOENT':
      return `There is no Unix socket ${where}.`;
    case 'EACCES':
    case 'EPERM':
      return `No permission to connect to ${where}.`;
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `${where} cannot be reached.`;
    case 'ECONNRESET':
    case 'EPIPE':
      return `The connection to ${where} was reset.`;
    default:
      if (error.message === 'connack timeout') return `${where} did not answer in 30 seconds.`;
      return tlsFailure(where, error) ?? `The connection to ${where} failed: ${error.message}.`;
  }
}

function addressText(address: Address): string {
  switch (address.kind) {
    case 'tcp':
      return `${address.host}:${address.port}`;
    case 'unix':
      return address.path;
    case 'websocket':
      return address.url;
  }
}

function packetText(packet: Packet): string {
  const id = packet.messageId === undefined ? '' : ` ${packet.messageId}`;
  if (packet.cmd !== 'publish') return `${packet.cmd}${id}`;
  const flags = `qos ${packet.qos}${packet.retain ? ', retained' : ''}${packet.dup ? ', dup' : ''}`;
  return `publish${id} to ${JSON.stringify(packet.topic)} (${flags}, ${packet.payload.length} bytes)`;
}

/** Writes a line for people to stderr. */
export function say(text: string): void {
  process.stderr.write(`trellis: ${text}\n`);
}
