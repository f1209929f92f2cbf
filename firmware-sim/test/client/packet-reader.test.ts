import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import type { IncomingMessage, ProtocolVersion } from '../../src/client/client.ts';
import { PacketDecoder, PacketReader, type PacketSink } from '../../src/client/packet-reader.ts';
import { acknowledgementName } from '../../src/client/packet-types.ts';
import { Random } from '../../src/lib/random.ts';

/** Packets as words, whoever read them. */
class Words implements PacketSink {
  readonly told: string[] = [];
  isReading = true;

  onPublish(message: IncomingMessage, packetId: number): void {
    const { topicName, qos, retain, dup, properties } = message;
    const payload = message.payload.toString('base64');
    this.told.push(publishWords({ topicName, payload, qos, retain, dup, properties, packetId }));
  }

  onAcknowledgement(firstByte: number, packetId: number, reasonCode: number): void {
    this.told.push(`${acknowledgementName(firstByte)} ${packetId} ${reasonCode}`);
  }

  onPingresp(): void {
    this.told.push('PINGRESP');
  }

  onPacket(packet: Packet): void {
    this.told.push(rareWords(packet));
  }

  onMalformed(text: string): void {
    this.told.push(`malformed ${text}`);
    this.isReading = false;
  }
}

function publishWords(message: object): string {
  return `PUBLISH ${JSON.stringify(message)}`;
}

function rareWords(packet: Packet): string {
  return `${packet.cmd} ${packet.messageId} ${JSON.stringify('granted' in packet ? packet.granted : '')}`;
}

function foreignPublishWords(packet: IPublishPacket): string {
  const { topic: topicName, qos, retain, dup, properties, messageId: packetId = 0 } = packet;
  const payload = (packet.payload as Buffer).toString('base64');
  const own = properties && {
    messageExpiryInterval: properties.messageExpiryInterval,
    contentType: properties.contentType,
    responseTopic: properties.responseTopic,
    correlationData: properties.correlationData,
    userProperties: properties.userProperties,
  };
  return publishWords({ topicName, payload, qos, retain, dup, properties: own, packetId });
}

/** The same words, read by mqtt-packet. */
function wordsOfMqttPacket(bytes: Buffer, version: ProtocolVersion): string[] {
  const told: string[] = [];
  const packets = parser({ protocolVersion: version });
  packets.on('error', (error: Error) => told.push(`malformed ${error.message}`));
  packets.on('packet', (packet) => {
    if (packet.cmd === 'publish') told.push(foreignPublishWords(packet));
    else if (packet.cmd === 'pingresp') told.push('PINGRESP');
    else if (packet.cmd === 'suback') told.push(rareWords(packet));
    else told.push(`${packet.cmd.toUpperCase()} ${packet.messageId} ${'reasonCode' in packet ? packet.reasonCode : 0}`);
  });
  packets.parse(bytes);
  return told;
}

const texts = ['a', 'sensor/1', 'é/ü/漢字/🌡', 'x'.repeat(200), ' ', '/'];

function randomPacket(random: Random, version: ProtocolVersion): Packet {
  const messageId = 1 + random.below(65_535);
  const draw = random.below(10);
  const isFive = version === 5;
  if (draw < 5) {
    const qos = random.below(3) as 0 | 1 | 2;
    const payload = Buffer.alloc(random.pick([0, 1, 100, 127, 128, 300, 16_380, 20_000]), random.below(256));
    const properties = {
      ...(random.chance(0.5) && { messageExpiryInterval: random.below(2 ** 32) }),
      ...(random.chance(0.5) && { contentType: random.pick(texts) }),
      ...(random.chance(0.3) && { responseTopic: random.pick(texts) }),
      ...(random.chance(0.3) && { correlationData: Buffer.alloc(random.below(40), 7) }),
      ...(random.chance(0.3) && { userProperties: { [random.pick(texts)]: random.pick(texts), __proto__x: 'y' } }),
    };
    const hasProperties = isFive && random.chance(0.7) && Object.keys(properties).length > 0;
    return {
      cmd: 'publish',
      topic: random.pick(texts),
      payload,
      qos,
      dup: qos > 0 && random.chance(0.5),
      retain: random.chance(0.5),
      ...(qos > 0 && { messageId }),
      ...(hasProperties && { properties }),
    };
  }
  if (draw < 8) {
    const cmd = random.pick(['puback', 'pubrec', 'pubrel', 'pubcomp'] as const);
    const codes = cmd === 'puback' || cmd === 'pubrec' ? [0, 0, 0x10, 0x87] : [0, 0, 0x92];
    const properties = isFive && random.chance(0.2) ? { properties: { reasonString: random.pick(texts) } } : {};
    return { cmd, messageId, reasonCode: random.pick(codes), ...properties };
  }
  if (draw === 8) return { cmd: 'pingresp' };
  return { cmd: 'suback', messageId, granted: [random.below(3), 0x80] };
}

/** Reads `bytes` in pieces that `cut` gives the lengths of. */
function wordsOfReader(bytes: Buffer, version: ProtocolVersion, cut: () => number): string[] {
  const words = new Words();
  const reader = new PacketReader(new PacketDecoder(), version, words);
  for (let at = 0; at < bytes.length; ) {
    const length = Math.max(1, cut());
    // What was read is the network's again.
    const piece = Buffer.from(bytes.subarray(at, at + length));
    reader.read(piece);
    piece.fill(0xff);
    at += length;
  }
  return words.told;
}

function readOne(version: ProtocolVersion, ...bytes: readonly number[]): string[] {
  return wordsOfReader(Buffer.from(bytes), version, () => bytes.length);
}

describe('PacketReader', () => {
  it.each([3, 4, 5] as const)('reads version %i like mqtt-packet, whole, byte by byte, and cut anywhere', (version) => {
    const random = new Random(version);
    for (let round = 0; round < 25; round++) {
      const packets = Array.from({ length: 1 + random.below(8) }, () => randomPacket(random, version));
      const bytes = Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: version })));
      const expected = wordsOfMqttPacket(bytes, version);
      expect(expected).toHaveLength(packets.length);
      expect(wordsOfReader(bytes, version, () => bytes.length)).toEqual(expected);
      expect(wordsOfReader(bytes, version, () => 1)).toEqual(expected);
      expect(wordsOfReader(bytes, version, () => random.below(300))).toEqual(expected);
    }
  });

  it('keeps nothing between whole packets', () => {
    const words = new Words();
    const reader = new PacketReader(new PacketDecoder(), 4, words);
    const bytes = generate({ cmd: 'puback', messageId: 5 });
    for (let count = 0; count < 3; count++) {
      reader.read(bytes.subarray(0, 3));
      reader.read(bytes.subarray(3));
      reader.read(bytes);
    }
    expect(words.told).toEqual(Array.from({ length: 6 }, () => 'PUBACK 5 0'));
  });

  it('stops within a chunk when its sink does not read any more', () => {
    const words = new Words();
    words.onAcknowledgement = () => {
      words.told.push('stop');
      words.isReading = false;
    };
    const ack = generate({ cmd: 'puback', messageId: 5 });
    new PacketReader(new PacketDecoder(), 4, words).read(Buffer.concat([ack, ack, ack]));
    expect(words.told).toEqual(['stop']);
  });

  it('reads a packet with reserved prototypes in its user properties as data', () => {
    const pair = [0x26, 0, 9, ...Buffer.from('__proto__'), 0, 1, 0x78];
    const told = readOne(5, 0x30, 4 + pair.length + 1, 0, 1, 0x61, pair.length, ...pair, 0x21);
    expect(told[0]).toContain('"userProperties":{"__proto__":"x"}');
  });

  it.each<[string, ProtocolVersion, readonly number[]]>([
    ['QoS 3', 4, [0x36, 5, 0, 1, 0x61, 0, 1]],
    ['QoS 0 with DUP', 4, [0x38, 3, 0, 1, 0x61]],
    ['a PUBLISH without room for a topic name', 4, [0x30, 1, 0]],
    ['a topic name longer than the packet', 4, [0x30, 3, 0, 2, 0x61]],
    ['no topic name', 4, [0x30, 2, 0, 0]],
    ['a topic name with a wildcard', 4, [0x30, 3, 0, 1, 0x23]],
    ['a topic name with U+0000', 4, [0x30, 3, 0, 1, 0]],
    ['a topic name that is not UTF-8', 4, [0x30, 3, 0, 1, 0xff]],
    ['a PUBLISH without room for a packet id', 4, [0x32, 4, 0, 1, 0x61, 0]],
    ['a PUBLISH with packet id 0', 4, [0x32, 5, 0, 1, 0x61, 0, 0]],
    ['a PUBLISH of MQTT 5 without properties', 5, [0x30, 3, 0, 1, 0x61]],
    ['properties longer than the packet', 5, [0x30, 4, 0, 1, 0x61, 1]],
    ['a property that is cut short', 5, [0x30, 6, 0, 1, 0x61, 2, 0x02, 0]],
    ['a property running over the end of the properties', 5, [0x30, 9, 0, 1, 0x61, 3, 0x03, 0, 3, 0x61, 0x62]],
    ['a topic alias', 5, [0x30, 7, 0, 1, 0x61, 3, 0x23, 0, 1]],
    ['a property twice', 5, [0x30, 8, 0, 1, 0x61, 4, 0x01, 0, 0x01, 0]],
    ['a property of CONNECT', 5, [0x30, 7, 0, 1, 0x61, 3, 0x21, 0, 1]],
    ['a payload format 2', 5, [0x30, 6, 0, 1, 0x61, 2, 0x01, 2]],
    ['a property that is not UTF-8', 5, [0x30, 8, 0, 1, 0x61, 4, 0x03, 0, 1, 0xff]],
    ['PUBACK of one byte', 4, [0x40, 1, 1]],
    ['PUBACK of three bytes below MQTT 5', 4, [0x40, 3, 0, 1, 0]],
    ['PUBACK with packet id 0', 4, [0x40, 2, 0, 0]],
    ['PUBACK with a code that is none of its', 5, [0x40, 3, 0, 1, 0x8e]],
    ['PUBACK with flags', 4, [0x41, 2, 0, 1]],
    ['PUBREL without its flags', 4, [0x60, 2, 0, 1]],
    ['PINGRESP with a body', 4, [0xd0, 1, 0]],
    ['type 0', 4, [0x00, 0]],
    ['a length of five bytes', 4, [0x40, 0x80, 0x80, 0x80, 0x80, 0x01]],
    ['SUBACK with a code that is none', 4, [0x90, 3, 0, 1, 3]],
  ])('does not take %s, whole or byte by byte', (_what, version, bytes) => {
    expect(readOne(version, ...bytes)).toEqual([expect.stringMatching(/^malformed /)]);
    expect(wordsOfReader(Buffer.from(bytes), version, () => 1)).toEqual([expect.stringMatching(/^malformed /)]);
  });

  it('does not take properties that run on into the next packet', () => {
    // A PUBLISH whose two bytes of properties would be the payload format of what follows it.
    expect(readOne(5, 0x30, 4, 0, 1, 0x61, 2, 0x01, 0x00)).toEqual([
      'malformed PUBLISH with properties that are longer than it is',
    ]);
  });

  it('reads on with mqtt-packet after a packet it did not take', () => {
    const decoder = new PacketDecoder();
    const first = new Words();
    new PacketReader(decoder, 5, first).read(Buffer.from([0x90, 3, 0, 1, 0x55]));
    const second = new Words();
    new PacketReader(decoder, 5, second).read(
      generate({ cmd: 'suback', messageId: 1, granted: [0] }, { protocolVersion: 5 }),
    );
    expect(first.told).toEqual([expect.stringMatching(/^malformed /)]);
    expect(second.told).toEqual(['suback 1 [0]']);
  });
});
