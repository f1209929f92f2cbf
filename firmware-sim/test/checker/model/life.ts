import { DeliveryChecker } from '../../../src/checker/delivery-checker.ts';
import type { Witness } from '../../../src/checker/witness.ts';
import type { SubscribeOptions } from '../../../src/client/client.ts';
import { Random } from '../../../src/lib/random.ts';
import { type BrokerHabits, ModelBroker, type Plants } from './broker.ts';
import { type Character, Device } from './device.ts';
import { World } from './wire.ts';

/** How wild a life is. */
export interface LifeOptions {
  readonly seed: number;
  readonly plants?: Plants;
  /** Steady connections and subscriptions that do not overlap: a planted fault is one fault and nothing else. */
  readonly isQuiet?: boolean;
  readonly steps?: number;
  /** Sees everything too. */
  readonly witness?: (checker: DeliveryChecker) => Witness;
}

const topics = ['a', 'a/b', 'a/b/c', 'a/c', 'b', 'b/c', 'kept/1', 'kept/2', 'kept/3'];
const filters = ['#', 'a/#', '+/b', 'a/+', 'a/b', 'b/#', 'kept/+', 'kept/1', '+', 'gone/#', 'gone/+'];
const groups = ['$share/g/a/#', '$share/g/#', '$share/h/b/+'];

/** A seeded life of some devices on a correct broker, told to a checker; at its end everybody is there and all is quiet. */
export class Life {
  readonly checker: DeliveryChecker = new DeliveryChecker({ lateAfterSeconds: 30 });
  readonly world: World;
  readonly broker: ModelBroker;
  readonly devices: readonly Device[];
  readonly #random: Random;
  readonly #witness: Witness;
  readonly #options: LifeOptions;

  constructor(options: LifeOptions) {
    this.#options = options;
    const random = (this.#random = new Random(options.seed));
    this.world = new World(random.fork('world'));
    this.#witness = options.witness?.(this.checker) ?? this.checker;
    const habits: BrokerHabits = {
      routesQos2At: random.pick(['publish', 'pubrel']),
      overlaps: random.pick(['one', 'copies']),
      replaysLazily: random.chance(0.5),
      queuesQos0: random.chance(0.5),
      inFlightMax: 1 + random.below(8),
    };
    this.broker = new ModelBroker(this.world, habits, options.plants ?? { draw: () => false });
    const tellsCompletion = random.chance(0.7);
    const count = 3 + random.below(6);
    this.devices = Array.from({ length: count }, (_, number) => {
      return new Device(this.world, this.broker, this.#witness, this.#character(number, tellsCompletion));
    });
  }

  /** Lives, then comes to rest. */
  run(): void {
    const { steps = 400 } = this.#options;
    for (const device of this.devices) device.connect();
    this.world.runUntil(this.world.now + 20);
    if (this.#options.isQuiet === true) {
      for (const device of this.devices.slice(1)) device.subscribe({ topicFilter: '#', qos: 2 });
      this.world.runUntil(this.world.now + 20);
    }
    for (let step = 0; step < steps; step++) {
      this.#act(this.#random.pick(this.devices));
      if (this.#random.chance(0.3)) this.world.runUntil(this.world.now + this.#random.exponential(3));
      if (this.#options.isQuiet !== true && this.#random.chance(0.004)) this.#kill();
    }
    // Rest: longer than any keep alive, delay or expiry of those that are not there.
    for (let round = 0; round < 60; round++) {
      for (const device of this.devices) device.connect();
      this.world.runUntil(this.world.now + (round < 30 ? 20 : 4000));
    }
    this.checker.finish(this.world.now);
  }

  /** The faults that were found. */
  get faults(): Record<string, number> {
    const counts = Object.entries(this.checker.verdict().faults).filter(([, { total }]) => total > 0);
    return Object.fromEntries(counts.map(([fault, { total }]) => [fault, total]));
  }

  #kill(): void {
    const { world, broker } = this;
    this.#witness.broker('down', world.now);
    if (this.#random.chance(0.5)) world.runUntil(world.now + this.#random.between(0, 2));
    broker.kill();
    world.runUntil(world.now + this.#random.between(5, 50));
    broker.restart();
    this.#witness.broker('up', world.now);
  }

  #act(device: Device): void {
    const random = this.#random;
    if (device.state === 'off') {
      if (random.chance(0.4)) device.connect();
      else if (random.chance(0.1)) this.world.runUntil(this.world.now + random.between(0, 3000));
      return;
    }
    const dice = random.below(1000);
    if (dice < 550 || this.#options.isQuiet === true) this.#publish(device);
    else if (dice < 620) this.#subscribe(device);
    else if (dice < 660 && device.filters.length > 0) device.unsubscribe(random.pick(device.filters));
    else if (dice < 690) device.cut();
    else if (dice < 705) device.crash();
    else if (dice < 715) device.freeze();
    else if (dice < 735) device.disconnect(random.chance(0.2), random.chance(0.2) ? 0 : undefined);
  }

  #publish(device: Device): void {
    const random = this.#random;
    const topicName = random.pick(this.#options.isQuiet === true ? ['a', 'b'] : topics);
    const qos = random.below(3) as 0 | 1 | 2;
    const retain = topicName.startsWith('kept/') || random.chance(0.02);
    const isEmpty = retain && random.chance(0.1);
    const expires = !retain && this.#options.isQuiet !== true && random.chance(0.05);
    device.publish(topicName, qos, { retain, isEmpty, ...(expires && { expirySeconds: 1 + random.below(3) }) });
  }

  #subscribe(device: Device): void {
    const random = this.#random;
    const isShared = random.chance(0.25);
    const qos = random.below(3) as 0 | 1 | 2;
    const subscription: SubscribeOptions = isShared
      ? { topicFilter: random.pick(groups), qos }
      : {
          topicFilter: random.pick(filters),
          qos,
          ...(random.chance(0.1) && { noLocal: true }),
          ...(random.chance(0.2) && { retainAsPublished: true }),
          ...(random.chance(0.3) && { retainHandling: random.below(3) as 0 | 1 | 2 }),
        };
    device.subscribe(subscription);
  }

  #character(number: number, tellsCompletion: boolean): Character {
    const random = this.#random.fork(`character ${number}`);
    const isClean = random.chance(0.4);
    return {
      number,
      isClean,
      expirySeconds: isClean ? 0 : random.chance(0.6) ? Number.POSITIVE_INFINITY : 2 + random.below(8),
      keepAliveSeconds: random.chance(0.5) ? 0 : 1 + random.below(3),
      willTopic: random.chance(0.7) ? `gone/${number}` : undefined,
      willQos: random.below(3) as 0 | 1 | 2,
      willRetain: random.chance(0.3),
      willDelaySeconds: random.chance(0.6) ? 0 : 1 + random.below(5),
      tellsCompletion,
    };
  }
}
