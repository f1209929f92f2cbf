import { describe, expect, test } from 'vitest';
import { type ConnackPacket, type Packet, PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { ServerRules } from './server-rules.ts';

const connack = (reasonCode = 0): ConnackPacket => ({
  type: PacketType.connack,
  sessionPresent: false,
  reasonCode,
  properties: {},
});
const pingresp: Packet = { type: PacketType.pingresp };
const disconnect: Packet = { type: PacketType.disconnect, reasonCode: 0, properties: {} };
const auth: Packet = { type: PacketType.auth, reasonCode: 0x18, properties: {} };

function check(version: ProtocolVersion, packets: readonly Packet[]): void {
  const rules = new ServerRules(version);
  for (const packet of packets) rules.check(packet);
}

describe('ServerRules', () => {
  test('allow an MQTT 5.0 server AUTH before CONNACK and DISCONNECT at the end', () => {
    expect(() => check(5, [auth, connack(), pingresp, auth, disconnect])).not.toThrow();
  });

  test.each<[string, ProtocolVersion, Packet[], string]>([
    ['anything before CONNACK', 4, [pingresp], 'before CONNACK'],
    ['DISCONNECT before CONNACK', 5, [disconnect], 'before CONNACK'],
    ['a second CONNACK', 5, [connack(), connack()], 'a second CONNACK'],
    ['anything after a refusal', 4, [connack(5), pingresp], 'over'],
    ['anything after DISCONNECT', 5, [connack(), disconnect, pingresp], 'over'],
    ['DISCONNECT in 3.1.1', 4, [connack(), disconnect], 'no packet of a server'],
    ['AUTH in 3.1', 3, [connack(), auth], 'no packet of a server'],
    ['a packet of clients', 5, [connack(), { type: PacketType.pingreq }], 'no packet of a server'],
  ])('refuse %s', (_what, version, packets, text) => {
    expect(() => check(version, packets)).toThrow(text);
  });
});
