import { UsageError } from './errors.ts';
import type { GivenFlag } from './flags.ts';

/** The packets -D can give properties to. */
export type PropertyPacket = 'connect' | 'publish' | 'subscribe' | 'unsubscribe' | 'disconnect' | 'will';

/** Properties by the names MQTT.js has for them. */
export type PropertyBag = Record<string, unknown>;

type PropertyKind = 'boolean' | 'integer' | 'text' | 'binary' | 'pair';

interface PropertyRow {
  /** Name in MQTT.js. */
  readonly key: string;
  readonly kind: PropertyKind;
  /** Bounds of an integer. */
  readonly min?: number;
  readonly max?: number;
  readonly packets: readonly PropertyPacket[];
}

const uint32 = { kind: 'integer', min: 0, max: 4_294_967_295 } as const;
const uint16 = { kind: 'integer', min: 0, max: 65_535 } as const;

/** The properties a client may send, section 2.2.2.2, by the names of the mosquitto clients. */
const rows: ReadonlyMap<string, PropertyRow> = new Map<string, PropertyRow>([
  ['payload-format-indicator', { key: 'payloadFormatIndicator', kind: 'boolean', packets: ['publish', 'will'] }],
  ['message-expiry-interval', { key: 'messageExpiryInterval', ...uint32, packets: ['publish', 'will'] }],
  ['content-type', { key: 'contentType', kind: 'text', packets: ['publish', 'will'] }],
  ['response-topic', { key: 'responseTopic', kind: 'text', packets: ['publish', 'will'] }],
  ['correlation-data', { key: 'correlationData', kind: 'binary', packets: ['publish', 'will'] }],
  ['topic-alias', { key: 'topicAlias', ...uint16, min: 1, packets: ['publish'] }],
  ['will-delay-interval', { key: 'willDelayInterval', ...uint32, packets: ['will'] }],
  [
    'subscription-identifier',
    { key: 'subscriptionIdentifier', kind: 'integer', min: 1, max: 268_435_455, packets: ['subscribe'] },
  ],
  ['session-expiry-interval', { key: 'sessionExpiryInterval', ...uint32, packets: ['connect', 'disconnect'] }],
  ['receive-maximum', { key: 'receiveMaximum', ...uint16, min: 1, packets: ['connect'] }],
  ['maximum-packet-size', { key: 'maximumPacketSize', ...uint32, min: 1, packets: ['connect'] }],
  ['topic-alias-maximum', { key: 'topicAliasMaximum', ...uint16, packets: ['connect'] }],
  ['request-problem-information', { key: 'requestProblemInformation', kind: 'boolean', packets: ['connect'] }],
  ['request-response-information', { key: 'requestResponseInformation', kind: 'boolean', packets: ['connect'] }],
  ['authentication-method', { key: 'authenticationMethod', kind: 'text', packets: ['connect'] }],
  ['authentication-data', { key: 'authenticationData', kind: 'binary', packets: ['connect'] }],
  ['reason-string', { key: 'reasonString', kind: 'text', packets: ['disconnect'] }],
  [
    'user-property',
    {
      key: 'userProperties',
      kind: 'pair',
      packets: ['connect', 'publish', 'subscribe', 'unsubscribe', 'disconnect', 'will'],
    },
  ],
]);

/** Whether the words after -D name a property of two values, so that one more word belongs to it. */
export function isPair(values: readonly string[]): boolean {
  return rows.get(values[1] ?? '')?.kind === 'pair' && values.length === 3;
}

/**
 * Adds one `-D packet property value [value]` to what is there already.
 * @throws UsageError when there is no such property, not in this packet, or not with this value.
 */
export function addProperty(
  bags: Map<PropertyPacket, PropertyBag>,
  flag: GivenFlag,
  allowed: readonly PropertyPacket[],
): void {
  const [packetName = '', name = '', text = '', second = ''] = flag.values;
  const packet = allowed.find((known) => known === packetName);
  if (packet === undefined) throw new UsageError(`${flag.typed} takes ${allowed.join(', ')}, not ${packetName}.`);
  const row = rows.get(name);
  if (row === undefined || !row.packets.includes(packet)) {
    const known = [...rows].filter(([, { packets }]) => packets.includes(packet)).map(([key]) => key);
    throw new UsageError(`${flag.typed}: ${packet} has no property ${name}; it has ${known.join(', ')}.`);
  }
  let bag = bags.get(packet);
  if (bag === undefined) bags.set(packet, (bag = {}));
  if (row.kind === 'pair') {
    addPair(bag, text, second);
    return;
  }
  if (Object.hasOwn(bag, row.key)) throw new UsageError(`${flag.typed} ${packet} ${name} can be given once only.`);
  bag[row.key] = propertyValue(row, `${flag.typed} ${packet} ${name}`, text);
}

function addPair(bag: PropertyBag, name: string, value: string): void {
  // A null prototype, so that a name such as __proto__ is a name like others.
  const pairs = (bag['userProperties'] ??= Object.create(null)) as Record<string, string | string[]>;
  const before = pairs[name];
  if (before === undefined) pairs[name] = value;
  else pairs[name] = Array.isArray(before) ? [...before, value] : [before, value];
}

function propertyValue(row: PropertyRow, subject: string, text: string): unknown {
  switch (row.kind) {
    case 'boolean':
      if (text !== '0' && text !== '1') throw new UsageError(`${subject} must be 0 or 1, not ${JSON.stringify(text)}.`);
      return text === '1';
    case 'integer': {
      const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
      const { min = 0, max = 0 } = row;
      if (value >= min && value <= max) return value;
      throw new UsageError(`${subject} must be an integer from ${min} to ${max}, not ${JSON.stringify(text)}.`);
    }
    case 'binary':
      return Buffer.from(text);
    case 'text':
    case 'pair':
      return text;
  }
}
