import type { IPublishPacket } from 'mqtt';
import { UsageError } from './errors.ts';

/** A message as `sub` prints it. */
interface PrintedMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly packet: IPublishPacket;
  /** When it came in. */
  readonly time: Date;
}

/** Makes the bytes to print of a message. */
export type OutputFormat = (message: PrintedMessage) => Buffer;

/** Conversions of -F, those of mosquitto_sub: what each letter stands for. */
const conversions: ReadonlyMap<string, (message: PrintedMessage) => string | Buffer> = new Map<
  string,
  (message: PrintedMessage) => string | Buffer
>([
  ['%', () => '%'],
  ['A', ({ packet }) => String(packet.properties?.topicAlias ?? '')],
  ['C', ({ packet }) => packet.properties?.contentType ?? ''],
  ['D', ({ packet }) => packet.properties?.correlationData ?? ''],
  ['E', ({ packet }) => String(packet.properties?.messageExpiryInterval ?? '')],
  ['F', ({ packet }) => indicator(packet.properties?.payloadFormatIndicator)],
  ['I', ({ time }) => time.toISOString()],
  ['j', (message) => JSON.stringify(jsonObject(message, message.payload.toString()))],
  ['J', (message) => JSON.stringify(jsonObject(message, parsedPayload(message.payload)))],
  ['l', ({ payload }) => String(payload.length)],
  ['m', ({ packet }) => String(packet.messageId ?? 0)],
  ['p', ({ payload }) => payload],
  ['P', ({ packet }) => userProperties(packet).join(' ')],
  ['q', ({ packet }) => String(packet.qos)],
  ['R', ({ packet }) => packet.properties?.responseTopic ?? ''],
  ['r', ({ packet }) => (packet.retain ? '1' : '0')],
  ['S', ({ packet }) => [packet.properties?.subscriptionIdentifier ?? []].flat().join(' ')],
  ['t', ({ topic }) => topic],
  ['U', ({ time }) => (time.getTime() / 1_000).toFixed(9)],
  ['x', ({ payload }) => payload.toString('hex')],
  ['X', ({ payload }) => payload.toString('hex').toUpperCase()],
]);

/** What follows a backslash in -F. */
const escapes: ReadonlyMap<string, string> = new Map([
  ['\\', '\\'],
  ['0', '\0'],
  ['a', '\u0007'],
  ['e', '\u001b'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
]);

/** Understands a format of -F, such as `%I %t %p`. @throws UsageError on a letter or an escape it does not know. */
export function parseFormat(format: string): OutputFormat {
  const parts: (Buffer | ((message: PrintedMessage) => string | Buffer))[] = [];
  for (const [token] of format.matchAll(/[%\\][\s\S]?|[^%\\]+/gu)) {
    const letter = token.slice(1);
    if (token.startsWith('%')) {
      const conversion = conversions.get(letter);
      if (conversion === undefined) {
        throw new UsageError(`-F does not know %${letter}; it knows %${[...conversions.keys()].join(' %')}.`);
      }
      parts.push(conversion);
    } else if (token.startsWith('\\')) {
      const escape = escapes.get(letter);
      if (escape === undefined) throw new UsageError(`-F does not know \\${letter}.`);
      parts.push(Buffer.from(escape));
    } else parts.push(Buffer.from(token));
  }
  return (message) =>
    Buffer.concat(
      parts.map((part) => {
        const value = typeof part === 'function' ? part(message) : part;
        return typeof value === 'string' ? Buffer.from(value) : value;
      }),
    );
}

/** The payload alone, or with `verbose` the topic name before it, as mosquitto_sub prints it. */
export function plainFormat(verbose: boolean): OutputFormat {
  if (!verbose) return ({ payload }) => payload;
  return ({ topic, payload }) =>
    Buffer.concat([Buffer.from(`${topic} `), payload.length > 0 ? payload : Buffer.from('(null)')]);
}

function indicator(value: boolean | undefined): string {
  if (value === undefined) return '';
  return value ? '1' : '0';
}

function userProperties(packet: IPublishPacket): string[] {
  const pairs: string[] = [];
  for (const [name, values] of Object.entries(packet.properties?.userProperties ?? {})) {
    for (const value of [values].flat()) pairs.push(`${name}:${value}`);
  }
  return pairs;
}

function jsonObject({ topic, payload, packet, time }: PrintedMessage, shown: unknown): Record<string, unknown> {
  return {
    tst: time.toISOString(),
    topic,
    qos: packet.qos,
    retain: packet.retain ? 1 : 0,
    payloadlen: payload.length,
    ...(packet.qos > 0 ? { mid: packet.messageId } : {}),
    ...(packet.properties === undefined ? {} : { properties: jsonProperties(packet.properties) }),
    payload: shown,
  };
}

function jsonProperties(properties: NonNullable<IPublishPacket['properties']>): Record<string, unknown> {
  const { correlationData, ...rest } = properties;
  return correlationData === undefined ? rest : { ...rest, correlationData: correlationData.toString() };
}

/** The payload as the JSON it is, or as text where it is none. */
function parsedPayload(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return payload.toString();
  }
}
