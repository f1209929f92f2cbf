import {
  type ConnectPacket,
  PacketType,
  type Properties,
  type ProtocolVersion,
  type Qos,
} from '../../src/protocol/packets.ts';

/** A will as tests write it; what is left out is empty, QoS 0, not retained. */
interface RawWill {
  topicName: string;
  payload?: string | Uint8Array;
  qos?: Qos;
  retain?: boolean;
  properties?: Properties;
}

/** What goes into a CONNECT; by default a clean session without keep alive under the client's own name. */
export interface RawConnectOptions {
  clientId?: string;
  /** Clean Session in 3.x; true by default. */
  cleanStart?: boolean;
  /** Seconds; 0, none, by default. */
  keepAlive?: number;
  username?: string;
  password?: string;
  will?: RawWill;
  properties?: Properties;
}

/** The CONNECT packet for these options. */
export function connectPacket(
  protocolVersion: ProtocolVersion,
  defaultClientId: string,
  options: RawConnectOptions,
): ConnectPacket {
  const packet: ConnectPacket = {
    type: PacketType.connect,
    protocolVersion,
    cleanStart: options.cleanStart ?? true,
    keepAlive: options.keepAlive ?? 0,
    clientId: options.clientId ?? defaultClientId,
    properties: options.properties ?? {},
  };
  if (options.username !== undefined) packet.username = options.username;
  if (options.password !== undefined) packet.password = Buffer.from(options.password);
  const { will } = options;
  if (will !== undefined) {
    const payload = will.payload ?? '';
    packet.will = {
      topicName: will.topicName,
      payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
      qos: will.qos ?? 0,
      retain: will.retain ?? false,
      properties: will.properties ?? {},
    };
  }
  return packet;
}
