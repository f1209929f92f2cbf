import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeliveryChecker } from '../checker/delivery-checker.ts';
import { Random } from '../fakes/random.ts';
import { BrokerProcess } from './broker-process.ts';
import type { Device, DeviceWorld } from './device.ts';
import { allDevices, type Fleet, makeFleet, subscribeFleet } from './fleet.ts';
import { readRetained } from './retained-reader.ts';

/** As long may something that has to happen take, ms. */
const PATIENCE_MS = 30_000;
/** So long may it take while other things happen, ms; the second time not as long, for the run has failed by then. */
const WAIT_MAX_MS = 90_000;
const SECOND_WAIT_MAX_MS = 10_000;
/** A small window of queues in memory, so that most of what waits is in the store only. */
const SETTINGS = ['session.queueWindowMessages=20', 'admin.sysIntervalSeconds=0'];

/** What a run under load is made with. */
export interface LoadRunOptions {
  seed: number;
  /** Flags that name the store; the embedded one in a directory of the run by default. */
  storeFlags?: readonly string[] | undefined;
  /** `section.key=value`. */
  settings?: readonly string[];
  checker?: DeliveryChecker;
}

/** A broker process with a fleet of devices, and a checker that is told of everything; what disturbs them is added. */
export class LoadRun implements DeviceWorld {
  readonly checker: DeliveryChecker;
  readonly random: Random;
  life = 0;
  protected readonly fleet: Fleet;
  protected readonly devices: readonly Device[];
  protected broker: BrokerProcess | undefined = undefined;
  protected port = 0;
  /** How likely something that happens to a device disturbs one. */
  protected disturbance = 0.01;
  /** Whether devices come back, and disturb. */
  protected state: 'calm' | 'wild' | 'over' = 'calm';
  protected events = 0;
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'trellis-crash-'));
  readonly #storeFlags: readonly string[];
  readonly #settings: readonly string[];
  #wake: () => void = () => undefined;
  #hasGivenUp = false;

  constructor(options: LoadRunOptions) {
    this.checker = options.checker ?? new DeliveryChecker();
    this.random = new Random(options.seed);
    this.#storeFlags = options.storeFlags ?? ['--data', join(this.#directory, 'data')];
    this.#settings = [...SETTINGS, ...(options.settings ?? [])];
    this.fleet = makeFleet(this);
    this.devices = allDevices(this.fleet);
  }

  onEvent(_device: Device): void {
    this.events += 1;
    this.#wake();
  }

  onRefused(device: Device, text: string): void {
    this.checker.violated('liveness', `${device.clientId}: ${text}`);
  }

  /** Ends everything, whatever state it is in. */
  async clear(): Promise<void> {
    this.state = 'over';
    for (const device of this.devices) device.drop();
    this.broker?.kill();
    await this.broker?.ended;
    rmSync(this.#directory, { recursive: true });
  }

  /** Starts the broker; everyone connects and subscribes in peace. */
  protected async begin(): Promise<void> {
    await this.start();
    for (const device of this.devices) device.connect(this.port);
    await this.until('everyone is connected', () => this.devices.every(({ state }) => state === 'connected'));
    subscribeFleet(this.fleet);
    await this.until('everyone is subscribed', () => this.devices.every(({ isIdle }) => isIdle));
  }

  /** Everyone is connected, everything is delivered, nothing comes twice, and the broker stops. */
  protected async end(): Promise<void> {
    const { publishers } = this.fleet;
    for (const publisher of publishers) publisher.budget = 0;
    const isDone = (): boolean => this.devices.every(({ isIdle }) => isIdle) && this.checker.missing === 0;
    await this.until('all is delivered', isDone);
    // What is behind everything else shows that nothing is on its way any more.
    for (const publisher of publishers) publisher.publishLast();
    await this.until('the last messages are delivered', isDone);
    await this.stop();
  }

  /** Looks at what is retained, has everyone leave, and ends the broker in order. */
  protected async stop(): Promise<void> {
    const { publishers } = this.fleet;
    for (const publisher of publishers) {
      for (const [topicName, payload] of await readRetained(this.port, publisher.retainedTopics))
        this.checker.retainedFound(topicName, payload);
    }
    this.state = 'over';
    for (const device of this.devices) device.leave();
    await this.endBrokers();
  }

  /** Ends the broker in order. */
  protected async endBrokers(): Promise<void> {
    this.broker?.kill('SIGTERM');
    const end = await this.broker?.ended;
    if (end?.code !== 0) this.checker.violated('liveness', `SIGTERM ends it with ${end?.code}: ${end?.stderr}`);
  }

  protected spawn(failpoint?: string): BrokerProcess {
    this.life += 1;
    this.broker = new BrokerProcess({
      storeFlags: this.#storeFlags,
      compileCache: join(this.#directory, 'cache'),
      failpoint,
      settings: this.#settings,
    });
    return this.broker;
  }

  protected async start(): Promise<void> {
    const broker = this.spawn();
    const port = await broker.ready;
    if (port === undefined) throw new Error(`the broker does not start: ${(await broker.ended).stderr}`);
    this.port = port;
  }

  /** Now and then a device loses its connection, comes a second time, or leaves politely. */
  protected disturb(device: Device): void {
    const { random } = this;
    const left = this.fleet.wills.find(({ isLeaving, state }) => isLeaving && state === 'offline');
    left?.connect(this.port);
    if (!random.chance(this.disturbance)) return;
    const { wills } = this.fleet;
    const victim = random.chance(0.3) ? (wills[random.below(wills.length)] as Device) : device;
    if (victim.state !== 'connected') return;
    const way = random.below(3);
    if (way === 0 && wills.some((will) => will === victim)) {
      victim.leave();
      return;
    }
    if (way === 1) victim.drop();
    victim.connect(this.port);
  }

  /** Waits while something happens, for so long; notes a fault where it is not so in the end. */
  protected async until(what: string, isSo: () => boolean): Promise<void> {
    let seen = -1;
    const end = performance.now() + (this.#hasGivenUp ? SECOND_WAIT_MAX_MS : WAIT_MAX_MS);
    while (!isSo()) {
      const isQuiet = seen === this.events;
      if (isQuiet || performance.now() > end) {
        const why = isQuiet ? 'nothing happens any more' : 'much happens, and for long,';
        this.checker.violated('liveness', `${why} before ${what}: ${this.#states()}`);
        this.#hasGivenUp = true;
        return;
      }
      seen = this.events;
      await this.#somethingHappened();
    }
  }

  /** Resolves with the next event, or after `PATIENCE_MS`. */
  #somethingHappened(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, PATIENCE_MS);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => undefined;
        setImmediate(resolve);
      };
    });
  }

  #states(): string {
    const notIdle = this.devices.filter(({ isIdle }) => !isIdle);
    const texts = notIdle.map(({ clientId, state, outstanding }) => `${clientId} ${state}, ${outstanding} outstanding`);
    return `${this.checker.missing} deliveries missing; ${texts.join('; ')}`;
  }
}
