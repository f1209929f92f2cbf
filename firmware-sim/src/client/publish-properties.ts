import { isUtf8 } from 'node:buffer';
import type { MessageProperties } from './client.ts';
import { Malformed } from './malformed.ts';

/** Where a reading stands in the bytes of a packet. */
interface Place {
  readonly bytes: Buffer;
  readonly end: number;
  at: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * The properties of a PUBLISH (MQTT 5, 3.3.2.3) in `bytes` from `start` to before `end`, their length not included;
 * those that devices have no use for are checked and left out.
 * @throws Malformed for what a broker must not send to a client that offered no topic aliases.
 */
export function readPublishProperties(bytes: Buffer, start: number, end: number): MessageProperties {
  const place: Place = { bytes, end, at: start };
  const properties: Mutable<MessageProperties> = {};
  let seen = 0;
  while (place.at < end) {
    const identifier = takeByte(place);
    if (identifier < 32 && identifier !== 0x0b) {
      if ((seen & (1 << identifier)) !== 0) throw new Malformed(`PUBLISH with property ${identifier} twice`);
      seen |= 1 << identifier;
    }
    readProperty(place, identifier, properties);
  }
  return properties;
}

function readProperty(place: Place, identifier: number, properties: Mutable<MessageProperties>): void {
  switch (identifier) {
    case 0x01:
      if (takeByte(place) > 1) throw new Malformed('PUBLISH with a payload format that is neither 0 nor 1');
      return;
    case 0x02:
      properties.messageExpiryInterval = takeUInt16(place) * 0x10000 + takeUInt16(place);
      return;
    case 0x03:
      properties.contentType = takeText(place);
      return;
    case 0x08:
      properties.responseTopic = takeText(place);
      return;
    case 0x09:
      properties.correlationData = Buffer.from(takeBinary(place));
      return;
    case 0x0b:
      takeVariableByteInteger(place);
      return;
    case 0x23:
      throw new Malformed('PUBLISH with a topic alias, which the client did not offer');
    case 0x26: {
      // Names are the broker's: no prototype to be confused with.
      const pairs = (properties.userProperties ??= Object.create(null)) as Record<string, string>;
      const name = takeText(place);
      pairs[name] = takeText(place);
      return;
    }
    default:
      throw new Malformed(`PUBLISH with property ${identifier}, which is none of its`);
  }
}

function takeByte(place: Place): number {
  if (place.at >= place.end) throw new Malformed('PUBLISH with properties that are cut short');
  return place.bytes[place.at++] as number;
}

function takeUInt16(place: Place): number {
  return takeByte(place) * 256 + takeByte(place);
}

function takeVariableByteInteger(place: Place): number {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = takeByte(place);
    value |= (byte & 127) << shift;
    if (byte < 128) return value;
  }
  throw new Malformed('PUBLISH with a variable byte integer of more than four bytes');
}

function takeBinary(place: Place): Buffer {
  const length = takeUInt16(place);
  const start = place.at;
  if (start + length > place.end) throw new Malformed('PUBLISH with properties that are cut short');
  place.at = start + length;
  return place.bytes.subarray(start, place.at);
}

function takeText(place: Place): string {
  const bytes = takeBinary(place);
  if (!isUtf8(bytes) || bytes.includes(0)) throw new Malformed('PUBLISH with a property that is not UTF-8');
  return bytes.toString('utf8');
}
