import type { Logger } from '../lib/logger.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import type { FlappingGuard } from './flapping.ts';
import type { LimitReason } from './limit-counters.ts';

/** What counts connections. */
export interface AdmissionParts {
  readonly connections: ConnectionLimits;
  readonly flapping: FlappingGuard;
  readonly logger: Logger;
}

/** One connection as limits count it, from accept to close; each of its methods is to be called once, in their order. */
export class Admission {
  readonly #parts: AdmissionParts;
  /** As of `ConnectionLimits.keyOf`. */
  readonly #key: string;
  /** Proven, and counted; empty for none. */
  #username = '';

  constructor(parts: AdmissionParts, key: string) {
    this.#parts = parts;
    this.#key = key;
  }

  /** Counts it for its user, who has proven to be that (empty for nobody); see `ConnectionLimits.admitUser`. @returns why it is refused. */
  admitUser(username: string, takesOver: boolean): LimitReason | undefined {
    const reason = this.#parts.connections.admitUser(username, takesOver);
    if (reason === undefined) this.#username = username;
    return reason;
  }

  /** It is let in with this client id. */
  connected(clientId: string, now: number): void {
    const { connections, flapping, logger } = this.#parts;
    connections.settled(this.#key);
    if (flapping.noteConnected(this.#username, clientId, now))
      logger.warn('a client connects over and over and is banned for a while', {
        client: clientId,
        username: this.#username,
      });
  }

  /** It has ended without having been let in. `isFailure`: by what its client did or left undone. */
  refused(isFailure: boolean, now: number): void {
    this.#parts.connections.settled(this.#key);
    this.ended();
    if (isFailure) noteFailure(this.#parts, this.#key, now);
  }

  /** It has ended after it was let in. */
  ended(): void {
    if (this.#username !== '') this.#parts.connections.userGone(this.#username);
  }

  /** Its socket is gone. */
  closed(): void {
    this.#parts.connections.closed(this.#key);
  }
}

/** Notes a connection that failed. @param key as of `ConnectionLimits.keyOf`. */
export function noteFailure(
  { flapping, logger }: Pick<AdmissionParts, 'flapping' | 'logger'>,
  key: string,
  now: number,
): void {
  if (flapping.noteFailure(key, now))
    logger.warn('connections of an address fail over and over, and it is banned for a while', { remote: key });
}
