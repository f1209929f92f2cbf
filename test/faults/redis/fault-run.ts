import type { Device } from '../../crash/device.ts';
import { openTcp } from '../../support/client-socket.ts';
import { until } from '../../support/polling.ts';
import { RawClient } from '../../support/raw-client.ts';
import { LOST, SteadyRun } from '../steady-run.ts';

/** Attempts to start a broker again. */
const STARTS_MAX = 60;
/** Round trips that take what was on its way through the broker with them. */
const SETTLING_ROUND_TRIPS = 20;

/** How a run differs from the usual one. */
export interface FaultRunOptions {
  /** `--store`. */
  url: string;
  /** `section.key=value`. */
  settings?: readonly string[];
  /** Whether devices lose connections by themselves now and then; default true. */
  isWild?: boolean;
}

/**
 * A broker process on Redis under QoS 1 and 2 load, with the fleet of the crash test and a pair of clients that talks with
 * QoS 0 alone. Devices that lose their connection come back; a broker that ends because Redis lost data is started again.
 */
export class FaultRun extends SteadyRun {
  #pair: { speaker: RawClient; listener: RawClient } | undefined;
  #said = 0;
  /** Publishes refused with 0x97; a fault unless `mayRefuse`. */
  refused = 0;
  mayRefuse = false;

  private constructor({ url, settings = [], isWild = true }: FaultRunOptions) {
    super({ storeFlags: ['--store', url], settings }, isWild);
  }

  /** Starts a broker, has everyone subscribe, and begins to publish. */
  static async start(options: FaultRunOptions): Promise<FaultRun> {
    const run = new FaultRun(options);
    try {
      await run.begin();
      await run.#openPair();
    } catch (error) {
      await run.clear();
      throw error;
    }
    run.#watchBroker();
    run.goWild();
    return run;
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

  override async clear(): Promise<void> {
    this.#closePair();
    await super.clear();
  }

  override onRefused(device: Device, text: string): void {
    if (this.mayRefuse) this.refused += 1;
    else super.onRefused(device, text);
  }

  #watchBroker(): void {
    this.isUp = true;
    const { broker } = this;
    void broker?.ended.then(async ({ code, stderr }) => {
      if (this.state === 'over') return;
      this.isUp = false;
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
