import mqtt, { type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt';

/** A message as a test compares it. */
export interface Heard {
  readonly topic: string;
  readonly text: string;
  readonly packet: IPublishPacket;
}

/** An MQTT.js client that keeps what it hears, from its first moment on. */
export class MqttJs {
  readonly client: MqttClient;
  readonly heard: Heard[] = [];
  readonly #waiters = new Set<() => void>();

  /** It does not connect again by itself unless the options say so. */
  constructor(url: string, options: IClientOptions) {
    this.client = mqtt.connect(url, { reconnectPeriod: 0, ...options, manualConnect: true });
    // A lost connection is one of the things tested.
    this.client.on('error', () => {});
    this.client.on('message', (topic, payload, packet) => {
      this.heard.push({ topic, text: payload.toString(), packet });
      const waiters = [...this.#waiters];
      this.#waiters.clear();
      for (const wake of waiters) wake();
    });
  }

  /** Connects for the first time. */
  connect(): Promise<IConnackPacket> {
    const connack = this.connack();
    this.client.connect();
    return connack;
  }

  /** The next CONNACK that accepts. */
  connack(): Promise<IConnackPacket> {
    return new Promise((resolve) => {
      this.client.once('connect', resolve);
    });
  }

  /** Resolves when the next message has come in. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.add(resolve);
    });
  }

  /** Waits until it has heard `count` messages. */
  async until(count: number): Promise<readonly Heard[]> {
    while (this.heard.length < count) await this.next();
    return this.heard;
  }

  /** Breaks the connection off, without DISCONNECT, and forgets what is under way. */
  async abandon(): Promise<void> {
    await this.client.endAsync(true);
  }
}
