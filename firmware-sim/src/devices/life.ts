import type { Agent, AgentHandler } from '../agent/agent.ts';
import type { IncomingMessage, SubscribeOptions } from '../client/client.ts';
import type { Random } from '../lib/random.ts';
import type { TimerHandle } from '../lib/timers.ts';
import type { Life } from '../scenario/scenario.ts';
import type { Device, DeviceContext } from './device.ts';
import { FirmwareUpdate } from './firmware/update.ts';
import type { Farewell, Presence } from './presence.ts';

/**
 * Where a device is in its life:
 *
 *     off -> booting -> configuring -> reporting -> closing -> asleep   -> booting
 *                   `-----------------^    |    `-> closing -> updating -> booting
 *                                          |    `-> closing -> left
 *                                          `-----------------> crashed  -> booting
 *
 * Loss of the connection by itself changes nothing: the agent comes back, and telemetry waits in its buffer.
 */
export type LifeState =
  | 'off'
  | 'booting'
  /** Connected; waits for its retained configuration. */
  | 'configuring'
  | 'reporting'
  /** Says farewell; waits until the broker has what it sent. */
  | 'closing'
  | 'asleep'
  /** Boots into a new firmware; without connection. */
  | 'updating'
  | 'crashed'
  | 'left';

/** What a device does besides being alive. */
export interface Work {
  /** Exchanges under way that the agent does not know of. */
  readonly pending: number;
  /** Is connected; births are published. */
  onUp(sessionPresent: boolean): void;
  /** Awake and configured: begins, or goes on. */
  start(): void;
  /** Goes away, to rest or for good; or crashes, and forgets what it had in memory. */
  pause(why: 'rest' | 'crash'): void;
  /** Begins nothing new any more. */
  drain(): void;
  pace(factor: number): void;
  onMessage(message: IncomingMessage): void;
  onPublished(reference: number, reasonCode: number): void;
}

/** What makes one device different from another. */
export interface LivingParts {
  readonly life: Life;
  readonly presence: Presence;
  readonly configTopic: string | undefined;
  readonly subscriptions: readonly SubscribeOptions[];
  work(agent: Agent): Work;
}

/** How long a device that wants to go waits for acknowledgements, and how often it looks, ms. */
const closingMs = 5000;
const closingStepMs = 20;
const farewells: Readonly<Record<'asleep' | 'updating' | 'left', Farewell>> = {
  asleep: 'asleep',
  updating: 'rebooting',
  left: 'offline',
};
/** The first version of every device. */
const firstFirmware = 1;

/** A device with a life: sensors, gateways and actuators. */
export class LivingDevice implements Device, AgentHandler {
  readonly name: string;
  readonly #context: DeviceContext;
  readonly #life: Life;
  readonly #presence: Presence;
  readonly #configTopic: string | undefined;
  readonly #random: Random;
  readonly #agent: Agent;
  readonly #work: Work;
  readonly #firmware: FirmwareUpdate | undefined;
  #state: LifeState = 'off';
  /** Where closing leads to. */
  #goal: 'asleep' | 'updating' | 'left' = 'left';
  /** Kept over sleep and crashes, as in flash memory. */
  #isConfigured = false;
  #isDraining = false;
  #isLeaveDue = false;
  #hasSlept = false;
  /** Ends closing, asleep, updating and crashed. */
  #next: TimerHandle | undefined;
  #sleepTimer: TimerHandle | undefined;
  #crashTimer: TimerHandle | undefined;
  #leaveTimer: TimerHandle | undefined;

  constructor(context: DeviceContext, parts: LivingParts) {
    const { life, presence } = parts;
    this.name = context.name;
    this.#context = context;
    this.#life = life;
    this.#presence = presence;
    this.#configTopic = parts.configTopic;
    this.#random = context.random.fork('life');
    this.#agent = context.agent(this, presence.will === undefined ? {} : { will: presence.will });
    this.#work = parts.work(this.#agent);
    if (life.firmware !== undefined) {
      this.#firmware = new FirmwareUpdate(context, this.#agent, {
        channel: life.firmware.channel,
        version: firstFirmware,
        reboot: () => this.#close('updating'),
      });
    }
    this.#agent.subscribe(parts.subscriptions);
    if (this.#configTopic !== undefined) this.#agent.subscribe([{ topicFilter: this.#configTopic, qos: 1 }]);
  }

  get #version(): number {
    return this.#firmware?.version ?? firstFirmware;
  }

  /** Where it is in its life. */
  get state(): LifeState {
    return this.#state;
  }

  get pending(): number {
    const isBusy = this.#state === 'closing' || this.#firmware?.isUpdating === true;
    return this.#agent.pending + this.#work.pending + (isBusy ? 1 : 0);
  }

  start(): void {
    if (this.#state === 'off') this.#boot();
  }

  storm(): void {
    if (this.#agent.state === 'up') this.#agent.drop(0);
  }

  pace(factor: number): void {
    this.#work.pace(factor);
  }

  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#work.drain();
    this.#cancelPlans();
    if (this.#state === 'asleep' || this.#state === 'crashed') this.#boot();
  }

  stop(): void {
    this.#cancelPlans();
    this.#enter('left');
    this.#work.pause('rest');
    this.#firmware?.pause();
    this.#agent.leave();
  }

  // ---- what the agent tells

  onUp(sessionPresent: boolean): void {
    this.#firmware?.booted();
    this.#presence.announce(this.#agent, this.#version);
    this.#work.onUp(sessionPresent);
    this.#firmware?.onUp(sessionPresent);
    if (this.#state === 'booting') this.#booted();
    this.#leaveIfDue();
  }

  onDown(): void {
    this.#firmware?.pause();
    // Nothing will be acknowledged for a while: it goes as it is.
    if (this.#state === 'closing') this.#closed();
  }

  onMessage(message: IncomingMessage): void {
    if (message.topicName === this.#configTopic) this.#onConfig(message);
    else if (this.#firmware?.onMessage(message) !== true) this.#work.onMessage(message);
  }

  onPublished(reference: number, reasonCode: number): void {
    this.#work.onPublished(reference, reasonCode);
  }

  // ---- states

  #enter(state: LifeState): void {
    this.#state = state;
    this.#next = this.#cancelled(this.#next);
  }

  #boot(): void {
    this.#enter('booting');
    this.#agent.start();
  }

  #bootAfter(seconds: number): void {
    this.#next = this.#after(seconds, () => this.#boot());
  }

  /** Connected for the first time since it booted. */
  #booted(): void {
    this.#planCrash();
    this.#planLeave();
    if (this.#configTopic === undefined || this.#isConfigured) this.#report();
    else this.#enter('configuring');
  }

  #report(): void {
    this.#enter('reporting');
    this.#planSleep();
    this.#work.start();
  }

  #onConfig({ payload }: IncomingMessage): void {
    if (payload.length === 0) return; // the topic was cleared
    this.#isConfigured = true;
    this.#context.note('configured', `${this.name} has read its configuration`);
    if (this.#state === 'configuring') this.#report();
  }

  /** Its time is over: leaves, now or when it is connected again. */
  #leaveIfDue(): void {
    if (this.#isLeaveDue && this.#agent.state === 'up') this.#close('left');
  }

  /** Says farewell, and goes on to `goal` when the broker has everything, or when that takes too long. */
  #close(goal: 'asleep' | 'updating' | 'left'): void {
    // A device that is about to sleep when its new firmware is complete reboots instead.
    if (this.#state === 'closing' && this.#goal === 'asleep' && goal === 'updating') this.#goal = goal;
    if (this.#state !== 'reporting' && this.#state !== 'configuring') return;
    this.#enter('closing');
    this.#goal = goal;
    this.#cancelSleepAndCrash();
    this.#work.pause('rest');
    if (this.#agent.state !== 'up') return this.#closed();
    this.#presence.farewell(this.#agent, farewells[goal]);
    this.#closeWhenQuiet(this.#context.timers.now() + closingMs);
  }

  #closeWhenQuiet(deadline: number): void {
    const { timers } = this.#context;
    this.#next = timers.after(closingStepMs, () => {
      const isQuiet = this.#agent.pending + this.#work.pending === 0;
      if (isQuiet || timers.now() >= deadline) this.#closed();
      else this.#closeWhenQuiet(deadline);
    });
  }

  #closed(): void {
    switch (this.#goal) {
      case 'asleep':
        if (this.#isDraining) return this.#stayAwake();
        this.#enter('asleep');
        this.#hasSlept = true;
        this.#agent.sleep();
        this.#context.note('slept', `${this.name} sleeps`);
        this.#bootAfter(this.#life.sleep?.asleepSeconds ?? 0);
        return;
      case 'updating':
        this.#enter('updating');
        this.#agent.sleep();
        this.#bootAfter(this.#life.firmware?.rebootSeconds ?? 0);
        return;
      case 'left':
        this.#enter('left');
        this.#agent.leave();
        this.#context.note('left', `${this.name} has left`);
        return;
    }
  }

  /** The drain came while it was about to sleep. */
  #stayAwake(): void {
    this.#enter('reporting');
    if (this.#agent.state === 'up') this.#presence.announce(this.#agent, this.#version);
  }

  #crash(downSeconds: number): void {
    this.#cancelSleepAndCrash();
    this.#work.pause('crash');
    this.#enter('crashed');
    this.#agent.crash();
    this.#firmware?.pause();
    this.#context.note('crashed', `${this.name} crashed`);
    this.#bootAfter(downSeconds);
  }

  // ---- what is to come

  #planSleep(): void {
    const { sleep } = this.#life;
    if (sleep === undefined || this.#isDraining || this.#sleepTimer !== undefined) return;
    // The first time awake is cut short at random, so that the fleet does not sleep as one.
    const part = this.#hasSlept ? 1 : this.#random.next();
    this.#sleepTimer = this.#after(sleep.awakeSeconds * part, () => {
      this.#sleepTimer = undefined;
      this.#close('asleep');
    });
  }

  #planCrash(): void {
    const { crash } = this.#life;
    if (crash === undefined || this.#isDraining || this.#crashTimer !== undefined) return;
    this.#crashTimer = this.#after(this.#random.exponential(crash.everySeconds), () => {
      this.#crashTimer = undefined;
      this.#crash(crash.downSeconds);
    });
  }

  #planLeave(): void {
    const { leaveAfterSeconds } = this.#life;
    if (leaveAfterSeconds === undefined || this.#isDraining || this.#leaveTimer !== undefined) return;
    this.#leaveTimer = this.#after(leaveAfterSeconds, () => {
      this.#isLeaveDue = true;
      this.#leaveIfDue();
    });
  }

  #cancelSleepAndCrash(): void {
    this.#sleepTimer = this.#cancelled(this.#sleepTimer);
    this.#crashTimer = this.#cancelled(this.#crashTimer);
  }

  #cancelPlans(): void {
    this.#cancelSleepAndCrash();
    this.#leaveTimer = this.#cancelled(this.#leaveTimer);
    this.#isLeaveDue = false;
  }

  #after(seconds: number, callback: () => void): TimerHandle {
    return this.#context.timers.after(seconds * 1000, callback);
  }

  #cancelled(timer: TimerHandle | undefined): undefined {
    if (timer !== undefined) this.#context.timers.cancel(timer);
  }
}
