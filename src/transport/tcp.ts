import type { Listener, OnStream } from './byte-stream.ts';
import { type EntranceOptions, openEntrance } from './entrance.ts';
import { NodeStream } from './node-stream.ts';

/**
 * Accepts MQTT over TCP, both directions closed apart from each other.
 * @param onError told when accepting fails; accepting goes on.
 * @throws as `openEntrance`.
 */
export async function listenTcp(
  options: EntranceOptions,
  onStream: OnStream,
  onError: (error: Error) => void,
): Promise<Listener> {
  const entrance = await openEntrance(
    options,
    {
      allowHalfOpen: true,
      onSocket: (socket) => onStream(new NodeStream(socket, 'tcp', '')),
      onHandshake: (handshake) => onStream(new NodeStream(handshake.socket, 'tcp', handshake.finish().address)),
    },
    onError,
  );
  return { url: `mqtt://${entrance.authority}`, port: entrance.port, close: () => entrance.close() };
}
