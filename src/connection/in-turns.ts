import type { Clock } from '../lib/clock.ts';
import type { Connection } from './connection.ts';

/** Connections looked at before others get their turn: with hundreds of rules each costs up to half a millisecond. */
const TURN_CONNECTIONS = 50;

/** Visits all connections there are now, while the broker goes on with its work. @returns when all have been visited. */
export async function inTurns(
  connections: Iterable<Connection>,
  clock: Clock,
  visit: (connection: Connection) => void,
): Promise<void> {
  let visited = 0;
  for (const connection of [...connections]) {
    if (connection.isOver) continue;
    visit(connection);
    visited += 1;
    if (visited % TURN_CONNECTIONS === 0) await new Promise<void>((resolve) => clock.setImmediate(resolve));
  }
}
