import { DeliveryChecker } from '../checker/delivery-checker.ts';
import type { SentMessage, Verdict } from '../checker/records.ts';
import type { Device } from '../crash/device.ts';
import { LoadRun, type LoadRunOptions } from '../crash/load-run.ts';
import { LOAD } from '../crash/publisher.ts';
import { until } from '../support/polling.ts';

/** How often devices are given messages to send and brought back, ms. */
const TICK_MS = 20;
/** Messages that a publisher may send at once, at most. */
const BUDGET_MAX = 50;
/** What nothing was heard of for so long is not coming, ms. */
const QUIET_MS = 1_500;
/** What a broker says that ends because Redis does not have any more what it had acknowledged. */
export const LOST = 'Redis has lost what it had acknowledged';

/** Seconds that a test of faults goes on for, from TRELLIS_FAULT_SECONDS; 0, the default, is once through. */
export const FAULT_SECONDS: number = Number(process.env['TRELLIS_FAULT_SECONDS'] ?? 0);
/** What a test of faults may take, ms. */
export const FAULT_TIMEOUT_MS: number = 240_000 + 4_000 * FAULT_SECONDS;

/** Counts rounds of a test: `least` of them, and on until `FAULT_SECONDS` have passed. */
export function* rounds(least: number): Generator<number> {
  const end = performance.now() + FAULT_SECONDS * 1000;
  for (let round = 0; round < least || performance.now() < end; round++) yield round;
}

/** Broker processes under QoS 1 and 2 load that goes on by itself: devices that lose their connection come back. */
export class SteadyRun extends LoadRun {
  readonly #isWild: boolean;
  readonly #watch: AckWatch;
  /** Messages that a publisher may send with each tick. */
  protected messagesPerTick = 5;
  #timer: NodeJS.Timeout | undefined;
  /** Whether there is somewhere to connect to. */
  protected isUp = false;
  #isPublishing = true;
  #isAwayHere = false;
  #lastEvent = 0;
  /** Starts of a broker after it had ended because Redis lost data. */
  restarts = 0;

  /** @param isWild whether devices lose connections by themselves now and then. */
  protected constructor(options: Omit<LoadRunOptions, 'seed' | 'checker'>, isWild: boolean) {
    const watch = new AckWatch();
    // Who connects while Redis is away waits for it.
    const settings = ['log.level=info', 'limits.connectTimeoutMs=600000', ...(options.settings ?? [])];
    super({ ...options, settings, seed: Date.now() % 2 ** 31, checker: watch });
    this.#isWild = isWild;
    this.#watch = watch;
  }

  /** The load goes on by itself from now on. */
  protected goWild(): void {
    this.fleet.away.drop();
    this.state = 'wild';
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
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

  /** Waits until everyone is connected, but who is away. */
  async allConnected(): Promise<void> {
    const isHere = (device: Device): boolean => device.state === 'connected' || device === this.fleet.away;
    await this.until('everyone is connected', () => this.devices.every(isHere));
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
      () => this.isUp && this.devices.every(({ state }) => state === 'connected'),
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
    if (this.#isWild && this.isUp) this.disturb(device);
  }

  #tick(): void {
    if (this.state === 'over' || !this.isUp) return;
    for (const device of this.devices) {
      if (device.state === 'offline' && (device !== this.fleet.away || this.#isAwayHere)) device.connect(this.port);
    }
    if (!this.#isPublishing) return;
    for (const publisher of this.fleet.publishers) {
      publisher.budget = Math.min(publisher.budget + this.messagesPerTick, BUDGET_MAX);
      publisher.fill();
    }
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
