import { isDeepStrictEqual } from 'node:util';
import { type Packet, PacketType, type Will } from '../../src/protocol/packets.ts';
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
    name: 'Mosquitto takes a shared subscription without a share name or topic filter',
    section: '4.8.2, 4.7.3',
    right: 'Trellis',
    because: 'Both have at least one character [MQTT-4.7.3-1] [MQTT-4.8.2-1].',
    states: 'differ',
    explains: ({ step, trellis, mosquitto }) =>
      hasFilter(step, (filter) => /^\$share\/(\/|[^/]*\/?$)/.test(filter)) &&
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
    name: 'Mosquitto drops the will of a connection that is taken over',
    section: '3.1.2.5, 3.1.4',
    right: 'Trellis',
    because: 'The connection ended without a DISCONNECT, so that its will is published [MQTT-3.1.2-8].',
    states: 'differ',
    explains: (difference) => {
      const topicNames = new Set(willsTakenOver(difference).map(({ topicName }) => topicName));
      const different = differentMessages(difference);
      return (
        different.length > 0 && different.every((message) => topicNames.has(message.slice(0, message.indexOf(' '))))
      );
    },
  },
  {
    name: 'Mosquitto keeps Retain As Published of a subscription that is replaced',
    section: '3.8.4',
    right: 'Trellis',
    because: 'The subscription options are replaced along with the subscription [MQTT-3.8.4-3].',
    states: 'same',
    explains: (difference) =>
      difference.steps
        .slice(0, difference.at + 1)
        .some(
          (step) =>
            step.client === difference.client && packetsOf(step).some((packet) => packet.type === PacketType.subscribe),
        ) && isDeepStrictEqual(withoutRetain(difference.trellis), withoutRetain(difference.mosquitto)),
  },
  {
    name: 'Trellis keeps a message for a shared subscription until a member has room for it',
    section: '3.3.4, 4.8.2',
    right: 'both',
    because:
      'A PUBLISH may wait while as many as the Receive Maximum are not acknowledged, QoS 0 after downgrading too.',
    states: 'differ',
    explains: (difference) =>
      missing(difference.trellis, difference.mosquitto).length === 0 &&
      differentMessages(difference).length > 0 &&
      neverAcknowledges(difference) &&
      difference.steps
        .slice(0, difference.at + 1)
        .some((step) => step.client === difference.client && hasFilter(step, isShared)),
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
      const different = differentMessages({ trellis, mosquitto });
      const published = packetsOf(step).some((packet) => packet.type === PacketType.publish && packet.qos === 2);
      return published && different.length > 0 && different.every((message) => /with QoS 2"|""/.test(message));
    },
  },
  {
    name: 'Mosquitto sends retained messages to new shared subscriptions',
    section: '4.8.2',
    right: 'Trellis',
    because:
      'A shared subscription gets no retained messages when it is made; they would go to one member for no reason.',
    states: 'differ',
    explains: ({ step, trellis, mosquitto }) => {
      const more = missing(mosquitto, trellis);
      const isRetained = (message: string): boolean => /" QoS \d retained/.test(message);
      return (
        hasFilter(step, isShared) &&
        missing(trellis, mosquitto).length === 0 &&
        more.length > 0 &&
        more.every(isRetained)
      );
    },
  },
  {
    name: 'Trellis sends retained messages once SUBACK may go out, with what was retained behind SUBSCRIBE meanwhile',
    section: '3.8.4, 3.3.1.3',
    right: 'both',
    because:
      'The SUBACK of a stored session waits for the store. A message that the client publishes without waiting for it is delivered by the subscription, and is the retained one by the time those are sent.',
    states: 'differ',
    explains: ({ step, trellis, mosquitto }) => {
      const more = missing(trellis, mosquitto);
      const isRetainedNow = (message: string): boolean =>
        /" QoS \d retained/.test(message) && publishedIn(step).some((payload) => message.includes(`"${payload}"`));
      return missing(mosquitto, trellis).length === 0 && more.length > 0 && more.every(isRetainedNow);
    },
  },
  {
    name: 'Mosquitto forgets No Local when a session is resumed',
    section: '3.8.3.1',
    right: 'Trellis',
    because: 'No Local is part of the subscription, which is part of the session [MQTT-3.8.3-3].',
    states: 'differ',
    explains: ({ steps, step, at, client, trellis, mosquitto }) => {
      const more = missing(mosquitto, trellis);
      const hasNoLocal = steps
        .slice(0, at)
        .some((earlier) => earlier.client === client && packetsOf(earlier).some(isNoLocal));
      const isOwn = (message: string): boolean => publishedIn(step).some((payload) => message.includes(`"${payload}"`));
      return step.client === client && hasNoLocal && missing(trellis, mosquitto).length === 0 && more.every(isOwn);
    },
  },
  {
    name: 'answers to what came before an error in the same piece are not sent any more by one of the brokers',
    section: '4.13.1',
    right: 'both',
    because:
      'Once a connection is closed nothing is owed on it; what was done is done, and the client sends again what was not acknowledged.',
    states: 'same',
    explains: ({ trellis, mosquitto }) =>
      trellis.end !== '' &&
      mosquitto.end !== '' &&
      isDeepStrictEqual(trellis.messages, mosquitto.messages) &&
      (isPart(trellis.answers, mosquitto.answers) || isPart(mosquitto.answers, trellis.answers)),
  },
];

function isShared(topicFilter: string): boolean {
  return topicFilter.startsWith('$share/');
}

function isNoLocal(packet: Packet): boolean {
  return packet.type === PacketType.subscribe && packet.subscriptions.some(({ noLocal }) => noLocal);
}

/** Payloads published in a step. */
function publishedIn(step: Difference['step']): string[] {
  return packetsOf(step)
    .filter((packet) => packet.type === PacketType.publish)
    .map(({ payload }) => Buffer.from(payload).toString());
}

function isPart(some: readonly string[], all: readonly string[]): boolean {
  return some.every((one) => all.includes(one));
}

/** Messages of one that the other has not, as often as they are missing. */
function missing(one: Seen, other: Seen): string[] {
  const left = [...other.messages];
  return one.messages.filter((message) => {
    const at = left.indexOf(message);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

function differentMessages({ trellis, mosquitto }: Pick<Difference, 'trellis' | 'mosquitto'>): string[] {
  return [...missing(trellis, mosquitto), ...missing(mosquitto, trellis)];
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

/** Whether the connection of the client that saw the difference acknowledges nothing. */
function neverAcknowledges({ steps, at, client }: Difference): boolean {
  const opened = steps.slice(0, at + 1).findLast((step) => step.kind === 'open' && step.client === client);
  return opened?.kind === 'open' && !opened.acknowledges;
}

function withoutRetain({ answers, messages, end }: Seen): Seen {
  const texts = messages.map((message) => message.replace(/(" QoS \d) retained/, '$1'));
  return { answers, messages: texts.toSorted((one, other) => (one < other ? -1 : 1)), end };
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
