import { isDeepStrictEqual } from 'node:util';
import { type Packet, PacketType } from '../../src/protocol/packets.ts';
import { parseTopicFilter } from '../../src/protocol/topic.ts';
import type { Difference } from './comparison.ts';
import type { Seen } from './normal-form.ts';

/** Why two brokers may differ, or why one of them is wrong. */
export interface Explanation {
  readonly name: string;
  /** Section of the standard. */
  readonly section: string;
  /** Who is right: both, where the standard leaves it open. */
  readonly right: 'both' | 'Trellis' | 'Mosquitto';
  readonly because: string;
  /** Whether the brokers are in the same state afterwards, so that what follows can be compared. */
  readonly states: 'same' | 'differ';
  explains(difference: Difference): boolean;
}

/** Names of wrong packets that Mosquitto lets pass, by the statement or section they break. */
const LET_PASS: ReadonlyMap<string, string> = new Map([
  ['PUBLISH with DUP and QoS 0', 'MQTT-3.3.1-2'],
  ['SUBACK', 'section 2.1.2: from the server only'],
  ['PINGRESP', 'section 2.1.2: from the server only'],
  ['PINGREQ with a body', 'section 3.12.2: it has no variable header, 3.12.3: and no payload'],
  ['PUBLISH with a subscription identifier', 'MQTT-3.3.4-6'],
  ['PUBLISH with payload format 2', 'section 3.3.2.3.2'],
  ['PUBLISH with a wildcard in its response topic', 'MQTT-3.3.2-14'],
  ['SUBSCRIBE with No Local on a shared subscription', 'MQTT-3.8.3-4'],
  ['PUBACK with an unknown reason code', 'MQTT-3.4.2-1'],
  ['PUBREL with an unknown reason code', 'MQTT-3.6.2-1'],
  ['CONNECT with Authentication Data alone', 'section 3.1.2.11.10'],
]);

/** All differences between Trellis and Mosquitto 2.0 that are known. */
export const EXPLANATIONS: readonly Explanation[] = [
  {
    name: 'Mosquitto closes a connection with another reason code, or without one',
    section: '4.13.1, 3.1.4-2, 3.2.2.2',
    right: 'both',
    because:
      'A server may send CONNACK or DISCONNECT before it closes for an error, and which of several codes fits is often open.',
    states: 'same',
    explains: ({ trellis, mosquitto }) =>
      (trellis.end === '') === (mosquitto.end === '') &&
      isDeepStrictEqual(trellis.messages, mosquitto.messages) &&
      isDeepStrictEqual(withoutRefusals(trellis), withoutRefusals(mosquitto)),
  },
  {
    name: 'Mosquitto lets pass what the standard forbids',
    section: '4.13.1, and of each packet that of LET_PASS',
    right: 'Trellis',
    because: 'A malformed packet or a protocol error has to end the connection [MQTT-4.13.1-1].',
    states: 'differ',
    explains: ({ step, trellis, mosquitto }) =>
      wrongNames(step).some((name) => LET_PASS.has(name)) && trellis.end !== '' && mosquitto.end === '',
  },
  {
    name: 'Mosquitto answers PUBREL of an unknown packet id with success',
    section: '3.7.2.1',
    right: 'Trellis',
    because: 'PUBCOMP has 0x92, Packet Identifier not found, for it; it is no error, and changes nothing.',
    states: 'same',
    explains: ({ step, trellis, mosquitto }) =>
      wrongNames(step).includes('PUBREL of nothing') &&
      trellis.end === mosquitto.end &&
      isDeepStrictEqual(
        trellis.answers,
        mosquitto.answers.map((answer) => answer.replace(/^(PUBCOMP \d+) 0x0$/, '$1 0x92')),
      ),
  },
  {
    name: 'Mosquitto ends the connection for a topic filter that is not valid',
    section: '3.9.3, 3.11.3, 4.7',
    right: 'both',
    because:
      'A wrong wildcard or share name breaks a MUST, so that the connection may be closed [MQTT-4.13.1-1]; but SUBACK has 0x8F for one topic filter among others.',
    states: 'differ',
    explains: ({ step, trellis, mosquitto }) =>
      trellis.end === '' && mosquitto.end !== '' && hasFilter(step, (filter) => parseTopicFilter(filter) === undefined),
  },
  {
    name: 'Mosquitto takes a shared subscription without a topic filter',
    section: '4.8.2, 4.7.3',
    right: 'Trellis',
    because: 'A topic filter has at least one character [MQTT-4.7.3-1], that of a shared subscription too.',
    states: 'differ',
    explains: ({ step, trellis, mosquitto }) =>
      hasFilter(step, (filter) => /^\$share\/([^/]*\/)?$/.test(filter)) &&
      trellis.answers.some((answer) => /^SUBACK \d+ .*0x8/.test(answer)) &&
      trellis.end === mosquitto.end,
  },
  {
    name: 'Mosquitto delivers nothing below $ to shared subscriptions',
    section: '4.7.2, 4.8.2',
    right: 'Trellis',
    because: 'A topic filter that begins with $ matches topic names that do, shared or not.',
    states: 'differ',
    explains: ({ steps, at, trellis, mosquitto }) =>
      steps.slice(0, at + 1).some((step) => hasFilter(step, (filter) => /^\$share\/[^/]+\/\$/.test(filter))) &&
      missing(trellis, mosquitto).length > 0 &&
      missing(trellis, mosquitto).every((message) => message.startsWith('$')) &&
      missing(mosquitto, trellis).length === 0,
  },
  {
    name: 'Mosquitto drops the will of a client that sends a second CONNECT',
    section: '3.1.2.5',
    right: 'Trellis',
    because: 'A will is published unless the client said DISCONNECT with reason code 0x00 [MQTT-3.1.2-8].',
    states: 'differ',
    explains: ({ step, trellis, mosquitto }) =>
      wrongNames(step).some((name) => name.startsWith('a second CONNECT')) &&
      missing(trellis, mosquitto).length > 0 &&
      missing(mosquitto, trellis).length === 0,
  },
  {
    name: 'Mosquitto delivers a QoS 2 message when it is released, Trellis when it comes',
    section: '4.3.3',
    right: 'both',
    because:
      'A receiver may start onward delivery at PUBLISH or at PUBREL. What stands between the two in one piece, a subscription or the end of the connection, finds the message delivered, or not yet.',
    states: 'differ',
    explains: ({ step, trellis, mosquitto }) => {
      const different = [...missing(trellis, mosquitto), ...missing(mosquitto, trellis)];
      const published = packetsOf(step).some((packet) => packet.type === PacketType.publish && packet.qos === 2);
      return published && different.length > 0 && different.every((message) => /with QoS 2"|""/.test(message));
    },
  },
];

/** Messages of one that the other has not, as often as they are missing. */
function missing(one: Seen, other: Seen): string[] {
  const left = [...other.messages];
  return one.messages.filter((message) => {
    const at = left.indexOf(message);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

function withoutRefusals({ answers }: Seen): string[] {
  return answers
    .filter((answer) => answer === 'CONNACK 0x0' || !answer.startsWith('CONNACK 0x') || answer.includes('session'))
    .map((answer) => answer.replace(/^before: DISCONNECT 0x[0-9a-f]+, /, 'before: '));
}

/** Names of packets in the step that are wrong on purpose. */
function wrongNames(step: Difference['step']): string[] {
  if (step.kind === 'drop') return [];
  const packets = step.kind === 'open' ? [step.connect] : step.packets;
  return packets.filter(({ packet }) => packet === undefined).map(({ name }) => name);
}

function packetsOf(step: Difference['step']): Packet[] {
  if (step.kind !== 'send') return [];
  return step.packets.map(({ packet }) => packet).filter((packet) => packet !== undefined);
}

function hasFilter(step: Difference['step'], isSuch: (topicFilter: string) => boolean): boolean {
  return packetsOf(step).some((packet) => filtersOf(packet).some(isSuch));
}

function filtersOf(packet: Packet): readonly string[] {
  if (packet.type === PacketType.subscribe) return packet.subscriptions.map(({ topicFilter }) => topicFilter);
  return packet.type === PacketType.unsubscribe ? packet.topicFilters : [];
}
