import { malformed, ProtocolError, protocolError } from './errors.ts';
import type { PacketReader } from './packet-reader.ts';
import { PacketWriter } from './packet-writer.ts';
import type { Properties, UserProperty } from './packets.ts';
import type { PropertyOwner, PropertyRow } from './property-table.ts';
import { PROPERTY_TABLE, PropertyId, propertyRow } from './property-table.ts';
import { ReasonCode } from './reason-codes.ts';

type PropertyValue = number | boolean | string | Uint8Array | UserProperty;

/**
 * Decodes the properties of a packet, the length in front of them included, section 2.2.2.
 *
 * @throws ProtocolError as `decodePropertyList`, and 0x81 where they run past the packet.
 */
export function decodeProperties(reader: PacketReader, owner: PropertyOwner): Properties {
  return decodePropertyList(reader.take(reader.readVariableByteInteger()), owner);
}

/**
 * Decodes properties up to the reader's end, section 2.2.2.2.
 *
 * @throws ProtocolError 0x81 for properties unknown or of another packet, lengths that do not fit and ill-formed strings;
 *   0x82 for repeated ones and excluded values; 0x94 for topic alias 0.
 */
export function decodePropertyList(reader: PacketReader, owner: PropertyOwner): Properties {
  const properties: Properties = {};
  while (reader.remaining > 0) {
    const id = reader.readVariableByteInteger();
    const row = propertyRow(id);
    if (row === undefined || (row.owners & (1 << owner)) === 0) throw malformed(`Property ${id} does not exist here`);
    const isRepeated = properties[row.name] !== undefined;
    if (isRepeated && (row.repeatableIn & (1 << owner)) === 0) throw protocolError(`Property ${id} comes twice`);
    decodeInto(properties, reader, row);
  }
  return properties;
}

/** Decodes one value; those that are lists in `Properties` are added to theirs. */
function decodeInto(properties: Properties, reader: PacketReader, row: PropertyRow): void {
  switch (row.wireType) {
    case 'pair': // [MQTT-1.5.7-1]
      (properties.userProperties ??= []).push([reader.readString(), reader.readString()]);
      break;
    case 'variableByteInteger':
      (properties.subscriptionIdentifiers ??= []).push(atLeastMinimum(reader.readVariableByteInteger(), row));
      break;
    case 'bit':
      set(properties, row, decodeBit(reader, row));
      break;
    case 'boolean':
      set(properties, row, decodeBit(reader, row) === 1);
      break;
    case 'uint16':
      set(properties, row, atLeastMinimum(reader.readUint16(), row));
      break;
    case 'uint32':
      set(properties, row, atLeastMinimum(reader.readUint32(), row));
      break;
    case 'string':
      set(properties, row, reader.readString());
      break;
    case 'topicName':
      set(properties, row, validateResponseTopic(reader.readString()));
      break;
    case 'binary':
      set(properties, row, reader.readBinary());
      break;
  }
}

/** The name comes from the property table, never from a peer. */
function set(properties: Properties, row: PropertyRow, value: PropertyValue): void {
  Object.assign(properties, { [row.name]: value });
}

function decodeBit(reader: PacketReader, row: PropertyRow): number {
  const value = reader.readByte();
  if (value > 1) throw protocolError(`Property ${row.id} is neither 0 nor 1`);
  return value;
}

function atLeastMinimum(value: number, row: PropertyRow): number {
  if (value >= row.minimum) return value;
  if (row.id === PropertyId.topicAlias) throw topicAliasZero();
  throw protocolError(`Property ${row.id} is 0`);
}

function validateResponseTopic(topicName: string): string {
  if (topicName === '') throw responseTopicEmpty();
  if (topicName.includes('+') || topicName.includes('#')) throw responseTopicWildcard();
  return topicName;
}

/** Topic alias 0, section 3.3.2.3.4. */
export function topicAliasZero(): ProtocolError {
  return new ProtocolError(ReasonCode.topicAliasInvalid, 'Topic Alias is 0', 'MQTT-3.3.2-8'); // [MQTT-3.3.2-8]
}

/** A wildcard in a Response Topic, section 3.3.2.3.5. */
export function responseTopicWildcard(): ProtocolError {
  return protocolError('A Response Topic holds a wildcard character', 'MQTT-3.3.2-14'); // [MQTT-3.3.2-14]
}

/** An empty Response Topic, which cannot name a topic, section 4.7.3. */
export function responseTopicEmpty(): ProtocolError {
  return protocolError('A Response Topic is empty', 'MQTT-4.7.3-1'); // [MQTT-4.7.3-1]
}

/**
 * Writes the properties of a packet with their length in front, 0 for none [MQTT-2.2.2-1].
 *
 * @throws RangeError as `encodePropertyList`.
 */
export function encodeProperties(writer: PacketWriter, properties: Properties, owner: PropertyOwner): void {
  if (isEmpty(properties)) {
    writer.writeByte(0);
    return;
  }
  const bytes = encodePropertyList(properties, owner);
  writer.writeVariableByteInteger(bytes.length);
  writer.writeRaw(bytes);
}

/**
 * Encodes properties without a length in front, in the order of their identifiers, lists in their own order.
 *
 * @throws RangeError for a property the packet may not carry, and for values the wire has no room for.
 */
export function encodePropertyList(properties: Properties, owner: PropertyOwner): Uint8Array {
  const writer = new PacketWriter();
  for (const row of PROPERTY_TABLE) {
    const value = properties[row.name];
    if (value === undefined) continue;
    if ((row.owners & (1 << owner)) === 0) throw new RangeError(`${row.name} does not exist in packet type ${owner}`);
    if (Array.isArray(value)) {
      for (const item of value) encodeValue(writer, row, item);
    } else {
      encodeValue(writer, row, value);
    }
  }
  return writer.bytes();
}

/** Whether there is no property at all. */
export function isEmpty(properties: Properties): boolean {
  return Object.keys(properties).length === 0;
}

function encodeValue(writer: PacketWriter, row: PropertyRow, value: PropertyValue): void {
  writer.writeByte(row.id);
  if (typeof value === 'string') writer.writeString(value);
  else if (typeof value === 'boolean') writer.writeByte(value ? 1 : 0);
  else if (typeof value === 'number') encodeNumber(writer, row, value);
  else if (value instanceof Uint8Array) writer.writeBinary(value);
  else for (const text of value) writer.writeString(text);
}

function encodeNumber(writer: PacketWriter, row: PropertyRow, value: number): void {
  if (row.wireType === 'variableByteInteger') writer.writeVariableByteInteger(value);
  else if (row.wireType === 'uint32') writer.writeUint32(value);
  else if (row.wireType === 'uint16') writer.writeUint16(value);
  else writer.writeByte(value);
}
