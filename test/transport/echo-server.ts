/**
 * A program for tests of the listener in a process with few file descriptors: accepts on a free port of the loopback,
 * prints the port, and sends back what it reads.
 */
import { listenTcp } from '../../src/transport/tcp.ts';

const listener = await listenTcp(
  { host: '127.0.0.1', port: 0 },
  (stream) =>
    stream.attach({
      onBytes: (chunk) => void stream.write(chunk),
      onDrain: () => {},
      onEnd: () => stream.end(),
      onClose: () => {},
    }),
  (error) => console.error(error),
);
console.log(listener.port);
