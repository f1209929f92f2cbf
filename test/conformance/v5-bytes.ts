import { openTcp } from '../support/client-socket.ts';
import { frame, mqttString, rawConnect } from '../support/raw-bytes.ts';
import type { RawClient } from '../support/raw-client.ts';
import type { TestBroker } from '../support/test-broker.ts';

/** Property bytes with their length in front; as wrong as the parts are, but shorter than 128 bytes. */
export function properties(...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length > 127) throw new RangeError('the length of properties takes one byte here');
  return Buffer.concat([Buffer.from([body.length]), body]);
}

/** A property of one or more strings (or binary data), well-formed or not. */
export function textProperty(id: number, ...texts: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat([Buffer.from([id]), ...texts.map(mqttString)]);
}

/** Sends each of these as a first packet and asserts that it is refused with this reason code and the connection closed. */
export async function expectConnectsRefused(
  broker: TestBroker,
  reasonCode: number,
  connects: readonly Parameters<typeof rawConnect>[1][],
): Promise<void> {
  for (const connect of connects) {
    const client = await broker.open();
    client.send(rawConnect(5, connect));
    await client.expectConnack(reasonCode);
    await client.expectClose();
  }
}

/** Sends each of these on a connection of its own and asserts that it is answered by DISCONNECT with this reason code. */
export async function expectPacketsRefused(
  broker: TestBroker,
  reasonCode: number,
  packets: readonly Uint8Array[],
): Promise<void> {
  for (const packet of packets) {
    const client = await broker.connect();
    client.send(packet);
    await client.expectDisconnect(reasonCode);
  }
}

/** Breaks the connection off and waits until the broker has noticed. */
export async function vanish(broker: TestBroker, client: RawClient, clientId: string = client.name): Promise<void> {
  const noticed = new Promise<void>((resolve) => {
    broker.on('clientDisconnected', (gone) => {
      if (gone.clientId === clientId) resolve();
    });
  });
  client.destroy();
  await noticed;
}

/** A connection whose bytes nobody decodes. */
export interface ByteConnection {
  write(bytes: Uint8Array): void;
  /** The next packet of the broker, header and all. */
  packet(): Promise<Buffer>;
  destroy(): void;
}

/** Opens a connection that hands out the packets of the broker as they stand on the wire. */
export async function openBytes(broker: TestBroker): Promise<ByteConnection> {
  let bytes = Buffer.alloc(0);
  let wake = (): void => undefined;
  let isClosed = false;
  const socket = await openTcp('127.0.0.1', broker.port, {
    onBytes: (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      wake();
    },
    onClose: () => {
      isClosed = true;
      wake();
    },
  });
  return {
    write: (data) => socket.write(data),
    destroy: () => socket.destroy(),
    packet: async () => {
      for (;;) {
        const end = 2 + (bytes[1] ?? 0);
        if (bytes.length >= 2 && bytes.length >= end) {
          const packet = bytes.subarray(0, end);
          bytes = bytes.subarray(end);
          return packet;
        }
        if (isClosed) throw new Error('the connection closed instead of another packet');
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

/** SUBSCRIBE of one filter with packet id 1, with these property bytes. */
export function rawSubscribe(filter: string | Uint8Array, propertyBytes: Uint8Array = Buffer.from([0])): Buffer {
  return frame(0x82, Buffer.from([0, 1]), propertyBytes, mqttString(filter), Buffer.from([0]));
}

/** UNSUBSCRIBE of one filter with packet id 1, with these property bytes. */
export function rawUnsubscribe(filter: string | Uint8Array, propertyBytes: Uint8Array = Buffer.from([0])): Buffer {
  return frame(0xa2, Buffer.from([0, 1]), propertyBytes, mqttString(filter));
}

/** QoS 0 PUBLISH with these property bytes. */
export function rawPublish(topicName: string | Uint8Array, propertyBytes: Uint8Array = Buffer.from([0])): Buffer {
  return frame(0x30, mqttString(topicName), propertyBytes, Buffer.from('payload'));
}
