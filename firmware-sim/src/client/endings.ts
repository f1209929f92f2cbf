import type { IConnackPacket, IDisconnectPacket } from 'mqtt-packet';
import type { ClientEnd, Connected, ConnectOptions, ProtocolVersion } from './client.ts';
import { Malformed } from './malformed.ts';
import { reasonText, returnCodeText } from './reason-names.ts';

/** Of a Reason String, which is the broker's to write. */
const reasonStringMax = 200;

/**
 * The end that a CONNACK with a code of failure makes; undefined for one that accepts.
 * @param length bytes of the packet behind its fixed header: brokers below MQTT 5 refuse it in their own form.
 * @throws Malformed for a code that is neither.
 */
export function refusedEnd(packet: IConnackPacket, version: ProtocolVersion, length: number): ClientEnd | undefined {
  const code = version === 5 ? packet.reasonCode : packet.returnCode;
  if (code === undefined) throw new Malformed('CONNACK that is cut short');
  if (code === 0) return undefined;
  const isOldForm = version < 5 || (length === 2 && code < 0x80);
  if (!isOldForm && code < 0x80) throw new Malformed(`CONNACK with reason code ${reasonText(code)}`);
  const text = isOldForm ? returnCodeText(code) : reasonText(code);
  return {
    cause: 'refused-by-broker',
    reasonCode: code,
    text: `refused by the broker: ${text}${reasonString(packet.properties?.reasonString)}`,
  };
}

/** What a CONNACK that accepts says. MQTT 3.1 has no session present flag: a session that may go on counts as there. */
export function connectedOf(packet: IConnackPacket, version: ProtocolVersion, options: ConnectOptions): Connected {
  const { receiveMaximum = 0xffff, serverKeepAlive } = (version === 5 && packet.properties) || {};
  if (receiveMaximum === 0) throw new Malformed('CONNACK with Receive Maximum 0');
  return {
    sessionPresent: version === 3 ? !options.cleanStart : packet.sessionPresent,
    receiveMaximum,
    keepAliveSeconds: serverKeepAlive ?? options.keepAliveSeconds,
  };
}

/** The end that a DISCONNECT of the broker (MQTT 5) makes. */
export function disconnectedEnd(packet: IDisconnectPacket): ClientEnd {
  const reasonCode = packet.reasonCode ?? 0;
  const text = `DISCONNECT of the broker: ${reasonText(reasonCode)}${reasonString(packet.properties?.reasonString)}`;
  return { cause: 'disconnected-by-broker', reasonCode, text };
}

function reasonString(text: string | undefined): string {
  return text === undefined || text === '' ? '' : `: ${text.slice(0, reasonStringMax)}`;
}
