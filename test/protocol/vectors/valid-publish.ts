import type { Properties, PublishPacket } from '../../../src/protocol/packets.ts';
import { binary, type ValidVector } from './notation.ts';

const PLAIN: PublishPacket = {
  type: 3,
  dup: false,
  qos: 0,
  retain: false,
  topicName: 'a/b',
  packetId: 0,
  payload: binary('~hi~'),
  properties: {},
};

function withProperties(name: string, notation: string, properties: Properties): ValidVector {
  return {
    name: `PUBLISH with ${name}`,
    version: 5,
    bytes: `30 * "a/b" [${notation}] ~hi~`,
    packet: { ...PLAIN, properties },
  };
}

function named(name: string, bytes: string, topicName: string): ValidVector {
  return { name, version: 4, bytes: `30 * ${bytes} ~hi~`, packet: { ...PLAIN, topicName } };
}

/** PUBLISH of both directions in all versions. */
export const VALID_PUBLISH: readonly ValidVector[] = [
  { name: '[MQTT-2.2.1-2] PUBLISH of QoS 0', version: 5, bytes: '30 * "a/b" [] ~hi~', packet: PLAIN },
  { name: '[v3 MQTT-2.3.1-5] PUBLISH of QoS 0 in 3.1.1', version: 4, bytes: '30 * "a/b" ~hi~', packet: PLAIN },
  { name: 'PUBLISH of QoS 0 in 3.1', version: 3, bytes: '30 * "a/b" ~hi~', packet: PLAIN },
  {
    name: '[MQTT-2.2.1-3] PUBLISH of QoS 1',
    version: 5,
    bytes: '32 * "a/b" 0001 [] ~hi~',
    packet: { ...PLAIN, qos: 1, packetId: 1 },
  },
  {
    name: '[MQTT-2.2.1-3] PUBLISH of QoS 2 with the highest packet id',
    version: 5,
    bytes: '34 * "a/b" ffff [] ~hi~',
    packet: { ...PLAIN, qos: 2, packetId: 65_535 },
  },
  {
    name: '[v3 MQTT-2.3.1-1] PUBLISH of QoS 1 in 3.1.1',
    version: 4,
    bytes: '32 * "a/b" 1234 ~hi~',
    packet: { ...PLAIN, qos: 1, packetId: 0x1234 },
  },
  {
    name: 'PUBLISH of QoS 2 in 3.1',
    version: 3,
    bytes: '34 * "a/b" 0100 ~hi~',
    packet: { ...PLAIN, qos: 2, packetId: 256 },
  },
  {
    name: '[MQTT-3.3.1-1] repeated PUBLISH of QoS 1',
    version: 5,
    bytes: '3a * "a/b" 0001 [] ~hi~',
    packet: { ...PLAIN, dup: true, qos: 1, packetId: 1 },
  },
  {
    name: '[v3 MQTT-3.3.1-1] repeated PUBLISH of QoS 2, retained',
    version: 4,
    bytes: '3d * "a/b" 0001 ~hi~',
    packet: { ...PLAIN, dup: true, qos: 2, retain: true, packetId: 1 },
  },
  {
    name: '[MQTT-3.3.1-5] retained PUBLISH',
    version: 5,
    bytes: '31 * "a/b" [] ~hi~',
    packet: { ...PLAIN, retain: true },
  },
  { name: 'PUBLISH without a payload', version: 5, bytes: '30 * "a/b" []', packet: { ...PLAIN, payload: binary('') } },
  {
    name: 'PUBLISH without a payload in 3.1.1',
    version: 4,
    bytes: '30 * "a/b"',
    packet: { ...PLAIN, payload: binary('') },
  },
  {
    name: 'PUBLISH with a payload that is no UTF-8',
    version: 5,
    bytes: '30 * "a/b" [] 00ff80',
    packet: { ...PLAIN, payload: binary('00ff80') },
  },
  {
    name: 'PUBLISH with a Remaining Length of two bytes',
    version: 4,
    bytes: `30 * "a/b" ${'7e'.repeat(123)}`,
    packet: { ...PLAIN, payload: binary('7e'.repeat(123)) },
  },
  {
    name: 'PUBLISH with a Remaining Length of three bytes',
    version: 4,
    bytes: `30 * "a/b" ${'7e'.repeat(16_400)}`,
    packet: { ...PLAIN, payload: binary('7e'.repeat(16_400)) },
  },
  {
    name: 'PUBLISH with a property length of two bytes',
    version: 5,
    bytes: `30 * "a/b" [26 "k" 0080 ${'76'.repeat(128)}] ~hi~`,
    packet: { ...PLAIN, properties: { userProperties: [['k', 'v'.repeat(128)]] } },
  },
  named('topic name with a leading slash', '"/a"', '/a'),
  named('topic name of one slash', '"/"', '/'),
  named('topic name of empty levels', '"//"', '//'),
  named('topic name with a space', '"a b"', 'a b'),
  named('topic name with a dollar sign', '"$SYS/x"', '$SYS/x'),
  named('[MQTT-4.7.3-4] topic name of two bytes a character', '0002 c3a9', '\u00E9'),
  named('[MQTT-4.7.3-4] the same character decomposed is another name', '0003 65cc81', 'e\u0301'),
  named('topic name of three bytes a character', '0003 e282ac', '€'),
  named('topic name of four bytes a character', '0004 f09f9880', '😀'),
  named('[MQTT-1.5.4-3] topic name that begins with U+FEFF', '0004 efbbbf61', '\uFEFFa'),
  named('[v3 MQTT-1.5.3-3] topic name that is U+FEFF', '0003 efbbbf', '\uFEFF'),
  named('topic name with the last code point before the surrogates', '0003 ed9fbf', '\uD7FF'),
  named('topic name with the first code point after the surrogates', '0003 ee8080', '\uE000'),
  named('topic name with the highest code point', '0004 f48fbfbf', '\u{10FFFF}'),
  named('topic name with a control character, which is allowed', '0001 01', '\u0001'),
  withProperties('payload format 0', '01 00', { payloadFormatIndicator: 0 }),
  withProperties('payload format 1', '01 01', { payloadFormatIndicator: 1 }),
  withProperties('message expiry', '02 00000001', { messageExpiryInterval: 1 }),
  withProperties('message expiry 0', '02 00000000', { messageExpiryInterval: 0 }),
  withProperties('message expiry at its maximum', '02 ffffffff', { messageExpiryInterval: 0xffff_ffff }),
  withProperties('[MQTT-3.3.2-19] content type', '03 "json"', { contentType: 'json' }),
  withProperties('an empty content type', '03 ""', { contentType: '' }),
  withProperties('[MQTT-3.3.2-13] response topic', '08 "r/1"', { responseTopic: 'r/1' }),
  withProperties('correlation data', '09 0003 00ff01', { correlationData: binary('00ff01') }),
  withProperties('empty correlation data', '09 0000', { correlationData: binary('') }),
  withProperties('topic alias', '23 0001', { topicAlias: 1 }),
  withProperties('topic alias at its maximum', '23 ffff', { topicAlias: 65_535 }),
  withProperties('[MQTT-3.3.2-18] user properties in order', '26 "b" "1" 26 "a" "2" 26 "b" "1"', {
    userProperties: [
      ['b', '1'],
      ['a', '2'],
      ['b', '1'],
    ],
  }),
  withProperties('all properties of a message', '01 01 02 0000000a 03 "t" 08 "r" 09 0001 63 23 0007 26 "k" "v"', {
    payloadFormatIndicator: 1,
    messageExpiryInterval: 10,
    contentType: 't',
    responseTopic: 'r',
    correlationData: binary('~c~'),
    topicAlias: 7,
    userProperties: [['k', 'v']],
  }),
  {
    name: '[MQTT-3.3.2-18] user properties around another property',
    version: 5,
    bytes: '30 * "a/b" [26 "b" "1" 03 "t" 26 "a" "2"] ~hi~',
    packet: {
      ...PLAIN,
      properties: {
        contentType: 't',
        userProperties: [
          ['b', '1'],
          ['a', '2'],
        ],
      },
    },
    otherForm: 'properties are written in the order of their identifiers',
  },
  {
    name: '[MQTT-3.3.2-7] no topic name, but a topic alias',
    version: 5,
    bytes: '30 * "" [23 0001] ~hi~',
    packet: { ...PLAIN, topicName: '', properties: { topicAlias: 1 } },
  },
  withProperties('[MQTT-3.3.4-3] one subscription identifier', '0b 01', { subscriptionIdentifiers: [1] }),
  withProperties('[MQTT-3.3.4-4] several subscription identifiers', '0b 05 0b 8001 0b ffffff7f 0b 05', {
    subscriptionIdentifiers: [5, 128, 268_435_455, 5],
  }),
];
