import { encodePacket } from '../../src/protocol/codec.ts';
import {
  type Packet,
  PacketType,
  type Properties,
  type ProtocolVersion,
  type Qos,
} from '../../src/protocol/packets.ts';
import { Random } from '../fakes/random.ts';
import { bytesOf } from '../protocol/vectors/notation.ts';
import { connectPacket } from '../support/connect-packet.ts';
import { describePacket } from '../support/packet-text.ts';
import { CLIENTS, type Step, type StepPacket } from './step.ts';
import { WRONG_CONNECTS, wrongPackets } from './wrong-packets.ts';

/** Every topic name there is: few, so that retained messages and subscriptions meet, and can be cleared afterwards. */
export const TOPIC_NAMES: readonly string[] = ['a', 'a/b', 'a/b/c', 'b', '/a', 'a/', 'a//b', '$x/a'];
const TOPIC_FILTERS: readonly string[] = [
  '#',
  '+',
  '+/+',
  '+/#',
  '/+',
  '/#',
  'a',
  'a/#',
  'a/+',
  'a/+/+',
  'a/b',
  'a/b/#',
  '+/b',
  '+/b/#',
  'a//b',
  'a/+/b',
  'b',
  '$x/#',
  '$x/+',
  'never',
];
const WRONG_FILTERS: readonly string[] = [
  'a#',
  'a/#/b',
  '+a/b',
  'a/b+',
  '#/',
  '$share/g',
  '$share/',
  '$share//a',
  '$share/g+/a',
  '$share/#/a',
  '$share/g/',
  '$share/g/a#',
];
const STEPS_MIN = 6;
const STEPS_MAX = 28;
const BURST_MAX = 4;
const KEEP_ALIVE_SECONDS = 600;
/** Long enough that nothing expires in a sequence, seconds. */
const LONG_SECONDS = 1_000;

/** The client id of a client. */
export function clientIdOf(client: number): string {
  return `differential-${client}`;
}

interface ClientState {
  version: ProtocolVersion;
  /** Whether it has a connection, as far as is known. */
  isOpen: boolean;
  packetId: number;
}

/** Makes a sequence; the same seed makes the same one. */
export function makeSequence(seed: number): Step[] {
  return new Generator(seed).sequence();
}

class Generator {
  readonly #random: Random;
  readonly #clients: ClientState[];
  #messages = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#clients = Array.from({ length: CLIENTS }, () => ({
      version: this.#one<ProtocolVersion>([4, 5, 5]),
      isOpen: false,
      packetId: 0,
    }));
  }

  sequence(): Step[] {
    const length = STEPS_MIN + this.#random.below(STEPS_MAX - STEPS_MIN);
    return Array.from({ length }, () => this.#step());
  }

  #step(): Step {
    const random = this.#random;
    const client = random.below(CLIENTS);
    const state = this.#clients[client] as ClientState;
    if (!state.isOpen || random.chance(0.06)) return this.#open(client, state);
    const dice = random.below(100);
    if (dice < 6) {
      state.isOpen = false;
      return { kind: 'drop', client };
    }
    if (dice < 12) {
      state.isOpen = false;
      return { kind: 'send', client, packets: [this.#disconnect(state)] };
    }
    if (dice < 22) {
      state.isOpen = random.chance(0.5);
      const { name, bytes } = this.#one(wrongPackets(state.version));
      return { kind: 'send', client, packets: [wrongPacket(name, bytes)] };
    }
    const count = random.chance(0.3) ? 2 + random.below(BURST_MAX - 1) : 1;
    return { kind: 'send', client, packets: Array.from({ length: count }, () => this.#packet(client, state)) };
  }

  #open(client: number, state: ClientState): Step {
    const random = this.#random;
    if (random.chance(0.07)) {
      const { name, version, bytes } = this.#one(WRONG_CONNECTS);
      const connect = wrongPacket(name, bytes(clientIdOf(client)));
      state.isOpen = false;
      return { kind: 'open', client, version, connect, acknowledges: true };
    }
    // A session is not resumed in another version: what becomes of it then is left to servers.
    const { version } = state;
    state.isOpen = true;
    const cleanStart = random.chance(0.4);
    const properties: Properties = {};
    if (version === 5 && random.chance(0.6)) properties.sessionExpiryInterval = LONG_SECONDS;
    if (version === 5 && random.chance(0.2)) properties.receiveMaximum = 1 + random.below(3);
    const packet = connectPacket(version, clientIdOf(client), {
      cleanStart,
      keepAlive: KEEP_ALIVE_SECONDS,
      properties,
      ...(random.chance(0.4) && { will: this.#will(version) }),
    });
    return { kind: 'open', client, version, connect: stepPacket(packet, version), acknowledges: random.chance(0.85) };
  }

  #will(version: ProtocolVersion): {
    topicName: string;
    payload: string;
    qos: Qos;
    retain: boolean;
    properties: Properties;
  } {
    const topicName = this.#one(TOPIC_NAMES);
    const qos = this.#qos();
    return {
      topicName,
      qos,
      payload: this.#payload(qos),
      retain: this.#random.chance(0.3),
      properties: this.#messageProperties(version),
    };
  }

  #packet(client: number, state: ClientState): StepPacket {
    const dice = this.#random.below(100);
    const { version } = state;
    if (dice < 55) return stepPacket(this.#publish(state), version);
    if (dice < 85) return stepPacket(this.#subscribe(client, state), version);
    if (dice < 97) {
      const topicFilters = this.#list(() => this.#filter(client));
      return stepPacket(
        { type: PacketType.unsubscribe, packetId: nextId(state), topicFilters, properties: {} },
        version,
      );
    }
    return stepPacket({ type: PacketType.pingreq }, version);
  }

  #publish(state: ClientState): Packet {
    const random = this.#random;
    const qos = this.#qos();
    const properties = this.#messageProperties(state.version);
    if (state.version === 5 && random.chance(0.15)) properties.topicAlias = 1 + random.below(3);
    const retain = random.chance(0.3);
    return {
      type: PacketType.publish,
      dup: qos > 0 && random.chance(0.1),
      qos,
      retain,
      topicName: properties.topicAlias !== undefined && random.chance(0.3) ? '' : this.#one(TOPIC_NAMES),
      packetId: qos === 0 ? 0 : nextId(state),
      payload: Buffer.from(retain && random.chance(0.3) ? '' : this.#payload(qos)),
      properties,
    };
  }

  /** Tells which message it is, and with which QoS it was published. */
  #payload(qos: Qos): string {
    this.#messages += 1;
    return `${this.#messages} with QoS ${qos}`;
  }

  #messageProperties(version: ProtocolVersion): Properties {
    const random = this.#random;
    const properties: Properties = {};
    if (version !== 5 || random.chance(0.6)) return properties;
    if (random.chance(0.3)) properties.payloadFormatIndicator = 1;
    if (random.chance(0.3)) properties.messageExpiryInterval = LONG_SECONDS;
    if (random.chance(0.3)) properties.contentType = 'text';
    if (random.chance(0.3)) properties.responseTopic = 'answer/here';
    if (random.chance(0.3)) properties.correlationData = new Uint8Array([1, 0, 255]);
    if (random.chance(0.3))
      properties.userProperties = [
        ['b', '1'],
        ['a', '2'],
        ['b', '1'],
      ];
    return properties;
  }

  #subscribe(client: number, state: ClientState): Packet {
    const random = this.#random;
    const isNew = state.version === 5;
    const subscriptions = this.#list(() => {
      const topicFilter = this.#filter(client);
      return {
        topicFilter,
        qos: this.#qos(),
        noLocal: isNew && random.chance(0.2) && !topicFilter.startsWith('$share/'),
        retainAsPublished: isNew && random.chance(0.3),
        retainHandling: isNew && random.chance(0.3) ? ((1 + random.below(2)) as 1 | 2) : (0 as const),
      };
    });
    const properties = isNew && random.chance(0.3) ? { subscriptionIdentifiers: [1 + random.below(3)] } : {};
    return { type: PacketType.subscribe, packetId: nextId(state), subscriptions, properties };
  }

  /** Groups have one member: which of several gets a message is left to servers. */
  #filter(client: number): string {
    const random = this.#random;
    if (random.chance(0.05)) return this.#one(WRONG_FILTERS);
    const filter = this.#one(TOPIC_FILTERS);
    return random.chance(0.1) ? `$share/group-${client}/${filter}` : filter;
  }

  #disconnect(state: ClientState): StepPacket {
    const isNew = state.version === 5;
    const reasonCode = isNew && this.#random.chance(0.4) ? 0x04 : 0;
    return stepPacket({ type: PacketType.disconnect, reasonCode, properties: {} }, state.version);
  }

  #list<T>(make: () => T): T[] {
    const count = this.#random.chance(0.7) ? 1 : 2 + this.#random.below(2);
    return Array.from({ length: count }, make);
  }

  #qos(): Qos {
    return this.#one<Qos>([0, 1, 2]);
  }

  #one<T>(list: readonly T[]): T {
    return list[this.#random.below(list.length)] as T;
  }
}

function nextId(state: ClientState): number {
  state.packetId += 1;
  return state.packetId;
}

function stepPacket(packet: Packet, version: ProtocolVersion): StepPacket {
  return { name: describePacket(packet), hex: encodePacket(packet, version).toString('hex'), packet };
}

function wrongPacket(name: string, notation: string): StepPacket {
  return { name, hex: bytesOf(notation).toString('hex'), packet: undefined };
}
