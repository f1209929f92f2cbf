import type {
  AuthPacket,
  ConnectPacket,
  Properties,
  ProtocolVersion,
  Qos,
  UserProperty,
  Will,
} from '../protocol/packets.ts';

/** A value now or later; hooks that answer at once cost no turn of the event loop. */
export type Awaitable<T> = T | Promise<T>;

/** A certificate that a client proved to have, issued by an authority that the listener trusts. */
export interface ClientCertificate {
  /** Common name of its subject; empty for none. */
  readonly commonName: string;
  /** Its alternative names, such as `DNS:sensor-1.example`, `email:a@example.org`, `URI:urn:uuid:...`. */
  readonly alternativeNames: readonly string[];
  /** SHA-256 of the certificate, in upper-case hexadecimal with colons. */
  readonly fingerprint: string;
}

/** A right to topics that a token or an authenticator gives, beside the access rules. */
export interface Grant {
  readonly action: 'publish' | 'subscribe';
  /** A topic filter, taken literally: nothing in it is substituted. */
  readonly topicFilter: string;
}

/** Who a connection is, as hooks see it. */
export interface ClientInfo {
  readonly clientId: string;
  /** Empty for anonymous. */
  readonly username: string;
  readonly protocolVersion: ProtocolVersion;
  /** Address and port, or the path of a Unix socket; what a balancer says of the client where it is trusted to. */
  readonly remoteAddress: string;
  /** `tcp`, `tls`, `websocket`, `secure-websocket`, `unix`. */
  readonly transport: string;
  /** Undefined for none, or none that was verified. */
  readonly certificate?: ClientCertificate;
  /** Identity of the pre-shared key that it has; undefined for none. */
  readonly pskIdentity?: string;
  /** Roles that whoever authenticated it says it has; the access rules may give it more. */
  readonly roles?: readonly string[];
  /** Claims of its token; undefined for no token. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** What it may do beyond the access rules. */
  readonly grants?: readonly Grant[];
  /** What said who it is: `password`, `jwt`, `certificate`, `psk`, `webhook`; undefined for the program's own hook, or nothing. */
  readonly provenBy?: string;
}

/** A message as hooks see it and may change it. */
export interface HookMessage {
  topicName: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
  properties: Properties;
}

/** A refusal with an MQTT 5.0 reason code (0x80 or above; 3.x gets the nearest it has) and a reason for people. */
export interface Refusal {
  reasonCode: number;
  /** For the client, and for the log. */
  reasonString?: string;
  /** For the log alone, in place of `reasonString`. */
  explanation?: string;
  /** With reason 0x9C or 0x9D: where to go. */
  serverReference?: string;
}

/** What comes with a proven identity. */
export interface Entitlement {
  readonly provenBy?: string;
  readonly roles?: readonly string[];
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly grants?: readonly Grant[];
  /** When the connection has to end, ms since the epoch: an MQTT 5.0 client is told 0xA0 then. Left out for never. */
  readonly expiresAt?: number;
}

/** What authenticate says: let in (perhaps under another user name), or refuse. */
export type AuthenticateResult =
  | ({ allow: true; username?: string; userProperties?: UserProperty[] } & Entitlement)
  | ({ allow: false } & Refusal);

/** What an enhanced authentication step says, section 4.12. */
export type AuthStep =
  | { kind: 'continue'; data?: Uint8Array; reasonString?: string }
  | ({ kind: 'success'; data?: Uint8Array; username?: string } & Entitlement)
  | ({ kind: 'refuse' } & Refusal);

/** One enhanced authentication exchange, from CONNECT or a re-authentication to its end. */
export interface AuthExchange {
  /** Takes the Authentication Data of CONNECT or AUTH and says how to go on. */
  step(data: Uint8Array | undefined, packet: ConnectPacket | AuthPacket): Awaitable<AuthStep>;
}

/** How long a subscription or publish right was asked for, and for what. */
export interface AuthorizeRequest {
  action: 'publish' | 'subscribe' | 'will';
  /** Topic name, or for subscribe the topic filter without `$share/name/`. */
  topic: string;
  qos: Qos;
  retain: boolean;
}

/**
 * What an embedder decides. All are optional; without one everything is allowed. A hook that throws or rejects refuses
 * (0x83; a QoS 1 or 2 publish of 3.x, which has no answer for that, ends its connection) and is logged: nothing falls
 * open. Once a client authenticates, its client id belongs to the user name that opened the session.
 */
export interface Hooks {
  /** Runs on each CONNECT without an Authentication Method. `isWanted`: whether the client still waits for the answer. */
  authenticate?(client: ClientInfo, connect: ConnectPacket, isWanted: () => boolean): Awaitable<AuthenticateResult>;
  /** Starts an exchange for this Authentication Method; undefined refuses it with 0x8C. */
  startAuthExchange?(method: string, client: ClientInfo): AuthExchange | undefined;
  /** Runs on each PUBLISH, on each topic filter of a SUBSCRIBE, and on the will (at CONNECT and when it is published). */
  authorize?(client: ClientInfo, request: AuthorizeRequest): Awaitable<boolean | Refusal>;
  /** Runs on each authorised message before it is routed; may return a changed one, or refuse it. */
  onPublish?(client: ClientInfo, message: HookMessage): Awaitable<HookMessage | Refusal | undefined>;
}

/** What an embedder watches, name by name with the arguments of the listener. */
export interface BrokerEvents {
  listening: [urls: string[]];
  clientConnected: [client: ClientInfo, sessionPresent: boolean];
  clientDisconnected: [client: ClientInfo, reason: string];
  connectionRefused: [remoteAddress: string, reason: string];
  subscribed: [client: ClientInfo, topicFilter: string, qos: Qos];
  unsubscribed: [client: ClientInfo, topicFilter: string];
  published: [client: ClientInfo | undefined, message: HookMessage];
  sessionCreated: [clientId: string];
  sessionEnded: [clientId: string, reason: string];
  willPublished: [clientId: string, will: Will];
  messageDropped: [clientId: string, topicName: string, reason: string];
  /** The broker can no longer keep its promises and is closing. */
  fatal: [error: Error];
}
