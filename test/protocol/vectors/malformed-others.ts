import type { MalformedVector } from './notation.ts';

function v5(reasonCode: number, name: string, bytes: string): MalformedVector {
  return { name, version: 5, bytes, reasonCode };
}

function v4(reasonCode: number, name: string, bytes: string): MalformedVector {
  return { name, version: 4, bytes, reasonCode };
}

function v3(reasonCode: number, name: string, bytes: string): MalformedVector {
  return { name, version: 3, bytes, reasonCode };
}

/** A well-formed body of each packet type but PUBLISH, by its first byte without flags. */
const BODIES: readonly [statement: string, name: string, type: number, flags: number, body: string, bodyV4: string][] =
  [
    ['[MQTT-2.1.3-1]', 'CONNECT', 1, 0, '"MQTT" 05 02 003c [] "c"', '"MQTT" 04 02 003c "c"'],
    ['[MQTT-2.1.3-1]', 'CONNACK', 2, 0, '00 00 []', '00 00'],
    ['[MQTT-2.1.3-1]', 'PUBACK', 4, 0, '0001', '0001'],
    ['[MQTT-2.1.3-1]', 'PUBREC', 5, 0, '0001', '0001'],
    ['[MQTT-3.6.1-1]', 'PUBREL', 6, 2, '0001', '0001'],
    ['[MQTT-2.1.3-1]', 'PUBCOMP', 7, 0, '0001', '0001'],
    ['[MQTT-3.8.1-1]', 'SUBSCRIBE', 8, 2, '0001 [] "a" 00', '0001 "a" 00'],
    ['[MQTT-2.1.3-1]', 'SUBACK', 9, 0, '0001 [] 00', '0001 00'],
    ['[MQTT-3.10.1-1]', 'UNSUBSCRIBE', 10, 2, '0001 [] "a"', '0001 "a"'],
    ['[MQTT-2.1.3-1]', 'UNSUBACK', 11, 0, '0001 [] 00', '0001'],
    ['[MQTT-2.1.3-1]', 'PINGREQ', 12, 0, '', ''],
    ['[MQTT-2.1.3-1]', 'PINGRESP', 13, 0, '', ''],
    ['[MQTT-3.14.1-1]', 'DISCONNECT', 14, 0, '', ''],
    ['[MQTT-3.15.1-1]', 'AUTH', 15, 0, '', ''],
  ];

/** Each packet type with each of its four flag bits the wrong way round. */
function wrongFlags([statement, name, type, flags, body, bodyV4]: (typeof BODIES)[number]): MalformedVector[] {
  return [1, 2, 4, 8].flatMap((bit) => {
    const header = ((type << 4) | (flags ^ bit)).toString(16).padStart(2, '0');
    const title = `with fixed header flag ${bit} the wrong way round`;
    const vectors = [v5(0x81, `${statement} ${name} ${title}`, `${header} * ${body}`)];
    if (type !== 15) vectors.push(v4(0x81, `[v3 MQTT-2.2.2-1] ${name} ${title} in 3.1.1`, `${header} * ${bodyV4}`));
    return vectors;
  });
}

/** What is wrong with an acknowledgement of any of the four kinds. */
function wrongAcks([name, header, wrongReason]: readonly [string, string, string]): MalformedVector[] {
  return [
    v5(0x81, `[MQTT-2.2.1-3] ${name} with packet id 0`, `${header} 02 0000`),
    v4(0x81, `[v3 MQTT-2.3.1-1] ${name} with packet id 0 in 3.1.1`, `${header} 02 0000`),
    v5(0x81, `${name} without a body`, `${header} 00`),
    v5(0x81, `${name} of one byte`, `${header} 01 00`),
    v4(0x81, `${name} of three bytes in 3.1.1`, `${header} 03 0001 00`),
    v3(0x81, `${name} of three bytes in 3.1`, `${header} 03 0001 00`),
    v5(0x82, `${name} with a reason code of other packets`, `${header} 03 0001 ${wrongReason}`),
    v5(0x82, `${name} with a reason code that does not exist`, `${header} 03 0001 ff`),
    v5(0x81, `${name} with bytes left over`, `${header} * 0001 00 [] 00`),
    v5(0x81, `${name} whose property length runs past it`, `${header} * 0001 00 05 1f 0001`),
    v5(0x82, `${name} with two reason strings`, `${header} * 0001 00 [1f "a" 1f "b"]`),
    v5(0x81, `${name} with a property of PUBLISH`, `${header} * 0001 00 [23 0001]`),
    v5(0x81, `${name} with an ill-formed reason string`, `${header} * 0001 00 [1f 0001 ff]`),
  ];
}

function subscribe(reasonCode: number, name: string, rest: string): MalformedVector {
  return v5(reasonCode, `SUBSCRIBE: ${name}`, `82 * ${rest}`);
}

/** What is wrong with any packet but CONNECT and PUBLISH. */
export const MALFORMED_OTHERS: readonly MalformedVector[] = [
  v5(0x81, 'control packet type 0', '00 00'),
  v4(0x81, 'control packet type 0 in 3.1.1', '00 00'),
  v5(0x81, 'Remaining Length of five bytes', 'c0 8080808001'),
  v4(0x81, 'Remaining Length of five bytes, all ones', 'c0 ffffffffff'),
  v5(0x81, '[MQTT-1.5.5-1] Remaining Length 0 in two bytes', 'c0 8000'),
  v5(0x81, '[MQTT-1.5.5-1] Remaining Length 2 in four bytes', '40 82808000 0001'),
  ...BODIES.flatMap(wrongFlags),
  v3(0x81, 'PUBREL of 3.1 with RETAIN', '63 02 0001'),
  v3(0x81, 'PUBACK of 3.1 with DUP', '48 02 0001'),
  v5(0x81, '[MQTT-3.2.2-1] reserved CONNACK flag', '20 * 02 00 []'),
  v4(0x81, 'reserved CONNACK flag in 3.1.1', '20 02 80 00'),
  v5(0x82, '[MQTT-3.2.2-6] session present along with a refusal', '20 * 01 87 []'),
  v4(0x82, '[v3 MQTT-3.2.2-4] session present along with a refusal in 3.1.1', '20 02 01 05'),
  v5(0x82, '[MQTT-3.2.2-8] CONNACK with a reason code of other packets', '20 * 00 8e []'),
  v5(0x82, '[MQTT-3.2.2-8] CONNACK with a return code of 3.1.1', '20 * 00 01 []'),
  v4(0x82, 'CONNACK of 3.1.1 with return code 6', '20 02 00 06'),
  v4(0x82, 'CONNACK of 3.1.1 with a reason code of 5.0', '20 02 00 87'),
  v5(0x81, 'CONNACK without a body', '20 00'),
  v5(0x81, 'CONNACK without a reason code', '20 01 00'),
  v5(0x81, 'CONNACK without a property length', '20 02 00 00'),
  v4(0x81, 'CONNACK of 3.1.1 with bytes left over', '20 03 00 00 00'),
  v5(0x81, 'CONNACK with bytes left over', '20 04 00 00 00 00'),
  v5(0x82, 'CONNACK with maximum QoS 2', '20 * 00 00 [24 02]'),
  v5(0x82, 'CONNACK with retain available 2', '20 * 00 00 [25 02]'),
  v5(0x82, 'CONNACK with wildcard subscription available 2', '20 * 00 00 [28 02]'),
  v5(0x82, 'CONNACK with subscription identifiers available 2', '20 * 00 00 [29 02]'),
  v5(0x82, 'CONNACK with shared subscription available 2', '20 * 00 00 [2a 02]'),
  v5(0x82, 'CONNACK with receive maximum 0', '20 * 00 00 [21 0000]'),
  v5(0x82, 'CONNACK with maximum packet size 0', '20 * 00 00 [27 00000000]'),
  v5(0x82, 'CONNACK with two server references', '20 * 00 00 [1c "a" 1c "b"]'),
  v5(0x81, 'CONNACK with a property of CONNECT', '20 * 00 00 [17 01]'),
  ...[
    ['PUBACK', '40', '92'],
    ['PUBREC', '50', '92'],
    ['PUBREL', '62', '10'],
    ['PUBCOMP', '70', '80'],
  ].flatMap(([name, header, wrongReason]) => wrongAcks([name!, header!, wrongReason!])),
  subscribe(0x81, '[MQTT-2.2.1-3] packet id 0', '0000 [] "a" 00'),
  subscribe(0x82, '[MQTT-3.8.3-2] no topic filter', '0001 []'),
  subscribe(0x81, 'no body', ''),
  subscribe(0x81, 'no property length', '0001'),
  subscribe(0x81, 'topic filter without options', '0001 [] "a"'),
  subscribe(0x81, 'topic filter that runs past the packet', '0001 [] 0005 61 00'),
  subscribe(0x81, 'second topic filter cut short', '0001 [] "a" 00 00'),
  subscribe(0x82, '[MQTT-4.7.3-1] empty topic filter', '0001 [] "" 00'),
  subscribe(0x82, '[MQTT-4.7.3-1] empty second topic filter', '0001 [] "a" 00 "" 00'),
  subscribe(0x81, '[MQTT-3.8.3-1] ill-formed topic filter', '0001 [] 0002 61ff 00'),
  subscribe(0x81, '[MQTT-4.7.3-2] U+0000 in a topic filter', '0001 [] 0003 610062 00'),
  subscribe(0x82, 'QoS 3', '0001 [] "a" 03'),
  subscribe(0x82, 'retain handling 3', '0001 [] "a" 30'),
  subscribe(0x81, '[MQTT-3.8.3-5] reserved option bit 6', '0001 [] "a" 40'),
  subscribe(0x81, '[MQTT-3.8.3-5] reserved option bit 7', '0001 [] "a" 80'),
  subscribe(0x81, '[MQTT-3.8.3-5] reserved option bit of the second filter', '0001 [] "a" 00 "b" c1'),
  subscribe(0x82, '[MQTT-3.8.3-4] no local on a shared subscription', '0001 [] "$share/g/a" 04'),
  subscribe(0x82, 'subscription identifier 0', '0001 [0b 00] "a" 00'),
  subscribe(0x82, 'two subscription identifiers', '0001 [0b 01 0b 02] "a" 00'),
  subscribe(0x81, 'subscription identifier of five bytes', '0001 [0b 8080808001] "a" 00'),
  subscribe(0x81, '[MQTT-1.5.5-1] subscription identifier longer than needed', '0001 [0b 8100] "a" 00'),
  subscribe(0x81, 'reason string, which belongs to SUBACK', '0001 [1f "x"] "a" 00'),
  v4(0x81, '[v3 MQTT-2.3.1-1] SUBSCRIBE with packet id 0 in 3.1.1', '82 * 0000 "a" 00'),
  v4(0x82, '[v3 MQTT-3.8.3-3] SUBSCRIBE without a topic filter in 3.1.1', '82 * 0001'),
  v4(0x81, '[v3 MQTT-3.8.3-1] SUBSCRIBE with an ill-formed topic filter in 3.1.1', '82 * 0001 0001 c0 00'),
  v4(0x81, '[v3 MQTT-3.8.3-4] SUBSCRIBE with QoS 3 in 3.1.1', '82 * 0001 "a" 03'),
  v4(0x81, '[v3 MQTT-3.8.3-4] SUBSCRIBE with an option of 5.0 in 3.1.1', '82 * 0001 "a" 04'),
  v3(0x81, 'SUBSCRIBE with reserved bits in 3.1', '82 * 0001 "a" 81'),
  v4(0x82, '[v3 MQTT-4.7.3-1] SUBSCRIBE with an empty topic filter in 3.1.1', '82 * 0001 "" 00'),
  v5(0x81, '[MQTT-2.2.1-3] UNSUBSCRIBE with packet id 0', 'a2 * 0000 [] "a"'),
  v5(0x82, '[MQTT-3.10.3-2] UNSUBSCRIBE without a topic filter', 'a2 * 0001 []'),
  v4(0x82, '[v3 MQTT-3.10.3-2] UNSUBSCRIBE without a topic filter in 3.1.1', 'a2 * 0001'),
  v5(0x81, '[MQTT-3.10.3-1] UNSUBSCRIBE with an ill-formed topic filter', 'a2 * 0001 [] 0001 80'),
  v4(0x81, '[v3 MQTT-3.10.3-1] UNSUBSCRIBE with an ill-formed topic filter in 3.1.1', 'a2 * 0001 0001 80'),
  v5(0x82, '[MQTT-4.7.3-1] UNSUBSCRIBE with an empty topic filter', 'a2 * 0001 [] ""'),
  v5(0x81, 'UNSUBSCRIBE whose second topic filter is cut short', 'a2 * 0001 [] "a" 0002 62'),
  v5(0x81, 'UNSUBSCRIBE with a subscription identifier', 'a2 * 0001 [0b 01] "a"'),
  v5(0x81, 'SUBACK with packet id 0', '90 * 0000 [] 00'),
  v5(0x82, 'SUBACK without a reason code', '90 * 0001 []'),
  v5(0x82, '[MQTT-3.9.3-2] SUBACK with a reason code of other packets', '90 * 0001 [] 11'),
  v4(0x82, '[v3 MQTT-3.9.3-2] SUBACK with a reason code of 5.0 in 3.1.1', '90 * 0001 87'),
  v4(0x82, 'SUBACK without a return code in 3.1.1', '90 * 0001'),
  v5(0x81, 'UNSUBACK with packet id 0', 'b0 * 0000 [] 00'),
  v5(0x82, 'UNSUBACK without a reason code', 'b0 * 0001 []'),
  v5(0x82, '[MQTT-3.11.3-2] UNSUBACK with a reason code of SUBACK', 'b0 * 0001 [] 01'),
  v4(0x81, 'UNSUBACK with bytes left over in 3.1.1', 'b0 * 0001 00'),
  v5(0x81, 'PINGREQ with a body', 'c0 01 00'),
  v4(0x81, 'PINGREQ with a body in 3.1.1', 'c0 01 00'),
  v5(0x81, 'PINGRESP with a body', 'd0 01 00'),
  v4(0x81, 'DISCONNECT with a body in 3.1.1', 'e0 01 00'),
  v3(0x81, 'DISCONNECT with a body in 3.1', 'e0 01 00'),
  v5(0x82, '[MQTT-3.14.2-1] DISCONNECT with a reason code of CONNACK', 'e0 01 84'),
  v5(0x82, '[MQTT-3.14.2-1] DISCONNECT with a reason code that does not exist', 'e0 02 01 00'),
  v5(0x81, 'DISCONNECT with bytes left over', 'e0 03 00 00 00'),
  v5(0x81, 'DISCONNECT whose property length runs past it', 'e0 * 00 05 11 0000'),
  v5(0x82, 'DISCONNECT with two session expiry intervals', 'e0 * 00 [11 00000001 11 00000001]'),
  v5(0x81, 'DISCONNECT with a property of CONNECT', 'e0 * 00 [21 0001]'),
  v4(0x81, 'AUTH in 3.1.1', 'f0 * 18 [15 "x"]'),
  v3(0x81, 'AUTH in 3.1', 'f0 00'),
  v5(0x82, '[MQTT-3.15.2-1] AUTH with a reason code of other packets', 'f0 * 01 [15 "x"]'),
  v5(0x82, 'AUTH without an authentication method', 'f0 * 18 []'),
  v5(0x82, 'AUTH with authentication data alone', 'f0 * 18 [16 0001 00]'),
  v5(0x82, 'AUTH with two authentication methods', 'f0 * 18 [15 "x" 15 "x"]'),
  v5(0x81, 'AUTH without a property length', 'f0 01 18'),
  v5(0x81, 'AUTH with bytes left over', 'f0 * 18 [15 "x"] 00'),
  v5(0x81, 'AUTH with a property of CONNECT', 'f0 * 18 [15 "x" 21 0001]'),
];
