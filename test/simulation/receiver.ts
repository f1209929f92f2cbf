import { type AckPacket, type Packet, PacketType, type PublishPacket, type Qos } from '../../src/protocol/packets.ts';
import type { Character } from './client.ts';
import { GROUPS, type World } from './world.ts';

/** The receiving side of a client: QoS 1 and 2 exchanges, topic aliases, and the limits it announced. */
export class Receiver {
  readonly #world: World;
  readonly #character: Character;
  readonly #send: (packet: Packet) => void;
  /** QoS 2 packet ids received and not released. */
  readonly #received: Set<number> = new Set();
  /** QoS 1 and 2 messages of this connection it has not finished. */
  readonly #unfinished: Set<number> = new Set();
  readonly #aliases: Map<number, string> = new Map();
  #owed: AckPacket[] = [];

  constructor(world: World, character: Character, send: (packet: Packet) => void) {
    this.#world = world;
    this.#character = character;
    this.#send = send;
  }

  /** Acknowledgements it has not sent. */
  get owed(): number {
    return this.#owed.length;
  }

  /** A connection begins; what was received stays received. */
  connected(): void {
    this.#unfinished.clear();
    this.#aliases.clear();
    this.#owed = [];
  }

  /** The session is gone. */
  forget(): void {
    this.#received.clear();
    this.#owed = [];
  }

  /** Sends acknowledgements in order until so many are left [MQTT-4.6.0-2]. */
  answer(left: number): void {
    while (this.#owed.length > left) {
      const ack = this.#owed.shift() as AckPacket;
      if (ack.type !== PacketType.pubrec) this.#unfinished.delete(ack.packetId);
      this.#send(ack);
    }
  }

  onPublish(packet: PublishPacket, taker: string, filters: ReadonlyMap<string, Qos>): void {
    const { packetId, qos } = packet;
    const topicName = this.#topicNameOf(packet);
    const payload = Buffer.from(packet.payload).toString();
    if (qos > 0) {
      this.#unfinished.add(packetId);
      if (this.#unfinished.size > this.#character.receiveMaximum)
        this.#world.violated('liveness', `${taker} got more than its Receive Maximum`);
    }
    if (qos === 2 && this.#received.has(packetId)) {
      if (!packet.dup) this.#world.violated('duplicate', `${taker} got id ${packetId} again without DUP`);
    } else {
      if (qos === 2) this.#received.add(packetId);
      this.#deliver(packet, topicName, payload, taker, filters);
    }
    if (qos === 1) this.#owe(PacketType.puback, packetId);
    if (qos === 2) this.#owe(PacketType.pubrec, packetId);
  }

  onPubrel(packetId: number): void {
    this.#received.delete(packetId);
    this.#owe(PacketType.pubcomp, packetId);
  }

  #owe(type: AckPacket['type'], packetId: number): void {
    this.#owed.push({ type, packetId, reasonCode: 0, properties: {} });
  }

  #deliver(
    packet: PublishPacket,
    topicName: string,
    payload: string,
    taker: string,
    filters: ReadonlyMap<string, Qos>,
  ): void {
    const { qos, dup } = packet;
    if (topicName.startsWith('n/') && payload.startsWith(`${this.#character.clientId}:`))
      this.#world.violated('leak', `${taker} got its own ${payload} in spite of No Local`);
    if (packet.retain) this.#world.replayed(taker, topicName, payload);
    else if (qos === 0) this.#world.deliveredOnce(taker, filters.keys(), topicName, payload);
    else {
      const group = GROUPS.find(({ topicFilter }) => topicFilter.split('/')[2] === topicName.split('/')[0]);
      if (group !== undefined && !filters.has(group.topicFilter))
        this.#world.violated('leak', `${taker} got ${payload} of a group it is not in`);
      const owed = group?.topicFilter ?? taker;
      const isAsked = group !== undefined || [...filters].some(([filter, asked]) => asked > 0 && !isShared(filter));
      this.#world.history.tell((checker) => {
        if (isAsked) checker.delivered(owed, taker, { topicName, qos, dup, payload });
        else checker.violated('leak', `${taker} without subscriptions got ${payload}`);
      });
    }
  }

  #topicNameOf({ topicName, properties }: PublishPacket): string {
    const alias = properties.topicAlias ?? 0;
    if (alias === 0) return topicName;
    if (alias > this.#character.topicAliasMaximum)
      this.#world.violated('liveness', `topic alias ${alias} is above the maximum`);
    if (topicName !== '') this.#aliases.set(alias, topicName);
    return this.#aliases.get(alias) ?? '';
  }
}

function isShared(topicFilter: string): boolean {
  return topicFilter.startsWith('$share/');
}
