import type { ConnectPacket } from '../../../src/protocol/packets.ts';
import { binary, type ValidVector } from './notation.ts';

const V5: ConnectPacket = {
  type: 1,
  protocolVersion: 5,
  cleanStart: true,
  keepAlive: 60,
  clientId: 'c',
  properties: {},
};
const V4: ConnectPacket = { ...V5, protocolVersion: 4 };
const V3: ConnectPacket = { ...V5, protocolVersion: 3 };
const WILL = { topicName: 'w', payload: binary('~gone~'), qos: 0, retain: false, properties: {} } as const;

const HEAD_V5 = '10 * "MQTT" 05';
const HEAD_V4 = '10 * "MQTT" 04';
const HEAD_V3 = '10 * "MQIsdp" 03';

function withProperties(name: string, notation: string, properties: ConnectPacket['properties']): ValidVector {
  const bytes = `${HEAD_V5} 02 003c [${notation}] "c"`;
  return { name: `CONNECT with ${name}`, version: 5, bytes, packet: { ...V5, properties } };
}

function withWillProperties(name: string, notation: string, properties: ConnectPacket['properties']): ValidVector {
  const bytes = `${HEAD_V5} 06 003c [] "c" [${notation}] "w" "gone"`;
  return { name: `CONNECT with will ${name}`, version: 5, bytes, packet: { ...V5, will: { ...WILL, properties } } };
}

/** CONNECT in all versions. */
export const VALID_CONNECT: readonly ValidVector[] = [
  { name: '[MQTT-3.1.2-1] plain CONNECT of 5.0', version: 5, bytes: `${HEAD_V5} 02 003c [] "c"`, packet: V5 },
  { name: '[v3 MQTT-3.1.2-1] plain CONNECT of 3.1.1', version: 4, bytes: `${HEAD_V4} 02 003c "c"`, packet: V4 },
  { name: 'plain CONNECT of 3.1', version: 3, bytes: `${HEAD_V3} 02 003c "c"`, packet: V3 },
  {
    name: '[MQTT-3.1.3-6] empty client id in 5.0',
    version: 5,
    bytes: `${HEAD_V5} 02 003c [] ""`,
    packet: { ...V5, clientId: '' },
  },
  {
    name: '[v3 MQTT-3.1.3-6] empty client id in 3.1.1',
    version: 4,
    bytes: `${HEAD_V4} 02 003c ""`,
    packet: { ...V4, clientId: '' },
  },
  {
    name: '[v3 MQTT-3.1.3-8] empty client id without clean session',
    version: 4,
    bytes: `${HEAD_V4} 00 003c ""`,
    packet: { ...V4, clientId: '', cleanStart: false },
  },
  {
    name: 'empty client id in 3.1',
    version: 3,
    bytes: `${HEAD_V3} 02 003c ""`,
    packet: { ...V3, clientId: '' },
  },
  {
    name: '[MQTT-3.1.2-4] CONNECT without clean start',
    version: 5,
    bytes: `${HEAD_V5} 00 003c [] "c"`,
    packet: { ...V5, cleanStart: false },
  },
  { name: 'keep alive 0', version: 5, bytes: `${HEAD_V5} 02 0000 [] "c"`, packet: { ...V5, keepAlive: 0 } },
  { name: 'keep alive 65,535', version: 4, bytes: `${HEAD_V4} 02 ffff "c"`, packet: { ...V4, keepAlive: 65_535 } },
  {
    name: '[MQTT-3.1.2-17] [MQTT-3.1.2-19] user name and password',
    version: 5,
    bytes: `${HEAD_V5} c2 003c [] "c" "ann" "s3cret"`,
    packet: { ...V5, username: 'ann', password: binary('~s3cret~') },
  },
  {
    name: '[v3 MQTT-3.1.2-19] [v3 MQTT-3.1.2-21] user name and password in 3.1.1',
    version: 4,
    bytes: `${HEAD_V4} c2 003c "c" "ann" "s3cret"`,
    packet: { ...V4, username: 'ann', password: binary('~s3cret~') },
  },
  {
    name: 'user name and password in 3.1',
    version: 3,
    bytes: `${HEAD_V3} c2 003c "c" "ann" "s3cret"`,
    packet: { ...V3, username: 'ann', password: binary('~s3cret~') },
  },
  {
    name: 'password without a user name, which 5.0 allows',
    version: 5,
    bytes: `${HEAD_V5} 42 003c [] "c" "s3cret"`,
    packet: { ...V5, password: binary('~s3cret~') },
  },
  {
    name: 'user name without a password',
    version: 4,
    bytes: `${HEAD_V4} 82 003c "c" "ann"`,
    packet: { ...V4, username: 'ann' },
  },
  {
    name: 'empty user name and password',
    version: 4,
    bytes: `${HEAD_V4} c2 003c "c" "" ""`,
    packet: { ...V4, username: '', password: binary('') },
  },
  {
    name: 'password of arbitrary bytes, [MQTT-3.1.3-12] binds the user name alone',
    version: 5,
    bytes: `${HEAD_V5} c2 003c [] "c" "ann" 0003 00ff80`,
    packet: { ...V5, username: 'ann', password: binary('00ff80') },
  },
  {
    name: '3.1: user name flag without a user name at the end of the packet',
    version: 3,
    bytes: `${HEAD_V3} 82 003c "c"`,
    packet: V3,
    otherForm: 'the flag is not set again',
  },
  {
    name: '3.1: password flag without a password at the end of the packet',
    version: 3,
    bytes: `${HEAD_V3} c2 003c "c" "ann"`,
    packet: { ...V3, username: 'ann' },
    otherForm: 'the flag is not set again',
  },
  {
    name: '[MQTT-3.1.2-9] will',
    version: 5,
    bytes: `${HEAD_V5} 06 003c [] "c" [] "w" "gone"`,
    packet: { ...V5, will: WILL },
  },
  {
    name: '[MQTT-3.1.2-12] will of QoS 1',
    version: 5,
    bytes: `${HEAD_V5} 0e 003c [] "c" [] "w" "gone"`,
    packet: { ...V5, will: { ...WILL, qos: 1 } },
  },
  {
    name: '[MQTT-3.1.2-12] will of QoS 2, retained',
    version: 5,
    bytes: `${HEAD_V5} 36 003c [] "c" [] "w" "gone"`,
    packet: { ...V5, will: { ...WILL, qos: 2, retain: true } },
  },
  {
    name: '[v3 MQTT-3.1.2-9] will in 3.1.1',
    version: 4,
    bytes: `${HEAD_V4} 2e 003c "c" "w" "gone"`,
    packet: { ...V4, will: { ...WILL, qos: 1, retain: true } },
  },
  {
    name: 'will in 3.1',
    version: 3,
    bytes: `${HEAD_V3} 16 003c "c" "w" "gone"`,
    packet: { ...V3, will: { ...WILL, qos: 2 } },
  },
  {
    name: 'will without a payload',
    version: 4,
    bytes: `${HEAD_V4} 06 003c "c" "w" ""`,
    packet: { ...V4, will: { ...WILL, payload: binary('') } },
  },
  {
    name: '[MQTT-3.1.3-1] all fields in order',
    version: 5,
    bytes: `${HEAD_V5} f6 000a [11 0000003c] "dev" [18 00000005] "w/t" "gone" "ann" "pw"`,
    packet: {
      ...V5,
      keepAlive: 10,
      clientId: 'dev',
      properties: { sessionExpiryInterval: 60 },
      will: { topicName: 'w/t', payload: binary('~gone~'), qos: 2, retain: true, properties: { willDelayInterval: 5 } },
      username: 'ann',
      password: binary('~pw~'),
    },
  },
  withProperties('session expiry interval at its maximum', '11 ffffffff', { sessionExpiryInterval: 0xffff_ffff }),
  withProperties('session expiry interval 0', '11 00000000', { sessionExpiryInterval: 0 }),
  withProperties('receive maximum', '21 000a', { receiveMaximum: 10 }),
  withProperties('maximum packet size', '27 00001000', { maximumPacketSize: 4096 }),
  withProperties('maximum packet size 1', '27 00000001', { maximumPacketSize: 1 }),
  withProperties('topic alias maximum', '22 0010', { topicAliasMaximum: 16 }),
  withProperties('topic alias maximum 0', '22 0000', { topicAliasMaximum: 0 }),
  withProperties('request response information', '19 01', { requestResponseInformation: true }),
  withProperties('request problem information', '17 00', { requestProblemInformation: false }),
  withProperties('authentication method', '15 "SCRAM"', { authenticationMethod: 'SCRAM' }),
  withProperties('authentication method and data', '15 "X" 16 0002 00ff', {
    authenticationMethod: 'X',
    authenticationData: binary('00ff'),
  }),
  withProperties('user properties in order', '26 "b" "1" 26 "a" "2" 26 "b" "1"', {
    userProperties: [
      ['b', '1'],
      ['a', '2'],
      ['b', '1'],
    ],
  }),
  withProperties('an empty user property', '26 "" ""', { userProperties: [['', '']] }),
  withProperties('a user property named __proto__', '26 "__proto__" "x"', { userProperties: [['__proto__', 'x']] }),
  withWillProperties('delay', '18 0000000a', { willDelayInterval: 10 }),
  withWillProperties('payload format', '01 01', { payloadFormatIndicator: 1 }),
  withWillProperties('expiry', '02 0000000a', { messageExpiryInterval: 10 }),
  withWillProperties('content type', '03 "text/plain"', { contentType: 'text/plain' }),
  withWillProperties('response topic', '08 "r"', { responseTopic: 'r' }),
  withWillProperties('correlation data', '09 0001 00', { correlationData: binary('00') }),
  withWillProperties('[MQTT-3.1.3-10] user properties', '26 "z" "1" 26 "a" "2"', {
    userProperties: [
      ['z', '1'],
      ['a', '2'],
    ],
  }),
];
