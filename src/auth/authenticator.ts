import type { Awaitable, ClientInfo, Grant } from '../hooks/hooks.ts';

/** What a client brings along to say who it is. */
export interface Credentials {
  /** As CONNECT has it; its user name is not proven yet. */
  readonly client: ClientInfo;
  /** User Name of CONNECT; undefined for none. */
  readonly username: string | undefined;
  /** Password of CONNECT; undefined for none. Secret: it never goes into a log or a reason. */
  readonly password: Uint8Array | undefined;
  /**
   * Asked before costly work that had to wait begins: false once nobody waits for the verdict, as the connection has
   * gone or its user is held off meanwhile. Without it somebody always does. It must not throw.
   */
  readonly isWanted?: () => boolean;
  /** Whether its user has logged in from there before: a flood of strangers does not keep it waiting. */
  readonly goesFirst?: boolean;
}

/** What an authenticator says of a client. Reasons are for the log of the broker, not for the client. */
export type Verdict =
  /** It is who it says. */
  | {
      readonly kind: 'accepted';
      /** Who it is; may differ from the user name of CONNECT. */
      readonly username: string;
      readonly roles?: readonly string[];
      /** Claims of its token. */
      readonly claims?: Readonly<Record<string, unknown>>;
      /** What it may do beyond the access rules. */
      readonly grants?: readonly Grant[];
      /** When its right to be connected ends, ms since the epoch; undefined for never. */
      readonly expiresAt?: number;
    }
  /** It is known here, and not let in: nobody else is asked. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Not looked at, as there is too much to do: refused with 0x89, nobody else is asked, and no failed login is counted. */
  | { readonly kind: 'busy'; readonly reason: string }
  /** Nobody can say, as what is asked is away or broken: refused like any other, but no failed login is counted. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Not known here: the next one is asked. */
  | { readonly kind: 'unknown'; readonly reason: string };

/** One way to find out who a client is. Several form a chain, asked in their order. */
export interface Authenticator {
  /** For the log: `password`, `jwt`, `certificate`, `webhook`. */
  readonly name: string;
  /** False where nobody gets in by guessing, as it checks what is signed or has a key: then no failed login is counted. */
  readonly isGuessable?: false;
  /** Where it throws or rejects, the client is refused: nothing falls open. */
  authenticate(credentials: Credentials): Awaitable<Verdict>;
  /**
   * Reads its files anew; what it had stays in force where they cannot be used.
   * @throws Error that names file and line, for the log.
   */
  reload?(): Promise<void>;
  /** Whether a user that it accepted before would still be one, asked after `reload`; without it all of them are. */
  stillKnows?(username: string): boolean;
  /** Ends timers and connections. */
  close?(): void;
}
