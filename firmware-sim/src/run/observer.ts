import { setTimeout as delay } from 'node:timers/promises';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import type { BrokerTarget } from '../scenario/scenario.ts';
import { type Endpoint, endpointUrl } from '../wire/endpoint.ts';
import { errorClause } from '../wire/error-clause.ts';
import { RunError } from './run.ts';

/** Looks, 100 ms apart, for a broker that is gone at the end of a run. */
const isThereLooks = 50;
/** Topics cleared at once, and how long clearing may take, ms. */
const clearedAtOnce = 100;
const clearTimeoutMs = 20_000;
/** Topics kept of $SYS; a broker may have many. */
const sysTopicsMax = 1000;
/** How long the broker may take to answer the subscription to its figures, ms. */
const subscribeTimeoutMs = 2_000;
/** How long a metrics page may take, ms. */
const metricsTimeoutMs = 5_000;
/** Bytes of a metrics page that are read. */
const metricsPageMax = 4 * 2 ** 20;

/**
 * Looks at the broker from outside, with a client library that is not the simulator's: whether it is there at all, what
 * it is, and the figures it tells of itself.
 */
export class Observer {
  readonly #client: MqttClient;
  readonly #metricsUrl: string | undefined;
  readonly #sys: Map<string, string> = new Map();

  private constructor(client: MqttClient, metricsUrl: string | undefined) {
    this.#client = client;
    this.#metricsUrl = metricsUrl;
    client.on('message', (topicName, payload) => {
      if (this.#sys.size < sysTopicsMax || this.#sys.has(topicName)) {
        this.#sys.set(topicName, payload.toString('utf8').slice(0, 200));
      }
    });
  }

  /** Connects to the broker. @throws RunError with a sentence where it cannot be reached or refuses. */
  static async connect(endpoint: Endpoint, target: BrokerTarget): Promise<Observer> {
    const client = connect(endpointUrl(endpoint), observerOptions(endpoint, target));
    client.on('error', () => {}); // It reconnects; what the run makes of the broker is the devices' to tell.
    try {
      await connected(client);
    } catch (error) {
      client.end(true);
      throw new RunError(unreachable(endpointUrl(endpoint), error as Error & { code?: number | string }));
    }
    const observer = new Observer(client, target.metricsUrl);
    // Brokers may forbid it, some have none, and some never answer.
    const subscribed = client.subscribeAsync('$SYS/#', { qos: 0 }).catch(() => undefined);
    await Promise.race([subscribed, delay(subscribeTimeoutMs, undefined, { ref: false })]);
    return observer;
  }

  /** What the broker says it is; empty where it does not say. */
  get software(): string {
    return this.#sys.get('$SYS/broker/version') ?? this.#sys.get('$SYS/brokers/version') ?? '';
  }

  /** The figures of this moment by name. */
  async figures(): Promise<{ readonly sys: ReadonlyMap<string, string>; readonly prometheus: string }> {
    return { sys: new Map(this.#sys), prometheus: await this.#page() };
  }

  /** Whether the broker is there, looking for as long as it may take to come back. */
  async isThere(): Promise<boolean> {
    for (let looks = 0; !this.#client.connected && looks < isThereLooks; looks++) await delay(100);
    return this.#client.connected;
  }

  /** Clears what topics retain, so that a run leaves nothing behind; what cannot be cleared in a while stays. */
  async clear(topicNames: readonly string[]): Promise<void> {
    const cleared = (async (): Promise<void> => {
      for (let at = 0; at < topicNames.length; at += clearedAtOnce) {
        const some = topicNames.slice(at, at + clearedAtOnce);
        await Promise.all(some.map((name) => this.#client.publishAsync(name, '', { qos: 1, retain: true })));
      }
    })().catch(() => undefined);
    await Promise.race([cleared, delay(clearTimeoutMs, undefined, { ref: false })]);
  }

  async close(): Promise<void> {
    await this.#client.endAsync(true);
  }

  async #page(): Promise<string> {
    if (this.#metricsUrl === undefined) return '';
    try {
      const response = await fetch(this.#metricsUrl, { signal: AbortSignal.timeout(metricsTimeoutMs) });
      return response.ok ? (await response.text()).slice(0, metricsPageMax) : '';
    } catch {
      return ''; // A broker under attack may not answer; the report then has no figures of it.
    }
  }
}

/** Resolves with CONNACK. @throws Error where the first attempt does not get there. */
function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    let cause = new Error('it closed the connection without an answer');
    // Some errors of the network the library keeps to itself.
    client.stream.on('error', (error: Error) => (cause = error));
    client.once('connect', () => resolve());
    client.once('error', reject);
    client.once('close', () => reject(cause));
  });
}

function observerOptions({ tls }: Endpoint, { username, password }: BrokerTarget): IClientOptions {
  return {
    protocolVersion: 4,
    reconnectPeriod: 1000,
    connectTimeout: 10_000,
    resubscribe: true,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined
      ? {}
      : {
          rejectUnauthorized: tls.verify,
          ...(tls.ca === undefined ? {} : { ca: tls.ca }),
          ...(tls.cert === undefined ? {} : { cert: tls.cert }),
          ...(tls.key === undefined ? {} : { key: tls.key }),
          ...(tls.passphrase === undefined ? {} : { passphrase: tls.passphrase }),
        }),
  };
}

function unreachable(url: string, error: Error & { code?: number | string }): string {
  const { code, message } = error;
  if (typeof code === 'number') {
    const refusal = message.replace(/^Connection refused: /, '').replace(/^undefined$/, 'no reason given');
    return `The broker at ${url} refuses to let the simulator in: ${refusal} (${code}).`;
  }
  // An error of TLS in the middle of a write brings OpenSSL's whole line.
  const reason = /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1];
  const clause = reason === undefined ? errorClause(error) : `TLS: ${reason}`;
  if (code === 'ECONNREFUSED') return `Nothing listens on ${url}; is the broker running? (${clause})`;
  if (code === 'ENOTFOUND') return `There is no host of that name: ${url} (${clause}).`;
  if (message === 'connack timeout') return `What listens on ${url} does not answer a CONNECT; is it an MQTT broker?`;
  const hint = certificateErrors.test(code ?? '')
    ? ' --ca FILE names the authority to trust, --insecure accepts any certificate.'
    : '';
  return `The broker at ${url} cannot be used: ${clause}.${hint}`;
}

/** Codes of OpenSSL and Node for a certificate that does not hold. */
const certificateErrors = /CERT|UNABLE_TO_VERIFY/;
