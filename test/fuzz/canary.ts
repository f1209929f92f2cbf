import { MqttJs } from '../e2e/mqttjs-client.ts';

/** How long the broker may take to serve those who mean well, ms. */
const PATIENCE_MS = 60_000;

/** A pair of ordinary clients that must notice nothing of what is done to the broker beside them. */
export class Canary {
  readonly #publisher: MqttJs;
  readonly #subscriber: MqttJs;
  #songs = 0;

  /** Each of the two connects to a listener of its own. */
  constructor(publisherUrl: string, subscriberUrl: string) {
    // Whether certificates are in order is tried elsewhere.
    const options = { protocolVersion: 5 as const, keepalive: 0, rejectUnauthorized: false };
    this.#publisher = new MqttJs(publisherUrl, { ...options, clientId: 'canary-publisher' });
    this.#subscriber = new MqttJs(subscriberUrl, { ...options, protocolVersion: 4, clientId: 'canary-subscriber' });
  }

  /** Connects and subscribes. */
  async start(): Promise<void> {
    await inTime('the canary to connect', Promise.all([this.#publisher.connect(), this.#subscriber.connect()]));
    await inTime('its subscription', this.#subscriber.client.subscribeAsync('canary/#', { qos: 2 }));
  }

  /** Sings with each QoS, and waits until that was heard. @throws Error where it was not. */
  async sing(): Promise<void> {
    for (const qos of [0, 1, 2] as const) {
      this.#songs += 1;
      const song = `${this.#songs}`;
      const { heard } = this.#subscriber;
      heard.length = 0;
      await inTime(
        `an answer to a song with QoS ${qos}`,
        this.#publisher.client.publishAsync('canary/song', song, { qos }),
      );
      await inTime(`a song with QoS ${qos}`, this.#subscriber.until(1));
      if (heard.length !== 1 || heard[0]?.text !== song) throw new Error(`the canary heard ${JSON.stringify(heard)}`);
    }
  }

  /** Hangs up. */
  async stop(): Promise<void> {
    await Promise.all([this.#publisher.abandon(), this.#subscriber.abandon()]);
  }
}

/** The work's result. @throws Error where it takes longer than anything may. */
export async function inTime<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${PATIENCE_MS} ms for ${what}`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
