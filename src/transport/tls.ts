import type { OnStream, SecureListener } from './byte-stream.ts';
import { type EntranceOptions, openEntrance } from './entrance.ts';
import { NodeStream } from './node-stream.ts';
import { createTlsGate, type TlsOptions } from './tls-gate.ts';

/** Where to accept TLS connections, and with which certificates. */
export interface SecureOptions extends EntranceOptions {
  readonly tls: TlsOptions;
}

/**
 * Accepts MQTT over TLS. A client that offers protocols by ALPN must offer `mqtt`; one that offers none is welcome.
 * @param onError told when accepting fails; accepting goes on.
 * @throws as `openEntrance`, and as `createTlsGate`.
 */
export async function listenTls(
  options: SecureOptions,
  onStream: OnStream,
  onError: (error: Error) => void,
): Promise<SecureListener> {
  const gate = await createTlsGate(options.tls, 'mqtt', (socket, handshake) => {
    const { address, ...identity } = handshake.finish();
    onStream(new NodeStream(socket, 'tls', address, identity));
  });
  const entrance = await openEntrance(
    options,
    { allowHalfOpen: false, onHandshake: (handshake) => gate.take(handshake) },
    onError,
  );
  return {
    url: `mqtts://${entrance.authority}`,
    port: entrance.port,
    reload: () => gate.reload(),
    close: () => entrance.close(),
  };
}
