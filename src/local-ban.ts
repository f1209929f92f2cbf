import type { ConnectionContext } from './connection/context.ts';
import { enforceBans } from './connection/enforce-bans.ts';
import type { BanBook } from './limits/ban-book.ts';
import type { BanKind } from './limits/ban-lines.ts';

/** Somebody who may not connect, for a time. */
export interface BanRequest {
  kind: BanKind;
  /** An address or range such as `10.0.0.0/8`, a client id, or a user name. */
  value: string;
  /** How long, ms; left out for good. */
  forMs?: number;
  /** For people; one line. */
  reason?: string;
}

/** Bans from inside, and ends the connections of who is meant. @returns how many. @throws as `BanBook.add`. */
export async function banNow(
  { kind, value, forMs = Number.POSITIVE_INFINITY, reason = '' }: BanRequest,
  bans: BanBook,
  context: Pick<ConnectionContext, 'connections' | 'clock' | 'guard'>,
): Promise<number> {
  const added = bans.add({ kind, value, until: context.clock.calendarNow() + forMs, reason });
  // What cannot be written is in force all the same.
  await added.catch(() => undefined);
  const ended = await enforceBans(context);
  await added;
  return ended;
}
