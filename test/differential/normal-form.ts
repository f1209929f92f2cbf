import { type Packet, PacketType, type Properties, type PublishPacket } from '../../src/protocol/packets.ts';
import { PACKET_NAMES } from '../support/packet-text.ts';

/** What a client saw in one step, without what servers may choose. */
export interface Seen {
  /** CONNACK, SUBACK, UNSUBACK and the acknowledgements of its own publishes, in order where there has to be one. */
  answers: string[];
  /** Messages, in an order that does not depend on what servers may choose. */
  messages: string[];
  /** How its connection ended; empty where it did not. */
  end: string;
}

/** How a connection ends on which the broker sent what no server may send. */
export const BROKEN_OFF = 'broken off by the client for what it was sent';

/** A server may say so, or success. */
const NO_MATCHING_SUBSCRIBERS = 0x10;

/** What was received in one step, packet by packet, in the form that is compared. @param ended how the connection ended in it; empty where it did not. */
export function normalForm(packets: readonly Packet[], ended: string): Seen {
  const answers: string[] = [];
  const messages: { order: string; text: string }[] = [];
  let end = ended;
  for (const packet of packets) {
    const { type } = packet;
    if (type === PacketType.publish) messages.push(messageOf(packet));
    else if (type === PacketType.disconnect) end = `DISCONNECT 0x${packet.reasonCode.toString(16)}, ${end}`;
    else if (type !== PacketType.pingresp && type !== PacketType.pubrel) answers.push(answerOf(packet));
  }
  // Array.prototype.sort is stable: messages of the same kind keep their order.
  messages.sort((one, other) => compare(one.order, other.order));
  // The standard has an order for PUBACK among themselves, PUBREC and PUBCOMP, and no other, section 4.6.
  answers.sort((one, other) => compare(orderOf(one), orderOf(other)));
  return { answers, messages: ordered(messages), end };
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function orderOf(answer: string): string {
  return /^(SUB|UNSUB)ACK/.test(answer) ? answer : answer.slice(0, answer.indexOf(' '));
}

function answerOf(packet: Exclude<Packet, PublishPacket>): string {
  const name = PACKET_NAMES[packet.type];
  if (packet.type === PacketType.connack) {
    const assigned = packet.properties.assignedClientIdentifier === undefined ? '' : ' with an assigned client id';
    return `${name} ${hex(packet.reasonCode)}${packet.sessionPresent ? ' session present' : ''}${assigned}`;
  }
  if (packet.type === PacketType.suback || packet.type === PacketType.unsuback)
    return `${name} ${packet.packetId} ${packet.reasonCodes.map(hex).join(' ')}`;
  if (!('packetId' in packet) || !('reasonCode' in packet)) return name;
  return `${name} ${packet.packetId} ${hex(packet.reasonCode === NO_MATCHING_SUBSCRIBERS ? 0 : packet.reasonCode)}`;
}

function hex(code: number): string {
  return `0x${code.toString(16)}`;
}

/** Messages of one topic and QoS, as published and as delivered, stay in order; between others no order is promised [MQTT-4.6.0-5]. */
function messageOf(packet: PublishPacket): { order: string; text: string } {
  const { topicName, qos, retain, dup } = packet;
  const payload = Buffer.from(packet.payload).toString();
  const flags = `${retain ? ' retained' : ''}${dup ? ' again' : ''}`;
  const text = `${topicName} "${payload}" QoS ${qos}${flags}${propertiesText(packet.properties)}`;
  return { order: `${topicName} ${payload.replace(/^\d+/, '')}${retain ? ' retained' : ''} QoS ${qos}`, text };
}

function propertiesText(properties: Properties): string {
  const { messageExpiryInterval, subscriptionIdentifiers, ...others } = properties;
  const parts = Object.entries(others)
    .map(
      ([name, value]) =>
        `${name} ${value instanceof Uint8Array ? Buffer.from(value).toString('hex') : JSON.stringify(value)}`,
    )
    .toSorted(compare);
  // The time it waited is taken off.
  if (messageExpiryInterval !== undefined) parts.push('messageExpiryInterval');
  if (subscriptionIdentifiers !== undefined)
    parts.push(`subscriptionIdentifiers ${subscriptionIdentifiers.toSorted((one, other) => one - other).join(' ')}`);
  return parts.length === 0 ? '' : ` {${parts.join(', ')}}`;
}

/** Copies of one message that a client gets for several subscriptions come in any order. */
function ordered(messages: readonly { order: string; text: string }[]): string[] {
  const texts = messages.map(({ text }) => text);
  const keyOf = (text: string): string => text.slice(0, text.indexOf('" QoS '));
  let start = 0;
  for (let at = 1; at <= texts.length; at++) {
    if (at < texts.length && keyOf(texts[at] as string) === keyOf(texts[start] as string)) continue;
    const copies = texts.slice(start, at).toSorted(compare);
    texts.splice(start, copies.length, ...copies);
    start = at;
  }
  return texts;
}
