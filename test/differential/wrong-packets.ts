import type { ProtocolVersion } from '../../src/protocol/packets.ts';

/** A packet that breaks the rules, in the notation of `bytesOf`. */
export interface WrongPacket {
  readonly name: string;
  readonly bytes: string;
}

/** Packets that are wrong in each version behind CONNECT; `P` stands for an empty list of properties in 5.0. */
const ANY_VERSION: readonly WrongPacket[] = [
  { name: 'PUBLISH with QoS 3', bytes: '36 * "a" 0001 P ~x~' },
  { name: 'PUBLISH with packet id 0', bytes: '32 * "a" 0000 P ~x~' },
  { name: 'PUBLISH to a/+', bytes: '30 * "a/+" P ~x~' },
  { name: 'PUBLISH to #', bytes: '30 * "#" P ~x~' },
  { name: 'PUBLISH without a topic name', bytes: '30 * "" P ~x~' },
  { name: 'PUBLISH to overlong UTF-8', bytes: '30 * 0002 c080 P ~x~' },
  { name: 'PUBLISH to a surrogate', bytes: '30 * 0003 eda080 P ~x~' },
  { name: 'PUBLISH to U+0000', bytes: '30 * 0001 00 P ~x~' },
  { name: 'PUBLISH with DUP and QoS 0', bytes: '38 * "a" P ~x~' },
  { name: 'PUBLISH cut off', bytes: '32 * "a" 00' },
  { name: 'PUBLISH below $SYS', bytes: '30 * "$SYS/x" P ~x~' },
  { name: 'SUBSCRIBE without a topic filter', bytes: '82 * 0001 P' },
  { name: 'SUBSCRIBE with wrong flags', bytes: '80 * 0001 P "a" 00' },
  { name: 'SUBSCRIBE with QoS 3', bytes: '82 * 0001 P "a" 03' },
  { name: 'SUBSCRIBE with reserved options', bytes: '82 * 0001 P "a" c0' },
  { name: 'SUBSCRIBE with an empty topic filter', bytes: '82 * 0001 P "" 00' },
  { name: 'SUBSCRIBE with packet id 0', bytes: '82 * 0000 P "a" 00' },
  { name: 'SUBSCRIBE to overlong UTF-8', bytes: '82 * 0001 P 0002 c080 00' },
  { name: 'UNSUBSCRIBE without a topic filter', bytes: 'a2 * 0001 P' },
  { name: 'UNSUBSCRIBE with an empty topic filter', bytes: 'a2 * 0001 P ""' },
  { name: 'UNSUBSCRIBE with wrong flags', bytes: 'a0 * 0001 P "a"' },
  { name: 'a second CONNECT of 3.1.1', bytes: '10 * "MQTT" 04 02 003c "again"' },
  { name: 'a second CONNECT of 5.0', bytes: '10 * "MQTT" 05 02 003c [] "again"' },
  { name: 'CONNACK', bytes: '20 * 00 00 P' },
  { name: 'SUBACK', bytes: '90 * 0001 P 00' },
  { name: 'PINGRESP', bytes: 'd0 00' },
  { name: 'packet type 0', bytes: '00 00' },
  { name: 'AUTH', bytes: 'f0 00' },
  { name: 'PUBREL with wrong flags', bytes: '60 * 0001' },
  { name: 'PUBACK of nothing', bytes: '40 * 0055' },
  { name: 'PUBREC of nothing', bytes: '50 * 0056' },
  { name: 'PUBREL of nothing', bytes: '62 * 0057' },
  { name: 'PUBCOMP of nothing', bytes: '70 * 0058' },
  { name: 'PUBACK with packet id 0', bytes: '40 * 0000' },
  { name: 'PINGREQ with a body', bytes: 'c0 01 00' },
  { name: 'DISCONNECT with flags', bytes: 'e1 00' },
  { name: 'a Remaining Length of five bytes', bytes: '30 ffffffff 01' },
];

const ONLY_V5: readonly WrongPacket[] = [
  { name: 'PUBLISH with an unknown property', bytes: '30 * "a" [7f] ~x~' },
  { name: 'PUBLISH with a property of CONNECT', bytes: '30 * "a" [11 00000001] ~x~' },
  { name: 'PUBLISH with a property twice', bytes: '30 * "a" [01 01 01 01] ~x~' },
  { name: 'PUBLISH with topic alias 0', bytes: '30 * "a" [23 0000] ~x~' },
  { name: 'PUBLISH with a topic alias that is too high', bytes: '30 * "a" [23 ffff] ~x~' },
  { name: 'PUBLISH with an unknown topic alias', bytes: '30 * "" [23 0009] ~x~' },
  { name: 'PUBLISH with a subscription identifier', bytes: '30 * "a" [0b 01] ~x~' },
  { name: 'PUBLISH with payload format 2', bytes: '30 * "a" [01 02] ~x~' },
  { name: 'PUBLISH with a wildcard in its response topic', bytes: '30 * "a" [08 "b/#"] ~x~' },
  { name: 'PUBLISH with properties that run past it', bytes: '30 05 0001 61 05 01' },
  { name: 'SUBSCRIBE with subscription identifier 0', bytes: '82 * 0001 [0b 00] "a" 00' },
  { name: 'SUBSCRIBE with two subscription identifiers', bytes: '82 * 0001 [0b 01 0b 02] "a" 00' },
  { name: 'SUBSCRIBE with No Local on a shared subscription', bytes: '82 * 0001 [] "$share/g/a" 04' },
  { name: 'SUBSCRIBE with Retain Handling 3', bytes: '82 * 0001 [] "a" 30' },
  { name: 'DISCONNECT with an unknown reason code', bytes: 'e0 01 55' },
  { name: 'DISCONNECT with reason code 0x8b of servers', bytes: 'e0 01 8b' },
  { name: 'DISCONNECT with a property of PUBLISH', bytes: 'e0 * 00 [01 01]' },
  { name: 'DISCONNECT with a session expiry interval', bytes: 'e0 * 00 [11 000003e8]' },
  { name: 'PUBACK with an unknown reason code', bytes: '40 * 0055 55' },
  { name: 'PUBREL with an unknown reason code', bytes: '62 * 0055 55' },
  { name: 'AUTH that authenticates anew', bytes: 'f0 * 19 [15 "m"]' },
];

/** Packets behind CONNECT that are wrong in this version. */
export function wrongPackets(version: ProtocolVersion): readonly WrongPacket[] {
  const properties = version === 5 ? '[]' : '';
  const any = ANY_VERSION.map(({ name, bytes }) => ({ name, bytes: bytes.replace('P', properties) }));
  return version === 5 ? [...any, ...ONLY_V5] : any;
}

/** CONNECT packets that are wrong, for a client id, with the version to answer in. */
export const WRONG_CONNECTS: readonly {
  name: string;
  version: ProtocolVersion;
  bytes: (clientId: string) => string;
}[] = [
  { name: 'CONNECT with the reserved flag', version: 4, bytes: (id) => `10 * "MQTT" 04 03 003c "${id}"` },
  { name: 'CONNECT with Will QoS and no will', version: 4, bytes: (id) => `10 * "MQTT" 04 0a 003c "${id}"` },
  { name: 'CONNECT with Will Retain and no will', version: 4, bytes: (id) => `10 * "MQTT" 04 22 003c "${id}"` },
  { name: 'CONNECT with Will QoS 3', version: 4, bytes: (id) => `10 * "MQTT" 04 1e 003c "${id}" "a" "w"` },
  { name: 'CONNECT with a password alone', version: 4, bytes: (id) => `10 * "MQTT" 04 42 003c "${id}" "pw"` },
  { name: 'CONNECT without the will it announces', version: 4, bytes: (id) => `10 * "MQTT" 04 06 003c "${id}"` },
  { name: 'CONNECT with a will to a wildcard', version: 4, bytes: (id) => `10 * "MQTT" 04 06 003c "${id}" "a/#" "w"` },
  { name: 'CONNECT with a will to no topic', version: 4, bytes: (id) => `10 * "MQTT" 04 06 003c "${id}" "" "w"` },
  { name: 'CONNECT with protocol version 9', version: 4, bytes: (id) => `10 * "MQTT" 09 02 003c "${id}"` },
  { name: 'CONNECT with another protocol name', version: 4, bytes: (id) => `10 * "MQTX" 04 02 003c "${id}"` },
  { name: 'CONNECT with flags in its first byte', version: 4, bytes: (id) => `12 * "MQTT" 04 02 003c "${id}"` },
  { name: 'CONNECT with bytes behind it', version: 4, bytes: (id) => `10 * "MQTT" 04 02 003c "${id}" 00` },
  { name: 'CONNECT with no client id and no clean session', version: 4, bytes: () => '10 * "MQTT" 04 00 003c ""' },
  { name: 'CONNECT with a client id that is no UTF-8', version: 4, bytes: () => '10 * "MQTT" 04 02 003c 0002 c080' },
  { name: 'CONNECT with the reserved flag', version: 5, bytes: (id) => `10 * "MQTT" 05 03 003c [] "${id}"` },
  { name: 'CONNECT with Receive Maximum 0', version: 5, bytes: (id) => `10 * "MQTT" 05 02 003c [21 0000] "${id}"` },
  {
    name: 'CONNECT with Maximum Packet Size 0',
    version: 5,
    bytes: (id) => `10 * "MQTT" 05 02 003c [27 00000000] "${id}"`,
  },
  {
    name: 'CONNECT with a property twice',
    version: 5,
    bytes: (id) => `10 * "MQTT" 05 02 003c [11 00000001 11 00000001] "${id}"`,
  },
  { name: 'CONNECT with a property of PUBLISH', version: 5, bytes: (id) => `10 * "MQTT" 05 02 003c [01 01] "${id}"` },
  {
    name: 'CONNECT with Request Problem Information 2',
    version: 5,
    bytes: (id) => `10 * "MQTT" 05 02 003c [17 02] "${id}"`,
  },
  {
    name: 'CONNECT with an Authentication Method',
    version: 5,
    bytes: (id) => `10 * "MQTT" 05 02 003c [15 "m"] "${id}"`,
  },
  {
    name: 'CONNECT with Authentication Data alone',
    version: 5,
    bytes: (id) => `10 * "MQTT" 05 02 003c [16 "d"] "${id}"`,
  },
  {
    name: 'CONNECT with a will to a wildcard',
    version: 5,
    bytes: (id) => `10 * "MQTT" 05 06 003c [] "${id}" [] "a/#" "w"`,
  },
  {
    name: 'CONNECT with a will property of CONNECT',
    version: 5,
    bytes: (id) => `10 * "MQTT" 05 06 003c [] "${id}" [11 00000001] "a" "w"`,
  },
];
