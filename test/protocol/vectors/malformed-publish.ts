import type { MalformedVector } from './notation.ts';

function v5(reasonCode: number, name: string, bytes: string): MalformedVector {
  return { name, version: 5, bytes, reasonCode };
}

function v4(reasonCode: number, name: string, bytes: string): MalformedVector {
  return { name, version: 4, bytes, reasonCode };
}

function property(reasonCode: number, name: string, notation: string): MalformedVector {
  return v5(reasonCode, `PUBLISH: ${name}`, `30 * "a" [${notation}] ~hi~`);
}

/** Byte sequences that are no UTF-8, or no MQTT string. */
const ILL_FORMED: readonly [name: string, notation: string][] = [
  ['[MQTT-1.5.4-2] U+0000 alone', '0001 00'],
  ['[MQTT-1.5.4-2] U+0000 at the end', '0002 6100'],
  ['[MQTT-1.5.4-2] U+0000 after a character outside ASCII', '0003 c3a900'],
  ['[MQTT-1.5.4-1] continuation byte alone', '0001 80'],
  ['[MQTT-1.5.4-1] two bytes, the second missing', '0001 c3'],
  ['[MQTT-1.5.4-1] two bytes, the second not a continuation', '0002 c341'],
  ['[MQTT-1.5.4-1] three bytes, the third missing', '0002 e282'],
  ['[MQTT-1.5.4-1] four bytes, the fourth missing', '0003 f09f98'],
  ['[MQTT-1.5.4-1] overlong slash in two bytes', '0002 c0af'],
  ['[MQTT-1.5.4-1] overlong slash in three bytes', '0003 e080af'],
  ['[MQTT-1.5.4-1] overlong slash in four bytes', '0004 f08080af'],
  ['[MQTT-1.5.4-1] overlong U+0000', '0002 c080'],
  ['[MQTT-1.5.4-1] lowest surrogate', '0003 eda080'],
  ['[MQTT-1.5.4-1] highest surrogate', '0003 edbfbf'],
  ['[MQTT-1.5.4-1] pair of surrogates', '0006 eda0bdedb880'],
  ['[MQTT-1.5.4-1] above U+10FFFF', '0004 f4908080'],
  ['[MQTT-1.5.4-1] five bytes', '0005 f888808080'],
  ['[MQTT-1.5.4-1] byte FE', '0001 fe'],
  ['[MQTT-1.5.4-1] byte FF', '0001 ff'],
];

const FOREIGN: readonly [name: string, notation: string][] = [
  ['session expiry interval', '11 00000001'],
  ['assigned client identifier', '12 "x"'],
  ['server keep alive', '13 0001'],
  ['authentication method', '15 "x"'],
  ['authentication data', '16 "x"'],
  ['request problem information', '17 01'],
  ['will delay interval', '18 00000001'],
  ['request response information', '19 01'],
  ['response information', '1a "x"'],
  ['server reference', '1c "x"'],
  ['reason string', '1f "x"'],
  ['receive maximum', '21 0001'],
  ['topic alias maximum', '22 0001'],
  ['maximum QoS', '24 01'],
  ['retain available', '25 01'],
  ['maximum packet size', '27 00000001'],
  ['wildcard subscription available', '28 01'],
  ['subscription identifiers available', '29 01'],
  ['shared subscription available', '2a 01'],
];

const SINGLE: readonly [name: string, notation: string][] = [
  ['payload format indicator', '01 01'],
  ['message expiry interval', '02 00000001'],
  ['content type', '03 "x"'],
  ['response topic', '08 "x"'],
  ['correlation data', '09 "x"'],
  ['topic alias', '23 0001'],
];

/** PUBLISH that cannot be accepted in either direction. */
export const MALFORMED_PUBLISH: readonly MalformedVector[] = [
  v5(0x81, '[MQTT-3.3.1-4] QoS 3', '36 * "a" 0001 [] ~hi~'),
  v5(0x81, '[MQTT-3.3.1-4] QoS 3 with DUP and RETAIN', '3f * "a" 0001 [] ~hi~'),
  v4(0x81, '[v3 MQTT-3.3.1-4] QoS 3 in 3.1.1', '36 * "a" 0001 ~hi~'),
  v5(0x81, '[MQTT-3.3.1-2] DUP with QoS 0', '38 * "a" [] ~hi~'),
  v4(0x81, '[v3 MQTT-3.3.1-2] DUP with QoS 0 in 3.1.1', '38 * "a" ~hi~'),
  v5(0x81, '[MQTT-2.2.1-3] packet id 0 with QoS 1', '32 * "a" 0000 [] ~hi~'),
  v5(0x81, '[MQTT-2.2.1-3] packet id 0 with QoS 2', '34 * "a" 0000 [] ~hi~'),
  v4(0x81, '[v3 MQTT-2.3.1-1] packet id 0 in 3.1.1', '32 * "a" 0000 ~hi~'),
  v5(0x81, 'PUBLISH without a body', '30 00'),
  v4(0x81, 'PUBLISH of 3.1.1 without a body', '30 00'),
  v5(0x81, 'PUBLISH that ends in the topic length', '30 01 00'),
  v5(0x81, '[MQTT-3.3.2-1] topic name that runs past the packet', '30 * 0005 6162'),
  v4(0x81, '[v3 MQTT-3.3.2-1] topic name of 65,535 bytes that runs past the packet', '30 * ffff 6162'),
  v5(0x81, 'PUBLISH that ends before the packet id', '32 * "a"'),
  v5(0x81, 'PUBLISH that ends in the packet id', '32 * "a" 00'),
  v5(0x81, '[MQTT-2.2.2-1] PUBLISH without a property length', '30 * "a"'),
  v5(0x81, 'property length that runs past PUBLISH', '30 * "a" 05 01 01'),
  v5(0x81, 'property length without an end', '30 * "a" 80'),
  v5(0x81, 'property length of five bytes in PUBLISH', '30 * "a" 8080808001 ~hi~'),
  v5(0x81, '[MQTT-1.5.5-1] property length longer than needed in PUBLISH', '30 * "a" 8000 ~hi~'),
  v5(0x81, 'property that runs past the property length into the payload', '30 * "a" 03 02 0000 0001 ~hi~'),
  v5(0x81, 'string of a property that runs past the property length', '30 * "a" 04 03 0005 78 ~payload~'),
  v5(0x81, 'user property that runs past the property length', '30 * "a" 04 26 0001 6b "v"'),
  v5(0x90, '[MQTT-3.3.2-2] # in the topic name', '30 * "a/#" [] ~hi~'),
  v5(0x90, '[MQTT-3.3.2-2] + in the topic name', '30 * "+/a" [] ~hi~'),
  v5(0x90, '[MQTT-4.7.0-1] + within a level', '30 * "a+b" [] ~hi~'),
  v4(0x90, '[v3 MQTT-3.3.2-2] # in the topic name in 3.1.1', '30 * "#" ~hi~'),
  v4(0x90, '[v3 MQTT-4.7.1-1] + after a character outside ASCII', '30 * 0003 c3a92b ~hi~'),
  v5(0x82, '[MQTT-4.7.3-1] no topic name and no alias', '30 * "" [] ~hi~'),
  v4(0x82, '[v3 MQTT-4.7.3-1] no topic name in 3.1.1', '30 * "" ~hi~'),
  ...ILL_FORMED.map(([name, notation]) => v5(0x81, `${name} in a topic name`, `30 * ${notation} [] ~hi~`)),
  ...ILL_FORMED.map(([name, notation]) => v4(0x81, `${name} in a topic name of 3.1.1`, `30 * ${notation} ~hi~`)),
  ...ILL_FORMED.map(([name, notation]) => property(0x81, `${name} in a content type`, `03 ${notation}`)),
  property(0x81, '[MQTT-3.3.2-13] ill-formed response topic', '08 0001 ff'),
  property(0x81, '[MQTT-1.5.7-1] ill-formed name of a user property', '26 0001 ff "v"'),
  property(0x81, '[MQTT-1.5.7-1] U+0000 in the value of a user property', '26 "k" 0001 00'),
  property(0x82, '[MQTT-3.3.2-14] # in the response topic', '08 "a/#"'),
  property(0x82, '[MQTT-3.3.2-14] + in the response topic', '08 "+"'),
  property(0x82, '[MQTT-4.7.3-1] empty response topic', '08 ""'),
  property(0x82, 'payload format indicator 2', '01 02'),
  property(0x82, 'payload format indicator 255', '01 ff'),
  property(0x94, '[MQTT-3.3.2-8] topic alias 0', '23 0000'),
  v5(0x94, '[MQTT-3.3.2-8] topic alias 0 without a topic name', '30 * "" [23 0000] ~hi~'),
  property(0x82, 'subscription identifier 0', '0b 00'),
  property(0x81, 'property identifier 0', '00'),
  property(0x81, 'unknown property 04', '04 00'),
  property(0x81, 'unknown property 2b', '2b 00'),
  property(0x81, 'property identifier of two bytes', 'ab01 00'),
  property(0x81, '[MQTT-1.5.5-1] property identifier longer than needed', '8100 01'),
  property(0x81, 'payload format indicator without a value', '01'),
  property(0x81, 'message expiry interval of three bytes', '02 000001'),
  property(0x81, 'content type without its length', '03 00'),
  property(0x81, 'correlation data that runs past', '09 0002 00'),
  property(0x81, 'topic alias of one byte', '23 01'),
  property(0x81, 'user property without a value', '26 "k"'),
  ...FOREIGN.map(([name, notation]) => property(0x81, `${name} does not belong here`, notation)),
  ...SINGLE.map(([name, notation]) => property(0x82, `${name} twice`, `${notation} ${notation}`)),
  property(0x82, 'content type twice with a user property between', '03 "x" 26 "k" "v" 03 "y"'),
];

/** PUBLISH that a server may send, but that must not come from a client. */
export const MALFORMED_FROM_CLIENT: readonly MalformedVector[] = [
  property(0x82, '[MQTT-3.3.4-6] subscription identifier from a client', '0b 01'),
  property(0x82, '[MQTT-3.3.4-6] two subscription identifiers from a client', '0b 01 0b 02'),
];
