import { generate, type Packet as ForeignPacket, parser } from 'mqtt-packet';
import type { Packet, PingPacket, Properties, ProtocolVersion, UserProperty } from '../../src/protocol/packets.ts';
import { PROPERTY_TABLE } from '../../src/protocol/property-table.ts';

/** Objects as mqtt-packet knows them. */
type Fields = Record<string, unknown>;

const COMMANDS = [
  'reserved',
  'connect',
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'suback',
  'unsubscribe',
  'unsuback',
  'pingreq',
  'pingresp',
  'disconnect',
  'auth',
];

/** User properties the way mqtt-packet keeps them: values by name, so that their order across names is lost. */
function toForeignUserProperties(pairs: readonly UserProperty[]): Fields {
  const byName: Record<string, string | string[]> = {};
  for (const [name, value] of pairs) {
    const present = byName[name];
    if (present === undefined) byName[name] = value;
    else if (Array.isArray(present)) present.push(value);
    else byName[name] = [present, value];
  }
  return byName;
}

/** In the order of their identifiers, as mqtt-packet writes them in the order of the object; undefined for none. */
function toForeignProperties(properties: Properties): Fields | undefined {
  const foreign: Fields = {};
  for (const { name } of PROPERTY_TABLE) {
    const value = properties[name];
    if (value === undefined) continue;
    if (name === 'userProperties') foreign[name] = toForeignUserProperties(properties.userProperties ?? []);
    else if (name === 'subscriptionIdentifiers') {
      const identifiers = properties.subscriptionIdentifiers ?? [];
      foreign['subscriptionIdentifier'] = identifiers.length === 1 ? identifiers[0] : identifiers;
    } else if (name === 'payloadFormatIndicator') foreign[name] = value === 1;
    else if (name === 'maximumQos') foreign['maximumQoS'] = value;
    else foreign[name] = value instanceof Uint8Array ? Buffer.from(value) : value;
  }
  return Object.keys(foreign).length > 0 ? foreign : undefined;
}

function withoutUndefined(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** The same packet as mqtt-packet has it. */
export function toForeign(packet: Packet, version: ProtocolVersion): Fields {
  const cmd = COMMANDS[packet.type];
  if (!('properties' in packet)) return { cmd };
  const properties = version === 5 ? toForeignProperties(packet.properties) : undefined;
  return withoutUndefined({ cmd, properties, ...toForeignFields(packet, version) });
}

function toForeignFields(packet: Exclude<Packet, PingPacket>, version: ProtocolVersion): Fields {
  switch (packet.type) {
    case 1:
      return {
        protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
        protocolVersion: version,
        clean: packet.cleanStart,
        keepalive: packet.keepAlive,
        clientId: packet.clientId,
        username: packet.username,
        password: packet.password && Buffer.from(packet.password),
        will:
          packet.will &&
          withoutUndefined({
            topic: packet.will.topicName,
            payload: Buffer.from(packet.will.payload),
            qos: packet.will.qos,
            retain: packet.will.retain,
            properties: toForeignProperties(packet.will.properties),
          }),
      };
    case 2: {
      const code = version === 5 ? { reasonCode: packet.reasonCode } : { returnCode: packet.reasonCode };
      return { sessionPresent: packet.sessionPresent, ...code };
    }
    case 3:
      return {
        topic: packet.topicName,
        payload: Buffer.from(packet.payload),
        qos: packet.qos,
        dup: packet.dup,
        retain: packet.retain,
        messageId: packet.qos > 0 ? packet.packetId : undefined,
      };
    case 8:
      return {
        messageId: packet.packetId,
        subscriptions: packet.subscriptions.map(({ topicFilter, qos, noLocal, retainAsPublished, retainHandling }) =>
          version === 5
            ? { topic: topicFilter, qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling }
            : { topic: topicFilter, qos },
        ),
      };
    case 10:
      return { messageId: packet.packetId, unsubscriptions: packet.topicFilters };
    case 9:
      return { messageId: packet.packetId, granted: packet.reasonCodes };
    case 11:
      return { messageId: packet.packetId, granted: version === 5 ? packet.reasonCodes : undefined };
    case 14:
    case 15:
      return { reasonCode: version === 5 ? packet.reasonCode : undefined };
    case 4:
    case 5:
    case 6:
    case 7:
      return { messageId: packet.packetId, reasonCode: version === 5 ? packet.reasonCode : undefined };
  }
}

/** What mqtt-packet makes of bytes: packets without the fields it fills in for every type, or an error. */
export function parseForeign(bytes: Buffer, version: ProtocolVersion): { packets: Fields[]; failed: boolean } {
  const packets: Fields[] = [];
  let failed = false;
  const parsing = parser({ protocolVersion: version });
  parsing.on('packet', (packet) => {
    const { length: _length, ...fields } = { ...packet } as Fields;
    if (fields['cmd'] !== 'publish') {
      for (const name of ['topic', 'payload', 'qos', 'dup', 'retain']) delete fields[name];
    }
    packets.push(withoutUndefined(fields));
  });
  parsing.on('error', () => {
    failed = true;
  });
  try {
    parsing.parse(bytes);
  } catch {
    failed = true; // Some malformed packets make it read past its buffer.
  }
  return { packets: packets.map(withoutNull), failed };
}

function withoutNull(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

/** The bytes mqtt-packet encodes a packet to. @throws Error where it refuses to. */
export function generateForeign(packet: Packet, version: ProtocolVersion): Buffer {
  return generate(toForeign(packet, version) as unknown as ForeignPacket, { protocolVersion: version });
}
