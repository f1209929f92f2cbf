import type { MalformedVector } from './notation.ts';

const HEAD = '10 * "MQTT" 05';
const HEAD_V4 = '10 * "MQTT" 04';
const HEAD_V3 = '10 * "MQIsdp" 03';

function v5(reasonCode: number, name: string, bytes: string): MalformedVector {
  return { name, version: 5, bytes, reasonCode };
}

function v4(reasonCode: number, name: string, bytes: string): MalformedVector {
  return { name, version: 4, bytes, reasonCode };
}

function property(reasonCode: number, name: string, notation: string): MalformedVector {
  return v5(reasonCode, `CONNECT: ${name}`, `${HEAD} 02 003c [${notation}] "c"`);
}

function willProperty(reasonCode: number, name: string, notation: string): MalformedVector {
  return v5(reasonCode, `CONNECT: will ${name}`, `${HEAD} 06 003c [] "c" [${notation}] "w" "x"`);
}

/** Properties that exist, but not in CONNECT. */
const FOREIGN: readonly [name: string, notation: string][] = [
  ['payload format indicator', '01 01'],
  ['message expiry interval', '02 00000001'],
  ['content type', '03 "x"'],
  ['response topic', '08 "x"'],
  ['correlation data', '09 "x"'],
  ['subscription identifier', '0b 01'],
  ['assigned client identifier', '12 "x"'],
  ['server keep alive', '13 0001'],
  ['will delay interval', '18 00000001'],
  ['response information', '1a "x"'],
  ['server reference', '1c "x"'],
  ['reason string', '1f "x"'],
  ['topic alias', '23 0001'],
  ['maximum QoS', '24 01'],
  ['retain available', '25 01'],
  ['wildcard subscription available', '28 01'],
  ['subscription identifiers available', '29 01'],
  ['shared subscription available', '2a 01'],
];

/** Properties that CONNECT may carry once. */
const SINGLE: readonly [name: string, notation: string][] = [
  ['session expiry interval', '11 00000001'],
  ['authentication method', '15 "x"'],
  ['request problem information', '17 01'],
  ['request response information', '19 01'],
  ['receive maximum', '21 0001'],
  ['topic alias maximum', '22 0001'],
  ['maximum packet size', '27 00001000'],
];

const SINGLE_WILL: readonly [name: string, notation: string][] = [
  ['payload format indicator', '01 01'],
  ['message expiry interval', '02 00000001'],
  ['content type', '03 "x"'],
  ['response topic', '08 "x"'],
  ['correlation data', '09 "x"'],
  ['delay interval', '18 00000001'],
];

/** CONNECT that cannot be accepted. */
export const MALFORMED_CONNECT: readonly MalformedVector[] = [
  v5(0x84, '[MQTT-3.1.2-1] protocol name in small letters', '10 * "mqtt" 05 02 003c [] "c"'),
  v5(0x84, '[MQTT-3.1.2-1] another protocol name', '10 * "HTTP" 05 02 003c [] "c"'),
  v5(0x84, '[MQTT-3.1.2-1] empty protocol name', '10 * "" 05 02 003c [] "c"'),
  v5(0x84, '[MQTT-3.1.2-1] protocol name that goes on', '10 * "MQTTX" 05 02 003c [] "c"'),
  v4(0x84, '[v3 MQTT-3.1.2-1] protocol name of 3.1 with the level of 3.1.1', '10 * "MQIsdp" 04 02 003c "c"'),
  v5(0x84, '[MQTT-3.1.2-1] protocol name of 3.1 with the version of 5.0', '10 * "MQIsdp" 05 02 003c [] "c"'),
  v5(0x84, '[MQTT-3.1.2-2] protocol version 6', '10 * "MQTT" 06 02 003c [] "c"'),
  v5(0x84, '[MQTT-3.1.2-2] protocol version 0', '10 * "MQTT" 00 02 003c [] "c"'),
  v5(0x84, '[MQTT-3.1.2-2] protocol version 255', '10 * "MQTT" ff 02 003c [] "c"'),
  v4(0x84, '[v3 MQTT-3.1.2-2] protocol name of 3.1.1 with the level of 3.1', '10 * "MQTT" 03 02 003c "c"'),
  v4(0x84, '[v3 MQTT-3.1.2-2] bridge bit in the level of 3.1.1', '10 * "MQTT" 84 02 003c "c"'),
  v4(0x84, '[v3 MQTT-3.1.2-2] bridge bit in the level of 3.1', '10 * "MQIsdp" 83 02 003c "c"'),
  v5(0x81, '[MQTT-1.5.4-1] protocol name of ill-formed UTF-8', '10 * 0004 4d5154ff 05 02 003c [] "c"'),
  v5(0x81, '[MQTT-3.1.2-3] reserved connect flag', `${HEAD} 03 003c [] "c"`),
  v4(0x81, '[v3 MQTT-3.1.2-3] reserved connect flag in 3.1.1', `${HEAD_V4} 03 003c "c"`),
  v4(0x81, 'reserved connect flag in 3.1', `${HEAD_V3} 03 003c "c"`),
  v5(0x81, '[MQTT-3.1.2-11] will QoS 1 without a will', `${HEAD} 0a 003c [] "c"`),
  v5(0x81, '[MQTT-3.1.2-11] will QoS 2 without a will', `${HEAD} 12 003c [] "c"`),
  v4(0x81, '[v3 MQTT-3.1.2-13] will QoS without a will in 3.1.1', `${HEAD_V4} 0a 003c "c"`),
  v5(0x81, '[MQTT-3.1.2-13] will retain without a will', `${HEAD} 22 003c [] "c"`),
  v4(0x81, '[v3 MQTT-3.1.2-15] will retain without a will in 3.1.1', `${HEAD_V4} 22 003c "c"`),
  v5(0x81, '[MQTT-3.1.2-12] will QoS 3', `${HEAD} 1e 003c [] "c" [] "w" "x"`),
  v4(0x81, '[v3 MQTT-3.1.2-14] will QoS 3 in 3.1.1', `${HEAD_V4} 1e 003c "c" "w" "x"`),
  v4(0x81, 'will QoS 3 in 3.1', `${HEAD_V3} 1e 003c "c" "w" "x"`),
  v5(0x81, '[MQTT-3.1.2-12] will QoS 3 without a will', `${HEAD} 1a 003c [] "c"`),
  v4(0x81, '[v3 MQTT-3.1.2-22] password without a user name in 3.1.1', `${HEAD_V4} 42 003c "c" "pw"`),
  v4(0x81, 'password without a user name in 3.1', `${HEAD_V3} 42 003c "c" "pw"`),
  v5(0x81, '[MQTT-3.1.2-9] will flag without a will', `${HEAD} 06 003c [] "c"`),
  v5(0x81, '[MQTT-3.1.2-9] will without a payload field', `${HEAD} 06 003c [] "c" [] "w"`),
  v4(0x81, '[v3 MQTT-3.1.2-9] will flag without a will in 3.1.1', `${HEAD_V4} 06 003c "c"`),
  v5(0x81, '[MQTT-3.1.2-17] user name flag without a user name', `${HEAD} 82 003c [] "c"`),
  v4(0x81, '[v3 MQTT-3.1.2-19] user name flag without a user name in 3.1.1', `${HEAD_V4} 82 003c "c"`),
  v5(0x81, '[MQTT-3.1.2-16] user name without its flag', `${HEAD} 02 003c [] "c" "ann"`),
  v4(0x81, '[v3 MQTT-3.1.2-18] user name without its flag in 3.1.1', `${HEAD_V4} 02 003c "c" "ann"`),
  v5(0x81, '[MQTT-3.1.2-19] password flag without a password', `${HEAD} c2 003c [] "c" "ann"`),
  v4(0x81, '[v3 MQTT-3.1.2-21] password flag without a password in 3.1.1', `${HEAD_V4} c2 003c "c" "ann"`),
  v5(0x81, '[MQTT-3.1.2-18] password without its flag', `${HEAD} 82 003c [] "c" "ann" "pw"`),
  v4(0x81, '[v3 MQTT-3.1.2-20] password without its flag in 3.1.1', `${HEAD_V4} 82 003c "c" "ann" "pw"`),
  v5(0x81, 'one byte left over after CONNECT', `${HEAD} 02 003c [] "c" 00`),
  v4(0x81, 'one byte left over after CONNECT in 3.1.1', `${HEAD_V4} 02 003c "c" 00`),
  v4(0x81, 'one byte left over after CONNECT in 3.1', `${HEAD_V3} 02 003c "c" 00`),
  v5(0x81, 'CONNECT without a body', '10 00'),
  v5(0x81, 'CONNECT that ends in the protocol name', '10 04 0004 4d51'),
  v5(0x81, 'CONNECT that ends after the protocol name', '10 * "MQTT"'),
  v5(0x81, 'CONNECT that ends after the version', HEAD),
  v5(0x81, 'CONNECT that ends after the flags', `${HEAD} 02`),
  v5(0x81, 'CONNECT that ends in the keep alive', `${HEAD} 02 00`),
  v5(0x81, 'CONNECT that ends after the keep alive', `${HEAD} 02 003c`),
  v5(0x81, '[MQTT-3.1.3-3] CONNECT that ends after the properties', `${HEAD} 02 003c []`),
  v4(0x81, '[v3 MQTT-3.1.3-3] CONNECT of 3.1.1 without a client id', `${HEAD_V4} 02 003c`),
  v5(0x81, 'CONNECT whose client id runs past the packet', `${HEAD} 02 003c [] 0005 63`),
  v5(0x81, '[MQTT-3.1.3-4] client id with U+0000', `${HEAD} 02 003c [] 0003 610062`),
  v5(0x81, '[MQTT-3.1.3-4] client id of ill-formed UTF-8', `${HEAD} 02 003c [] 0001 80`),
  v4(0x81, '[v3 MQTT-3.1.3-4] client id of ill-formed UTF-8 in 3.1.1', `${HEAD_V4} 02 003c 0001 80`),
  v5(0x81, '[MQTT-3.1.3-11] will topic of ill-formed UTF-8', `${HEAD} 06 003c [] "c" [] 0002 c3c3 "x"`),
  v4(0x81, '[v3 MQTT-3.1.3-10] will topic of ill-formed UTF-8 in 3.1.1', `${HEAD_V4} 06 003c "c" 0002 c3c3 "x"`),
  v5(0x81, '[MQTT-3.1.3-12] user name of ill-formed UTF-8', `${HEAD} 82 003c [] "c" 0003 eda080`),
  v4(0x81, '[v3 MQTT-3.1.3-11] user name of ill-formed UTF-8 in 3.1.1', `${HEAD_V4} 82 003c "c" 0003 eda080`),
  v5(0x82, '[MQTT-4.7.3-1] empty will topic', `${HEAD} 06 003c [] "c" [] "" "x"`),
  v4(0x82, '[v3 MQTT-4.7.3-1] empty will topic in 3.1.1', `${HEAD_V4} 06 003c "c" "" "x"`),
  v5(0x90, '[MQTT-4.7.0-1] wildcard in the will topic', `${HEAD} 06 003c [] "c" [] "w/#" "x"`),
  v4(0x90, '[v3 MQTT-4.7.1-1] wildcard in the will topic in 3.1.1', `${HEAD_V4} 06 003c "c" "+/w" "x"`),
  v5(0x81, 'property length that runs past CONNECT', `${HEAD} 02 003c 20 11 00000001`),
  v5(0x81, 'property length of five bytes', `${HEAD} 02 003c 8080808001 "c"`),
  v5(0x81, '[MQTT-1.5.5-1] property length longer than needed', `${HEAD} 02 003c 8000 "c"`),
  v5(0x81, 'property that runs past the property length into the client id', `${HEAD} 02 003c 03 11 0000 0001 "c"`),
  property(0x81, 'property identifier 0', '00'),
  property(0x81, 'unknown property', '7f 00'),
  property(0x81, '[MQTT-1.5.5-1] property identifier longer than needed', '9100 00000001'),
  property(0x81, 'property identifier alone', '11'),
  property(0x81, '[MQTT-1.5.7-1] user property without a value', '26 "k"'),
  property(0x81, '[MQTT-1.5.7-1] user property with U+0000 in its name', '26 0001 00 "v"'),
  property(0x81, '[MQTT-1.5.7-1] user property with an ill-formed value', '26 "k" 0001 ff'),
  property(0x82, 'receive maximum 0', '21 0000'),
  property(0x82, 'maximum packet size 0', '27 00000000'),
  property(0x82, 'request problem information 2', '17 02'),
  property(0x82, 'request response information 255', '19 ff'),
  property(0x82, 'authentication data without a method', '16 0001 00'),
  property(0x82, 'authentication data twice', '15 "x" 16 "a" 16 "b"'),
  ...FOREIGN.map(([name, notation]) => property(0x81, `${name} does not belong here`, notation)),
  ...SINGLE.map(([name, notation]) => property(0x82, `${name} twice`, `${notation} ${notation}`)),
  ...SINGLE_WILL.map(([name, notation]) => willProperty(0x82, `${name} twice`, `${notation} ${notation}`)),
  willProperty(0x82, 'payload format indicator 2', '01 02'),
  willProperty(0x82, '[MQTT-3.3.2-14] response topic with a wildcard', '08 "a/+"'),
  willProperty(0x82, '[MQTT-4.7.3-1] empty response topic', '08 ""'),
  willProperty(0x81, 'topic alias, which belongs to PUBLISH', '23 0001'),
  willProperty(0x81, 'subscription identifier, which belongs to PUBLISH', '0b 01'),
  willProperty(0x81, 'session expiry interval, which belongs to CONNECT', '11 00000001'),
  willProperty(0x81, 'content type with U+0000', '03 0001 00'),
];
