import { isDeepStrictEqual } from 'node:util';
import { type Packet, PacketType, type PublishPacket, type Will } from '../../src/protocol/packets.ts';
import { parseTopicFilter } from '../../src/protocol/topic.ts';
import type { Difference } from './comparison.ts';
import { BROKEN_OFF, type Seen } from './normal-form.ts';
import type { Step } from './step.ts';

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
  /** Whether it explains that answers, or the ends of connections, are not the same. */
  readonly explainsAnswers?: (difference: Difference) => boolean;
  /** Whether it explains that one broker sent this message and the other did not. */
  readonly explainsMessage?: (message: SurplusMessage, difference: Difference) => boolean;
}

/** A message, in its normal form, that only one of the brokers sent. */
export interface SurplusMessage {
  readonly text: string;
  readonly from: 'trellis' | 'mosquitto';
}

/** Names of wrong packets that Mosquitto lets pass, by the statement or section they break. */
const LET_PASS: ReadonlyMap<string, string> = new Map([
  ['PUBLISH with DUP and QoS 0', 'MQTT-3.3.1-2'],
  ['SUBACK', 'section 2.1.2: from the server only'],
  ['PINGRESP', 'section 2.1.2: from the server only'],
  ['PINGREQ with a body', 'section 3.12: it has neither variable header nor payload'],
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
    name: 'Mosquitto lets pass what the standard forbids',
    section: '4.13.1, and of each packet that of LET_PASS',
    right: 'Trellis',
    because: 'A malformed packet or a protocol error has to end the connection [MQTT-4.13.1-1].',
    states: 'differ',
    explainsAnswers: ({ step, trellis, mosquitto }) =>
      wrongNames(step).some((name) => LET_PASS.has(name)) &&
      isOver(trellis) &&
      (!isOver(mosquitto) || mosquitto.end === BROKEN_OFF),
  },
  {
    name: 'Mosquitto closes a connection with another reason code, or without one',
    section: '4.13.1, 3.1.4-2, 3.2.2.2',
    right: 'both',
    because:
      'A server may send CONNACK or DISCONNECT before it closes for an error, and which of several codes fits is often open.',
    states: 'same',
    explainsAnswers: ({ trellis, mosquitto }) =>
      isOver(trellis) === isOver(mosquitto) && isDeepStrictEqual(withoutReasons(trellis), withoutReasons(mosquitto)),
  },
  {
    name: 'Mosquitto answers PUBREL of an unknown packet id with success',
    section: '3.7.2.1',
    right: 'Trellis',
    because: 'PUBCOMP has 0x92, Packet Identifier not found, for it; it is no error, and changes nothing.',
    states: 'same',
    explainsAnswers: ({ step, trellis, mosquitto }) =>
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
    explainsAnswers: ({ step, trellis, mosquitto }) =>
      !isOver(trellis) && isOver(mosquitto) && hasFilter(step, isInvalid),
    explainsMessage: ({ text, from }, { step }) =>
      from === 'trellis' && hasFilter(step, isInvalid) && carriesOneOf(text, publishedIn(step)),
  },
  {
    name: 'Mosquitto takes a shared subscription without a share name or topic filter',
    section: '4.8.2, 4.7.3',
    right: 'Trellis',
    because: 'Both have at least one character [MQTT-4.7.3-1] [MQTT-4.8.2-1].',
    states: 'differ',
    explainsAnswers: ({ step, trellis, mosquitto }) =>
      hasFilter(step, (filter) => /^\$share\/(\/|[^/]*\/?$)/.test(filter)) &&
      trellis.answers.some((answer) => /^SUBACK \d+ .*0x8/.test(answer)) &&
      trellis.end === mosquitto.end,
  },
  {
    name: 'answers to what came before an error in the same piece are not sent any more by one of the brokers',
    section: '4.13.1',
    right: 'both',
    because:
      'Once a connection is closed nothing is owed on it; what was done is done, and the client sends again what was not acknowledged.',
    states: 'same',
    explainsAnswers: ({ trellis, mosquitto }) =>
      isOver(trellis) &&
      isOver(mosquitto) &&
      isDeepStrictEqual(trellis.answers.filter(isNoAcknowledgement), mosquitto.answers.filter(isNoAcknowledgement)),
  },
  {
    name: 'Mosquitto delivers nothing below $ to shared subscriptions',
    section: '4.7.2, 4.8.2',
    right: 'Trellis',
    because: 'A topic filter that begins with $ matches topic names that do, shared or not.',
    states: 'differ',
    explainsMessage: ({ text, from }, { client, steps, at }) =>
      from === 'trellis' &&
      text.startsWith('$') &&
      stepsOf(client, steps, at).some((step) => hasFilter(step, (filter) => /^\$share\/[^/]+\/\$/.test(filter))),
  },
  {
    name: 'Mosquitto drops the will of a connection that is taken over along with its session',
    section: '3.1.2.5, 3.1.4',
    right: 'Trellis',
    because: 'The connection ended without a DISCONNECT, so that its will is published [MQTT-3.1.2-8].',
    states: 'differ',
    explainsMessage: ({ text }, difference) =>
      willsTakenOver(difference).some(({ topicName }) => topicName === topicOf(text)),
  },
  {
    name: 'Mosquitto drops the will and the session of a client that sends a second CONNECT',
    section: '3.1.0, 3.1.2.5, 4.1',
    right: 'Trellis',
    because:
      'The server closes the connection [MQTT-3.1.0-2]. A will is published unless the client said DISCONNECT [MQTT-3.1.2-8], and the session lasts until it expires.',
    states: 'differ',
    explainsAnswers: ({ client, steps, at, trellis, mosquitto }) =>
      trellis.answers.includes('CONNACK 0x0 session present') &&
      mosquitto.answers.includes('CONNACK 0x0') &&
      stepsOf(client, steps, at).some(connectsAgain),
    explainsMessage: (_message, { steps, at }) => steps.slice(0, at + 1).some(connectsAgain),
  },
  {
    name: 'Mosquitto takes every DISCONNECT, wrong ones too, for a normal disconnection',
    section: '3.1.2.5, 3.14.4',
    right: 'Trellis',
    because: 'Only 0x00 removes the will [MQTT-3.14.4-3].',
    states: 'differ',
    explainsMessage: (_message, { steps, at }) =>
      steps.slice(0, at + 1).some((step) => wrongNames(step).some((name) => name.startsWith('DISCONNECT with'))),
  },
  {
    name: 'Mosquitto keeps Retain As Published and No Local of a subscription that is replaced',
    section: '3.8.4',
    right: 'Trellis',
    because: 'The subscription options are replaced along with the subscription [MQTT-3.8.4-3].',
    states: 'differ',
    explainsMessage: ({ text, from }, difference) => {
      const { client, steps, step, at } = difference;
      const others = from === 'trellis' ? difference.mosquitto : difference.trellis;
      const earlier = stepsOf(client, steps, at);
      const filters = earlier.flatMap(filtersOfStep);
      const isReplaced = filters.length > new Set(filters).size;
      const isOwn = from === 'trellis' && step.client === client && earlier.flatMap(packetsOf).some(hasNoLocal);
      return (
        isReplaced &&
        (isOwn || others.messages.some((other) => other !== text && withoutRetain(other) === withoutRetain(text)))
      );
    },
  },
  {
    name: 'Mosquitto forgets No Local when a session is resumed',
    section: '3.8.3.1',
    right: 'Trellis',
    because: 'No Local is part of the subscription, which is part of the session [MQTT-3.8.3-3].',
    states: 'differ',
    explainsMessage: ({ text, from }, { client, steps, step, at }) =>
      from === 'mosquitto' &&
      step.client === client &&
      carriesOneOf(text, publishedIn(step)) &&
      stepsOf(client, steps, at).some((earlier) => packetsOf(earlier).some(hasNoLocal)),
  },
  {
    name: 'Mosquitto sends retained messages to new shared subscriptions',
    section: '4.8.2',
    right: 'Trellis',
    because:
      'A shared subscription gets no retained messages when it is made; they would go to one member for no reason.',
    states: 'differ',
    explainsMessage: ({ text, from }, { step }) =>
      from === 'mosquitto' && isRetained(text) && hasFilter(step, (filter) => filter.startsWith('$share/')),
  },
  {
    name: 'Trellis sends retained messages once SUBACK may go out, by what came behind SUBSCRIBE meanwhile',
    section: '3.8.4, 3.3.1.3',
    right: 'both',
    because:
      'The SUBACK of a stored session waits for the store. A message that the client publishes without waiting for it is delivered by the subscription, and is the retained one by the time those are sent; or the subscription is gone by then, or another took its place, or the connection.',
    states: 'differ',
    explainsMessage: ({ text, from }, { client, step, steps, at }) => {
      if (step.client !== client || !isRetained(text)) return false;
      // The connection was gone before SUBACK: the client will subscribe again.
      if (step.kind === 'open') return from === 'mosquitto' && stepsOf(client, steps, at).some(hasSubscribe);
      const filters = filtersOfStep(step);
      const retained = publishedIn(step).filter(({ retain }) => retain);
      const isChanged = retained.some(({ topicName }) => topicName === '' || topicName === topicOf(text));
      const isReplaced = new Set(filters).size < filters.length;
      return hasSubscribe(step) && (isChanged || isReplaced || packetsOf(step).some(isUnsubscribe));
    },
  },
  {
    name: 'Mosquitto delivers a QoS 2 message when it is released, Trellis when it comes',
    section: '4.3.3',
    right: 'both',
    because:
      'A receiver may start onward delivery at PUBLISH or at PUBREL. What stands between the two in one piece, a subscription or the end of the connection, finds the message delivered, or not yet.',
    states: 'differ',
    explainsMessage: ({ text }, { client, steps, step, at }) => {
      const published = steps
        .slice(0, at + 1)
        .flatMap(publishedIn)
        .filter(({ qos }) => qos === 2);
      const late = published.filter(({ topicName }) => topicName === '' || topicName === topicOf(text));
      // Which of several is retained, and which of them takes the last room in a Receive Maximum, changes with it.
      if (isRetained(text) && late.some(({ retain }) => retain)) return true;
      if (neverAcknowledges(client, steps, at) && publishedIn(step).some(({ qos }) => qos === 2)) return true;
      return carriesOneOf(text, late);
    },
  },
  {
    name: 'Trellis sends retained messages one after the other, while the client takes them',
    section: '3.3.4, 3.8.4',
    right: 'both',
    because:
      'They go on once there is room in the Receive Maximum, those with QoS 0 among them too. This client acknowledges nothing.',
    states: 'differ',
    explainsMessage: ({ text, from }, { client, steps, at }) =>
      from === 'mosquitto' && isRetained(text) && neverAcknowledges(client, steps, at),
  },
  {
    name: 'Trellis keeps what was published with QoS 1 or 2 for a shared subscription whose only member is away',
    section: '4.8.2, 3.8.4',
    right: 'both',
    because:
      'Which member gets it, and with it the QoS granted, is decided when it is sent. Mosquitto drops it, the member having been granted QoS 0.',
    states: 'differ',
    explainsMessage: ({ text, from }, { client, step, steps, at }) =>
      from === 'trellis' &&
      step.kind === 'open' &&
      step.client === client &&
      / QoS [12]" QoS 0/.test(text) &&
      stepsOf(client, steps, at).some((earlier) => hasFilter(earlier, (filter) => filter.startsWith('$share/'))),
  },
  {
    name: 'messages under way when an error ends the connection arrive from one of the brokers only',
    section: '4.13.1, 4.4',
    right: 'both',
    because:
      'Nothing is owed on a connection that is closed. With QoS 1 and 2 it comes again with the next one, marked DUP where it was sent before.',
    states: 'differ',
    explainsMessage: (_message, { client, step, trellis, mosquitto }) =>
      step.client === client && isOver(trellis) && isOver(mosquitto),
  },
];

/** Messages that only one of the brokers sent, as often as the other has not. */
export function surplusMessages({ trellis, mosquitto }: Difference): SurplusMessage[] {
  return [
    ...surplus(trellis, mosquitto).map((text) => ({ text, from: 'trellis' as const })),
    ...surplus(mosquitto, trellis).map((text) => ({ text, from: 'mosquitto' as const })),
  ];
}

function surplus(one: Seen, other: Seen): string[] {
  const left = [...other.messages];
  return one.messages.filter((message) => {
    const at = left.indexOf(message);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

function isOver({ end }: Seen): boolean {
  return end !== '';
}

/** The answers without CONNACK that refuse, and without the reason codes of connections that were taken over and what came on them last. */
function withoutReasons({ answers }: Seen): string[] {
  return answers
    .filter((answer) => !/^CONNACK 0x[1-9a-f]/.test(answer) && !/^before: .*"/.test(answer))
    .map((answer) => answer.replace(/^before: DISCONNECT 0x[0-9a-f]+, /, 'before: '));
}

function isNoAcknowledgement(answer: string): boolean {
  return !/^(PUB|SUB|UNSUB)/.test(answer);
}

function stepsOf(client: number, steps: readonly Step[], at: number): Step[] {
  return steps.slice(0, at + 1).filter((step) => step.client === client);
}

/** Names of packets in the step that are wrong on purpose. */
function wrongNames(step: Step): string[] {
  if (step.kind === 'drop') return [];
  const packets = step.kind === 'open' ? [step.connect] : step.packets;
  return packets.filter(({ packet }) => packet === undefined).map(({ name }) => name);
}

function packetsOf(step: Step): Packet[] {
  if (step.kind !== 'send') return [];
  return step.packets.map(({ packet }) => packet).filter((packet) => packet !== undefined);
}

function publishedIn(step: Step): PublishPacket[] {
  return packetsOf(step).filter((packet) => packet.type === PacketType.publish);
}

/** Whether a message is one of these. */
function carriesOneOf(message: string, published: readonly PublishPacket[]): boolean {
  return published.some(({ payload }) => message.includes(`"${Buffer.from(payload).toString()}"`));
}

function isInvalid(topicFilter: string): boolean {
  return parseTopicFilter(topicFilter) === undefined;
}

function hasSubscribe(step: Step): boolean {
  return packetsOf(step).some(({ type }) => type === PacketType.subscribe);
}

function isUnsubscribe({ type }: Packet): boolean {
  return type === PacketType.unsubscribe;
}

function filtersOfStep(step: Step): string[] {
  return packetsOf(step).flatMap((packet) => {
    if (packet.type === PacketType.subscribe) return packet.subscriptions.map(({ topicFilter }) => topicFilter);
    return packet.type === PacketType.unsubscribe ? packet.topicFilters : [];
  });
}

function hasFilter(step: Step, isSuch: (topicFilter: string) => boolean): boolean {
  return filtersOfStep(step).some(isSuch);
}

function connectsAgain(step: Step): boolean {
  return wrongNames(step).some((name) => name.startsWith('a second CONNECT'));
}

function hasNoLocal(packet: Packet): boolean {
  return packet.type === PacketType.subscribe && packet.subscriptions.some(({ noLocal }) => noLocal);
}

function isRetained(message: string): boolean {
  return withoutRetain(message) !== message;
}

function withoutRetain(message: string): string {
  return message.replace(/(" QoS \d) retained/, '$1');
}

function topicOf(message: string): string {
  return message.slice(0, message.indexOf(' '));
}

/** Wills of connections whose client had opened another one by then. */
function willsTakenOver({ steps, at }: Difference): Will[] {
  const wills: Will[] = [];
  const armed = new Map<number, Will | undefined>();
  for (const step of steps.slice(0, at + 1)) {
    if (step.kind !== 'open') continue;
    const will = armed.get(step.client);
    if (will !== undefined) wills.push(will);
    const { packet } = step.connect;
    armed.set(step.client, packet?.type === PacketType.connect ? packet.will : undefined);
  }
  return wills;
}

/** Whether the connection that a client has acknowledges nothing. */
function neverAcknowledges(client: number, steps: readonly Step[], at: number): boolean {
  const opened = stepsOf(client, steps, at).findLast((step) => step.kind === 'open');
  return opened?.kind === 'open' && !opened.acknowledges;
}
