import { DeliveryChecker } from '../../checker/delivery-checker.ts';
import type { SentMessage, Verdict } from '../../checker/records.ts';
import type { Device } from '../../crash/device.ts';
import { LoadRun } from '../../crash/load-run.ts';
import { LOAD } from '../../crash/publisher.ts';
import { openTcp } from '../../support/client-socket.ts';
import { until } from '../../support/polling.ts';
import { RawClient } from '../../support/raw-client.ts';

/** How often devices are given messages to send and brought back, ms. */
const TICK_MS = 20;
/** Messages per publisher and tick. */
const MESSAGES_PER_TICK = 5;
const BUDGET_MAX = 50;
/** Attempts to start a broker again. */
const STARTS_MAX = 60;
/** What nothing was heard of for so long is not coming, ms. */
const QUIET_MS = 1_500;
/** Round trips that take what was on its way through the broker with them. */
const SETTLING_ROUND_TRIPS = 20;
/** What a broker says that ends because Redis does not have any more what it had acknowledged. */
const LOST = 'Redis has lost what it had acknowledged';

/** How a run differs from the usual one. */
export interface FaultRunOptions {
  /** `--store`. */
  url: string;
  /** `section.key=value`. */
  settings?: readonly string[];
  /** Whether devices lose connections by themselves now and then; default true. */
  isWild?: boolean;
}

/** Seconds that a test of faults goes on for, from TRELLIS_FAULT_SECONDS; 0, the default, is once through. */
export const FAULT_SECONDS: number = Number(process.env['TRELLIS_FAULT_SECONDS'] ?? 0);
/** What a test of faults may take, ms. */
export const FAULT_TIMEOUT_MS: number = 240_000 + 4_000 * FAULT_SECONDS;

/** Counts rounds of a test: `least` of them, and on until `FAULT_SECONDS` have passed. */
export function* rounds(least: number): Generator<number> {
  const end = performance.now() + FAULT_SECONDS * 1000;
  for (let round = 0; round < least || performance.now() < end; round++) yield round;
}

/**
 * A broker process on Redis under QoS 1 and 2 load, with the fleet of the crash test and a pair of clients that talks with
 * QoS 0 alone. Devices that lose their connection come back; a broker that ends because Redis lost data is started again.
 */
export class FaultRun extends LoadRun {
  readonly #isWild: boolean;
  readonly #watch: AckWatch;
  #timer: NodeJS.Timeout | undefined;
  #pair: { speaker: RawClient; listener: RawClient } | undefined;
  #said = 0;
  #isUp = false;
  #isPublishing = true;
  #isAwayHere = false;
  #lastEvent = 0;
  /** Starts of the broker after it had ended because Redis lost data. */
  restarts = 0;
  /** Publishes refused with 0x97; a fault unless `mayRefuse`. */
  refused = 0;
  mayRefuse = false;

  private constructor(options: FaultRunOptions, watch: AckWatch) {
    super({
      seed: Date.now() % 2 ** 31,
      storeFlags: ['--store', options.url],
      // Who connects while Redis is away waits for it.
      settings: ['log.level=info', 'limits.connectTimeoutMs=600000', ...(options.settings ?? [])],
      checker: watch,
    });
    this.#isWild = options.isWild ?? true;
    this.#watch = watch;
  }

  /** Starts a broker, has everyone subscribe, and begins to publish. */
  static async start(options: FaultRunOptions): Promise<FaultRun> {
    const run = new FaultRun(options, new AckWatch());
    try {
      await run.begin();
      await run.#openPair();
    } catch (error) {
      await run.clear();
      throw error;
    }
    run.#watchBroker();
    run.fleet.away.drop();
    run.state = 'wild';
    run.#timer = setInterval(() => run.#tick(), TICK_MS);
    return run;
  }

  /** Acknowledged messages that a session without a connection gets, so that nothing but Redis can make them safe. */
  get acknowledged(): number {
    return this.#watch.count;
  }

  /** Has the one that is away take what waits for it, and waits until so many messages more are acknowledged. */
  async load(count: number): Promise<void> {
    const { away } = this.fleet;
    this.#isAwayHere = true;
    await this.until('the one that was away is here', () => away.isIdle);
    this.#isAwayHere = false;
    away.drop();
    const target = this.acknowledged + count;
    await this.until(`${count} messages more are acknowledged`, () => this.acknowledged >= target);
  }

  /** How often the log of the broker has this in it. */
  logged(text: string): number {
    return (this.broker?.stderr.split(text).length ?? 1) - 1;
  }

  /** Waits until the log of the broker has this in it more often than before. */
  async nextLog(text: string, before: number): Promise<void> {
    await until(`'${text}' in the log`, () => (this.logged(text) > before ? true : undefined));
  }

  /** Sends QoS 0 messages from one client to another, one after the other, for so long. @throws where one does not come. */
  async talk(milliseconds: number, least: number = SETTLING_ROUND_TRIPS): Promise<void> {
    const { speaker, listener } = this.#pair as { speaker: RawClient; listener: RawClient };
    const end = performance.now() + milliseconds;
    for (let count = 0; count < least || performance.now() < end; count++) {
      this.#said += 1;
      speaker.sendPublish('talk', `${this.#said}`);
      await listener.expectPublish({ topicName: 'talk', payload: `${this.#said}`, qos: 0 });
    }
  }

  /** While Redis is away: QoS 0 goes on for so long. @returns how many messages were acknowledged in that time. */
  async acknowledgedWhileAway(milliseconds: number): Promise<number> {
    // Answers that were on their way when Redis went are seen by then.
    await this.talk(0);
    const before = this.acknowledged;
    await this.talk(milliseconds, 100);
    return this.acknowledged - before;
  }

  /** Breaks off all connections; devices come again and send again what was not acknowledged. */
  dropAll(): void {
    for (const device of this.devices) device.drop();
  }

  /** No new messages; all is delivered, or all that there is where Redis `mayLose`; the broker stops. @returns what came of it. */
  async finish({ mayLose = false }: { mayLose?: boolean } = {}): Promise<Verdict> {
    this.state = 'calm';
    this.#isPublishing = false;
    this.#isAwayHere = true;
    for (const publisher of this.fleet.publishers) publisher.budget = 0;
    await this.until(
      'everyone is connected',
      () => this.#isUp && this.devices.every(({ state }) => state === 'connected'),
    );
    if (mayLose) {
      // Where Redis has lost the middle of an exchange, its end never comes.
      await until('the end', () => (performance.now() - this.#lastEvent > QUIET_MS ? true : undefined));
      await this.stop();
    } else await this.end();
    return this.checker.verdict();
  }

  override async clear(): Promise<void> {
    clearInterval(this.#timer);
    this.#closePair();
    await super.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear();
  }

  override onEvent(device: Device): void {
    super.onEvent(device);
    this.#lastEvent = performance.now();
    if (this.state !== 'wild') return;
    if (this.#isPublishing) for (const publisher of this.fleet.publishers) publisher.fill();
    if (this.#isWild && this.#isUp) this.disturb(device);
  }

  override onRefused(device: Device, text: string): void {
    if (this.mayRefuse) this.refused += 1;
    else super.onRefused(device, text);
  }

  #tick(): void {
    if (this.state === 'over' || !this.#isUp) return;
    for (const device of this.devices) {
      if (device.state === 'offline' && (device !== this.fleet.away || this.#isAwayHere)) device.connect(this.port);
    }
    if (!this.#isPublishing) return;
    for (const publisher of this.fleet.publishers) {
      publisher.budget = Math.min(publisher.budget + MESSAGES_PER_TICK, BUDGET_MAX);
      publisher.fill();
    }
  }

  #watchBroker(): void {
    this.#isUp = true;
    const { broker } = this;
    void broker?.ended.then(async ({ code, stderr }) => {
      if (this.state === 'over') return;
      this.#isUp = false;
      this.checker.mark(`the broker ended with ${code}`);
      if (stderr.includes(LOST)) this.restarts += 1;
      else this.checker.violated('liveness', `the broker ended by itself with ${code}: ${stderr}`);
      await this.#startAgain();
    });
  }

  /** Redis may not be there yet, or not writable. */
  async #startAgain(): Promise<void> {
    for (let attempt = 0; attempt < STARTS_MAX; attempt++) {
      if ((this.state as string) === 'over') return;
      const port = await this.spawn().ready;
      if (port === undefined) continue;
      this.port = port;
      this.#closePair();
      await this.#openPair();
      this.#watchBroker();
      return;
    }
    this.checker.violated('liveness', 'the broker does not start again');
  }

  async #openPair(): Promise<void> {
    const open = async (name: string): Promise<RawClient> => {
      const client = new RawClient(name, 5);
      client.attach(await openTcp('127.0.0.1', this.port, client));
      await client.connect();
      return client;
    };
    const [speaker, listener] = [await open('speaker'), await open('listener')];
    await listener.subscribe('talk');
    this.#pair = { speaker, listener };
  }

  #closePair(): void {
    this.#pair?.speaker.destroy();
    this.#pair?.listener.destroy();
    this.#pair = undefined;
  }
}

/** Counts the acknowledged messages that a session which is away gets. */
class AckWatch extends DeliveryChecker {
  readonly #waiting = new Set<string>();
  count = 0;

  override sent(message: SentMessage): void {
    super.sent(message);
    if (message.topicName.startsWith(`${LOAD}/`)) this.#waiting.add(`${message.publisher} ${message.sequence}`);
  }

  override acknowledged(publisher: string, sequence: number): void {
    super.acknowledged(publisher, sequence);
    if (this.#waiting.delete(`${publisher} ${sequence}`)) this.count += 1;
  }
}
