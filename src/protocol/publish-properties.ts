import type { ProtocolError } from './errors.ts';
import { malformed, protocolError } from './errors.ts';
import { responseTopicEmpty, responseTopicWildcard, topicAliasZero } from './properties.ts';
import { PropertyId } from './property-table.ts';
import type { PublishFrame } from './publish.ts';
import { scanString, WILDCARD } from './utf8.ts';

/** Bits of the properties met, for those that may come once; property identifiers of PUBLISH up to 31 use their own bit. */
const TOPIC_ALIAS_BIT = 1;

/**
 * Checks the properties of a PUBLISH from a client in place, section 3.3.2.3, and notes in the frame those the broker
 * acts on. Made for the hot path; `decodePropertyList` makes an object of any packet's.
 *
 * @throws ProtocolError 0x81 for properties unknown or of another packet, lengths that do not fit and ill-formed strings;
 *   0x82 for repeated ones, subscription identifiers and excluded values; 0x94 for topic alias 0.
 */
export function scanPublishProperties(frame: PublishFrame): void {
  const { buffer, propertiesStart, propertiesEnd: end } = frame;
  let seen = 0;
  let at = propertiesStart;
  while (at < end) {
    const id = buffer[at]!;
    if (id === PropertyId.userProperty) {
      const valueStart = checkString(buffer, at + 1, end);
      at = checkString(buffer, valueStart, end); // [MQTT-1.5.7-1]
      continue;
    }
    const bit = id === PropertyId.topicAlias ? TOPIC_ALIAS_BIT : 1 << id;
    const value = at + 1;
    switch (id) {
      case PropertyId.payloadFormatIndicator:
        if (value + 1 > end) throw runsPast();
        if (buffer[value]! > 1) throw protocolError('Payload Format Indicator is neither 0 nor 1');
        frame.payloadFormatIndicator = buffer[value]!;
        at = value + 1;
        break;
      case PropertyId.messageExpiryInterval:
        if (value + 4 > end) throw runsPast();
        frame.messageExpiryInterval = buffer.readUInt32BE(value);
        frame.messageExpiryIntervalAt = value - 1;
        at = value + 4;
        break;
      case PropertyId.topicAlias:
        if (value + 2 > end) throw runsPast();
        frame.topicAlias = (buffer[value]! << 8) | buffer[value + 1]!;
        if (frame.topicAlias === 0) throw topicAliasZero();
        frame.topicAliasAt = value - 1;
        at = value + 2;
        break;
      case PropertyId.contentType: // [MQTT-3.3.2-19]
        at = checkString(buffer, value, end);
        break;
      case PropertyId.responseTopic:
        at = checkResponseTopic(buffer, value, end);
        break;
      case PropertyId.correlationData:
        at = lengthPrefixedEnd(buffer, value, end);
        break;
      case PropertyId.subscriptionIdentifier: // [MQTT-3.3.4-6]
        throw protocolError('A Subscription Identifier in a PUBLISH from a client', 'MQTT-3.3.4-6');
      default:
        throw malformed(`Property ${id} does not exist in PUBLISH`);
    }
    if ((seen & bit) !== 0) throw protocolError(`Property ${id} comes twice`);
    seen |= bit;
  }
}

/** @returns the end of the length-prefixed bytes at `at`. */
function lengthPrefixedEnd(buffer: Buffer, at: number, end: number): number {
  if (at + 2 > end) throw runsPast();
  const valueEnd = at + 2 + ((buffer[at]! << 8) | buffer[at + 1]!);
  if (valueEnd > end) throw runsPast();
  return valueEnd;
}

function checkString(buffer: Buffer, at: number, end: number): number {
  const valueEnd = lengthPrefixedEnd(buffer, at, end);
  scanString(buffer, at + 2, valueEnd);
  return valueEnd;
}

function checkResponseTopic(buffer: Buffer, at: number, end: number): number {
  const valueEnd = lengthPrefixedEnd(buffer, at, end);
  // [MQTT-3.3.2-13] [MQTT-3.3.2-14]
  if ((scanString(buffer, at + 2, valueEnd) & WILDCARD) !== 0) throw responseTopicWildcard();
  if (valueEnd === at + 2) throw responseTopicEmpty();
  return valueEnd;
}

function runsPast(): ProtocolError {
  return malformed('A property runs past the properties of its packet');
}
