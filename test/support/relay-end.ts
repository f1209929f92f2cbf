import { once } from 'node:events';
import type { Server, Socket } from 'node:net';

/** Closes a server that passes bytes on, with all its connections, both ends of each. Resolves when it is closed. */
export async function endRelay(server: Server, links: Iterable<{ client: Socket; server: Socket }>): Promise<void> {
  if (!server.listening) return;
  const ended = once(server, 'close');
  server.close();
  for (const link of links) {
    link.client.destroy();
    link.server.destroy();
  }
  await ended;
}
