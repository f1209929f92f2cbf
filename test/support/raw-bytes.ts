import type { ProtocolVersion } from '../../src/protocol/packets.ts';

/** Two bytes, most significant first. */
export function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** A string as MQTT writes it, length first; bytes stand as they are, well-formed or not. */
export function mqttString(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint16(bytes.length), bytes]);
}

/** A packet with this first byte around the parts; written without the broker's codec, so it may be as wrong as need be. */
export function frame(firstByte: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from([firstByte, ...length]), body]);
}

/** What a CONNECT made of bytes has in it. */
export interface RawConnect {
  /** First byte; 0x10 by default. */
  firstByte?: number;
  /** `MQTT`, or `MQIsdp` where the version is 3, by default. */
  protocolName?: string;
  /** The version by default. */
  protocolLevel?: number;
  /** Connect flags; 0x02, a clean session, by default. */
  flags?: number;
  /** Seconds; 0 by default. */
  keepAlive?: number;
  /** Property bytes with their length; none by default. Only with MQTT 5.0. */
  properties?: Uint8Array;
  /** The payload: client id, will and so on, as they are to stand on the wire. */
  payload: readonly Uint8Array[];
}

/** A CONNECT of this version, byte by byte. */
export function rawConnect(version: ProtocolVersion, connect: RawConnect): Buffer {
  return frame(
    connect.firstByte ?? 0x10,
    mqttString(connect.protocolName ?? (version === 3 ? 'MQIsdp' : 'MQTT')),
    Buffer.from([connect.protocolLevel ?? version, connect.flags ?? 0x02]),
    uint16(connect.keepAlive ?? 0),
    version === 5 ? (connect.properties ?? Buffer.from([0])) : Buffer.alloc(0),
    ...connect.payload,
  );
}
