import type { Config } from '../config.ts';
import { limitOptions } from './limit-options.ts';
import {
  boolean,
  choice,
  file,
  host,
  integer,
  MiB,
  type Option,
  option,
  type OptionKey,
  port,
  text,
  type ValueAt,
} from './option.ts';

/** Every option there is, in the order in which it is printed. */
export const options: { readonly [Key in OptionKey]: Option<ValueAt<Config, Key>> } = {
  'listeners.tcp.host': option(host, '127.0.0.1', 'Address to accept MQTT over TCP on; 0.0.0.0 or :: for all.'),
  'listeners.tcp.port': option(port, 1883, 'Port for MQTT over TCP; 0 takes any free one, off takes none.'),
  'listeners.websocket.host': option(host, '127.0.0.1', 'Address to accept MQTT over WebSocket on.'),
  'listeners.websocket.port': option(port, 8083, 'Port for MQTT over WebSocket; 0 takes any free one, off takes none.'),
  'listeners.websocket.path': option(
    { kind: 'text', rule: 'path', min: 1, max: 1_024 },
    '/mqtt',
    'Path of the URL that WebSocket clients connect to.',
  ),
  'listeners.websocket.origins': option(
    { kind: 'list', rule: 'origin' },
    [],
    'Origins of the web pages that may connect, such as https://dash.example; * lets any. Empty: pages of the same origin (over loopback: of localhost or an address), and clients that are no browser.',
  ),
  'listeners.tls.host': option(host, '127.0.0.1', 'Address to accept MQTT over TLS on; needs tls.certFiles.'),
  'listeners.tls.port': option(
    port,
    'off',
    'Port for MQTT over TLS, usually 8883; 0 takes any free one, off takes none.',
  ),
  'listeners.secureWebsocket.host': option(
    host,
    '127.0.0.1',
    'Address to accept MQTT over secure WebSocket on, with path and origins of listeners.websocket; needs tls.certFiles.',
  ),
  'listeners.secureWebsocket.port': option(
    port,
    'off',
    'Port for MQTT over secure WebSocket, usually 8084; 0 takes any free one, off takes none.',
  ),
  'listeners.unix.path': option(
    { kind: 'text', rule: 'file', min: 0, max: 107 },
    '',
    'Path of a Unix socket to accept MQTT on; empty for none.',
  ),
  'listeners.proxyProtocolFrom': option(
    { kind: 'list', rule: 'network' },
    [],
    'Addresses and networks (10.0.0.0/8) of balancers that begin each connection with the PROXY protocol, version 1 or 2; those must send it, all others must not.',
  ),

  'tls.certFiles': option(
    { kind: 'list', rule: 'file' },
    [],
    'PEM files, each with a certificate and those between it and its authority; a client gets the one for the name it asks for, or the first.',
  ),
  'tls.keyFiles': option(
    { kind: 'list', rule: 'file' },
    [],
    'PEM files with the keys of tls.certFiles, in the same order; nobody but their owner may read them.',
  ),
  'tls.caFile': option(file(0), '', 'PEM file with the authorities that issue client certificates; empty for none.'),
  'tls.crlFile': option(file(0), '', 'PEM file with the revocation lists of those authorities; empty for none.'),
  'tls.clientCertificates': option(
    choice('none', 'optional', 'required'),
    'none',
    'Whether clients show a certificate; one that does not verify is refused in any case.',
  ),
  'tls.minVersion': option(choice('TLSv1.2', 'TLSv1.3'), 'TLSv1.2', 'Lowest version of TLS.'),
  'tls.handshakeTimeoutMs': option(
    integer(100, 600_000, 'ms'),
    10_000,
    'Time from accepting a connection to the end of its TLS handshake.',
  ),
  'tls.pskFile': option(
    file(0),
    '',
    'File with pre-shared keys, a line identity:hexadecimal-key each, for clients without certificates; empty for none.',
  ),

  ...limitOptions,

  'session.queueMessagesMax': option(
    integer(1, 100_000_000, 'messages'),
    100_000,
    'Messages the queue of one session may hold, in flight included.',
  ),
  'session.queueBytesMax': option(
    integer(1_024, 1_099_511_627_776, 'bytes'),
    256 * MiB,
    'Bytes of topic names, properties and payloads the queue of one session may hold.',
  ),
  'session.queuePolicy': option(
    choice('drop-oldest', 'drop-newest', 'refuse'),
    'drop-oldest',
    'What happens to a message that finds the queue full: it replaces the oldest, is dropped, or is refused to its publisher.',
  ),
  'session.queueQos0': option(boolean, false, 'Whether QoS 0 messages are queued for sessions that are away.'),
  'session.queueWindowMessages': option(
    integer(1, 1_000_000, 'messages'),
    1_000,
    'Messages of one stored queue kept in memory as well; the rest is read when its turn comes.',
  ),
  'session.queueWindowBytes': option(
    integer(1_024, 1_073_741_824, 'bytes'),
    4 * MiB,
    'Bytes of one stored queue kept in memory.',
  ),
  'session.queueMemoryBytes': option(
    integer(0, 1_099_511_627_776, 'bytes'),
    64 * MiB,
    'Memory up to which queues keep more than that, so that it need not be read again; for all queues together.',
  ),
  'session.inFlightMessagesMax': option(
    integer(1, 65_535, 'messages'),
    1_024,
    'Unacknowledged QoS 1 and 2 messages sent to a client that announces no Receive Maximum.',
  ),
  'session.overlap': option(
    choice('once', 'per-subscription'),
    'once',
    'Whether a client whose subscriptions overlap gets a message once, with the highest QoS, or once for each.',
  ),
  'session.sharePolicy': option(
    choice('round-robin', 'random', 'sticky', 'least-in-flight'),
    'round-robin',
    'Who of a shared subscription gets the next message.',
  ),

  'retained.messagesMax': option(
    integer(0, 100_000_000, 'messages'),
    1_000_000,
    'Retained messages at most; more are refused.',
  ),
  'retained.bytesMax': option(
    integer(0, 1_099_511_627_776, 'bytes'),
    256 * MiB,
    'Bytes of retained messages at most; more are refused.',
  ),

  'store.type': option(
    choice('embedded', 'memory', 'redis'),
    'embedded',
    'Where state is kept: embedded keeps it in the data directory, memory loses it with the process, redis keeps it in a Redis.',
  ),
  'store.data': option(
    { kind: 'text', rule: 'file', min: 1, max: 4_096 },
    './data',
    'Directory of the embedded store, relative to the working directory; made when it is not there.',
  ),
  'store.durability': option(
    choice('durable', 'os', 'memory'),
    'durable',
    'What an acknowledgement means: flushed to disk, written (survives a crash of the process, not a power loss), or taken into memory. The memory store knows memory only, the Redis store durable only: applied by Redis, and as durable as its appendfsync.',
  ),
  'store.minFreeBytes': option(
    integer(0, 1_099_511_627_776, 'bytes'),
    64 * MiB,
    'Free disk space below which publishes that would have to be stored are refused.',
  ),
  'store.holdMs': option(
    integer(0, 1_000, 'ms'),
    4,
    'How long a batch may be held while clients are about to acknowledge messages in it, which then need not be stored; twice that for removals that nobody waits for. 0 stores at once.',
  ),

  'redis.url': option(
    { kind: 'text', rule: 'redis-url', min: 1, max: 4_096 },
    'redis://127.0.0.1:6379',
    'Where Redis is: redis://user:password@host:port/database, redis+sentinel://host:port,host:port/master-name/database or redis+cluster://host:port,host:port, with TLS rediss... instead of redis... User, password and master name are percent-encoded, IPv6 addresses stand in brackets.',
  ),
  'redis.prefix': option(
    { kind: 'text', rule: 'key-prefix', min: 1, max: 64 },
    'trellis',
    'What the names of all keys in Redis begin with, in braces; the same for all nodes that belong together.',
  ),
  'redis.waitReplicas': option(
    integer(0, 16),
    0,
    'Replicas of Redis that must have what is acknowledged; 0 leaves it to the master alone.',
  ),
  'redis.timeoutMs': option(
    integer(100, 600_000, 'ms'),
    10_000,
    'How long Redis may be silent while an answer is due; after that the connection is opened anew.',
  ),
  'redis.leaseMs': option(
    integer(1_000, 600_000, 'ms'),
    10_000,
    'How long a broker that is not heard of keeps its place; after that another may take over its sessions.',
  ),
  'redis.passwordFile': option(
    { kind: 'text', rule: 'file', min: 0, max: 4_096 },
    '',
    'File with the password for Redis, so that it need not be in the URL; an end of line after it does not count. Empty for none.',
  ),

  'cluster.nodeId': option(
    { kind: 'text', rule: 'utf8', min: 0, max: 128 },
    '',
    'Name of this node among those that share a Redis, the same at each start; empty for host name and port.',
  ),
  'cluster.serverReference': option(
    { kind: 'text', rule: 'utf8', min: 0, max: 1_024 },
    '',
    'Where MQTT 5.0 clients are sent when this node stops (Server Reference), such as mqtt.example:1883; empty leaves it to them. For store redis only.',
  ),
  'cluster.drainMs': option(
    integer(0, 3_600_000, 'ms'),
    0,
    'Time over which the clients of a node that stops are told to go, so that they do not all come to the others at once; 0 tells all at once. For store redis only.',
  ),

  'auth.allowAnonymous': option(
    choice('auto', 'nowhere', 'loopback', 'everywhere'),
    'auto',
    'Where clients without user name, password and certificate are let in: from this machine alone (loopback), everywhere or nowhere. auto is loopback while nothing says who clients are, and nowhere otherwise.',
  ),
  'auth.passwordFile': option(
    file(0),
    '',
    'File with user names and hashes of passwords, made by trellis user or mosquitto_passwd; empty for none.',
  ),
  'auth.jwt.secretFile': option(
    file(0),
    '',
    'File with the secret that tokens are signed with (HS256, HS384, HS512); empty for none.',
  ),
  'auth.jwt.publicKeyFile': option(
    file(0),
    '',
    'PEM file with the public key of who signs tokens (RS, PS, ES or EdDSA); empty for none.',
  ),
  'auth.jwt.keySetFile': option(file(0), '', 'JSON Web Key Set of who signs tokens, as a file; empty for none.'),
  'auth.jwt.keySetUrl': option(
    { kind: 'text', rule: 'https-url', min: 0, max: 2_048 },
    '',
    'JSON Web Key Set of who signs tokens, as an https URL (http on this machine); empty for none.',
  ),
  'auth.jwt.keySetKeptSeconds': option(
    integer(3_600, 31_536_000, 's'),
    86_400,
    'How long keys from keySetUrl hold after they were last fetched, while the URL is away.',
  ),
  'auth.jwt.issuer': option(text(0, 2_048), '', 'What tokens must have as iss; empty for anything.'),
  'auth.jwt.audience': option(text(0, 2_048), '', 'What tokens must have as aud; empty for anything.'),
  'auth.jwt.from': option(choice('password', 'username'), 'password', 'Where in CONNECT the token is.'),
  'auth.jwt.usernameClaim': option(text(1, 256), 'sub', 'Claim that is the user name.'),
  'auth.jwt.clientIdClaim': option(text(0, 256), '', 'Claim that must be the client id; empty for none.'),
  'auth.jwt.rolesClaim': option(text(0, 256), 'roles', 'Claim with roles of the access rules; empty for none.'),
  'auth.jwt.aclClaim': option(
    text(0, 256),
    'acl',
    'Claim with topic filters that the client may publish to and subscribe to ({pub: [], sub: [], all: []}); empty for none.',
  ),
  'auth.jwt.requireExpiry': option(boolean, true, 'Whether a token without exp, which holds for ever, is refused.'),
  'auth.jwt.leewaySeconds': option(
    integer(0, 300, 's'),
    30,
    'How far the clocks of token issuer and broker may be apart.',
  ),
  'auth.certificateIdentity': option(
    choice('none', 'common-name', 'dns', 'uri', 'email'),
    'none',
    'What of a client certificate is the user name: the common name, or the first alternative name of a kind.',
  ),
  'auth.webhook.url': option(
    { kind: 'text', rule: 'https-url', min: 0, max: 2_048 },
    '',
    'URL that is asked who a client is, https (http on this machine); empty for none.',
  ),
  'auth.webhook.timeoutMs': option(integer(100, 60_000, 'ms'), 3_000, 'How long its answer may take.'),
  'auth.webhook.tokenFile': option(file(0), '', 'File with a bearer token that is sent along; empty for none.'),
  'auth.webhook.cacheSeconds': option(
    integer(0, 86_400, 's'),
    30,
    'How long an answer holds for the same credentials.',
  ),
  'auth.webhook.requestsMax': option(integer(1, 1_000), 16, 'Requests under way at once.'),

  'acl.file': option(
    file(0),
    '',
    "File with access rules, YAML where its name ends in .yaml, .yml or .json, else in the format of Mosquitto's acl_file; empty for none. See docs/security.md.",
  ),
  'acl.default': option(
    choice('auto', 'deny', 'allow'),
    'auto',
    'What holds where no rule matches; auto is deny once there are rules or anything says who clients are, and allow before.',
  ),
  'acl.explainToClients': option(
    boolean,
    false,
    'Whether MQTT 5.0 clients are told which rule refuses them; the log always has it.',
  ),

  'log.level': option(choice('error', 'warn', 'info', 'debug'), 'info', 'How much is logged.'),
  'log.format': option(
    choice('auto', 'json', 'pretty'),
    'auto',
    'Form of a log line on stderr; auto is pretty on a terminal and json elsewhere.',
  ),

  'admin.sysIntervalSeconds': option(
    integer(0, 86_400, 's'),
    10,
    'How often the $SYS topics are published; 0 for never.',
  ),
  'admin.drainTimeoutMs': option(
    integer(0, 600_000, 'ms'),
    5_000,
    'How long a stop waits for clients to take what is due to them.',
  ),
};

/** The keys of `options`, in its order. */
export const optionKeys: readonly OptionKey[] = Object.keys(options) as OptionKey[];
