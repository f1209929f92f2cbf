import { ProtocolError, protocolError } from './errors.ts';
import { ReasonCode } from './reason-codes.ts';

/** Prefix of a shared subscription's topic filter, section 4.8.2. */
const SHARE_PREFIX = '$share/';
const SLASH = 0x2f;
const PLUS = 0x2b;
const HASH = 0x23;
const DOLLAR = 0x24;

/** What a SUBSCRIBE asks for: a topic filter, and the share name where the subscription is a shared one. */
export interface ParsedTopicFilter {
  /** Topic filter without `$share/name/`. */
  filter: string;
  /** Share name; empty for a subscription that is not shared. */
  shareName: string;
}

/** Whether only the broker publishes to a topic name. */
export function isBrokerTopic(topicName: string): boolean {
  return topicName.startsWith('$SYS/');
}

/** Whether a string may name a topic: not empty, no wildcard, no U+0000, at most 65,535 bytes; sections 3.3.2.1 and 4.7.3. */
export function isValidTopicName(topicName: string): boolean {
  if (!isValidString(topicName)) return false;
  return !topicName.includes('+') && !topicName.includes('#'); // [MQTT-4.7.0-1] [v3 MQTT-4.7.1-1]
}

/**
 * Checks a topic name that came as a well-formed string, sections 3.3.2.1 and 4.7.3.
 *
 * @throws ProtocolError 0x82 when it is empty, 0x90 when it holds a wildcard.
 */
export function validateTopicName(topicName: string): void {
  if (topicName === '') throw emptyTopicName();
  if (topicName.includes('+') || topicName.includes('#')) throw wildcardInTopicName();
}

/** The error for an empty topic name: it parses, but the protocol does not allow it. */
export function emptyTopicName(): ProtocolError {
  return protocolError('A topic name is empty', 'MQTT-4.7.3-1'); // [MQTT-4.7.3-1] [v3 MQTT-4.7.3-1]
}

/** The error for a wildcard in a topic name: it parses, so it is not malformed, but can name no topic. */
export function wildcardInTopicName(): ProtocolError {
  // [MQTT-3.3.2-2] [MQTT-4.7.0-1] [v3 MQTT-3.3.2-2] [v3 MQTT-4.7.1-1]
  return new ProtocolError(ReasonCode.topicNameInvalid, 'A topic name holds a wildcard character', 'MQTT-3.3.2-2');
}

/**
 * Takes a topic filter of SUBSCRIBE or UNSUBSCRIBE apart, sections 4.7 and 4.8.2.
 *
 * @returns undefined where its wildcards or its `$share/` form are not valid.
 */
export function parseTopicFilter(topicFilter: string): ParsedTopicFilter | undefined {
  if (!isValidString(topicFilter)) return undefined;
  if (!topicFilter.startsWith(SHARE_PREFIX)) {
    return areWildcardsValid(topicFilter) ? { filter: topicFilter, shareName: '' } : undefined;
  }
  const slash = topicFilter.indexOf('/', SHARE_PREFIX.length);
  if (slash <= SHARE_PREFIX.length) return undefined; // [MQTT-4.8.2-1], and the slash of [MQTT-4.8.2-2]
  const shareName = topicFilter.slice(SHARE_PREFIX.length, slash);
  if (shareName.includes('+') || shareName.includes('#')) return undefined; // [MQTT-4.8.2-2]
  const filter = topicFilter.slice(slash + 1);
  return filter !== '' && areWildcardsValid(filter) ? { filter, shareName } : undefined;
}

/** Number of levels of a topic name or topic filter, empty ones included; 1 to 65,536. */
export function topicLevels(topic: string): number {
  let levels = 1;
  for (let slash = topic.indexOf('/'); slash !== -1; slash = topic.indexOf('/', slash + 1)) levels++;
  return levels;
}

/** Whether a valid topic filter (without `$share/name/`) matches a topic name, section 4.7; O(length), for single questions. */
export function topicMatches(topicFilter: string, topicName: string): boolean {
  const first = topicFilter.charCodeAt(0);
  if (topicName.charCodeAt(0) === DOLLAR && (first === HASH || first === PLUS)) return false; // [MQTT-4.7.2-1]
  let at = 0;
  for (let i = 0; i < topicFilter.length; i++) {
    const code = topicFilter.charCodeAt(i);
    if (code === HASH) return true;
    if (code === PLUS) {
      while (at < topicName.length && topicName.charCodeAt(at) !== SLASH) at++;
    } else if (at < topicName.length && topicName.charCodeAt(at) === code) {
      at++;
    } else {
      // The parent level as well: `a/#` matches `a`.
      return at === topicName.length && code === SLASH && topicFilter.charCodeAt(i + 1) === HASH;
    }
  }
  return at === topicName.length;
}

/** [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3], and no surrogate without its half [MQTT-1.5.4-1]. */
function isValidString(text: string): boolean {
  return text !== '' && !text.includes('\0') && text.isWellFormed() && Buffer.byteLength(text) <= 65_535;
}

/** `+` and `#` stand alone in their level, `#` in the last one only [MQTT-4.7.1-1] [MQTT-4.7.1-2] [v3 MQTT-4.7.1-2, -3]. */
function areWildcardsValid(filter: string): boolean {
  const last = filter.length - 1;
  const hash = filter.indexOf('#');
  if (hash !== -1 && (hash !== last || (hash > 0 && filter[hash - 1] !== '/'))) return false;
  for (let plus = filter.indexOf('+'); plus !== -1; plus = filter.indexOf('+', plus + 1)) {
    if (plus > 0 && filter[plus - 1] !== '/') return false;
    if (plus < last && filter[plus + 1] !== '/') return false;
  }
  return true;
}
