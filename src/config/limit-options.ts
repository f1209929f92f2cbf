import {
  boolean,
  file,
  integer,
  KiB,
  MiB,
  type Option,
  option,
  type OptionKey,
  uint32Max,
  type ValueAt,
} from './option.ts';
import type { Config } from '../config.ts';

/** Options below `limits`, in the order in which they are printed. */
export const limitOptions: {
  readonly [Key in Extract<OptionKey, `limits.${string}`>]: Option<ValueAt<Config, Key>>;
} = {
  'limits.receiveMaximum': option(
    integer(1, 65_535, 'messages'),
    1_024,
    'QoS 1 and 2 messages a client may send before the first of them is acknowledged.',
  ),
  'limits.topicAliasMaximum': option(integer(0, 65_535), 64, 'Topic aliases a client may use; 0 for none.'),
  'limits.topicAliasMaximumOutgoing': option(
    integer(0, 65_535),
    32,
    'Topic aliases the broker uses towards a client that allows them; 0 for none.',
  ),
  'limits.aliasBytesMax': option(
    integer(1_024, 1_073_741_824, 'bytes'),
    64 * KiB,
    'Bytes of the topic names a client may have aliases for at once; one with more is disconnected.',
  ),
  'limits.willBytesMax': option(
    integer(0, 268_435_460, 'bytes'),
    64 * KiB,
    'Bytes of topic name, payload and properties of a will; a CONNECT with a larger one is refused.',
  ),
  'limits.maximumPacketSize': option(
    integer(1_024, 268_435_460, 'bytes'),
    16 * MiB,
    'Size of a whole packet from a client; a larger one closes its connection.',
  ),
  'limits.serverKeepAlive': option(
    integer(0, 65_535, 's'),
    0,
    'Longest keep alive a client is granted; 0 grants what it asks for.',
  ),
  'limits.maximumQos': option(integer(0, 2), 2, 'Highest QoS of publishes and subscriptions.'),
  'limits.retainAvailable': option(boolean, true, 'Whether clients may retain messages.'),
  'limits.wildcardSubscriptionAvailable': option(boolean, true, 'Whether topic filters may have wildcards.'),
  'limits.subscriptionIdentifiersAvailable': option(
    boolean,
    true,
    'Whether subscriptions may have subscription identifiers.',
  ),
  'limits.sharedSubscriptionAvailable': option(
    boolean,
    true,
    'Whether there are shared subscriptions ($share/name/filter).',
  ),
  'limits.checkPayloadFormat': option(
    boolean,
    false,
    'Whether a payload that is said to be UTF-8 is checked and refused when it is not.',
  ),
  'limits.responseInformation': option(
    { kind: 'text', rule: 'utf8', min: 0, max: 65_535 },
    '',
    'Sent to clients that request response information; empty for none.',
  ),
  'limits.connectTimeoutMs': option(
    integer(100, 3_600_000, 'ms'),
    10_000,
    'Time from accepting a connection to its whole CONNECT packet.',
  ),
  'limits.connectBytesMax': option(integer(1_024, 268_435_460, 'bytes'), 64 * KiB, 'Size of a CONNECT packet.'),
  'limits.connectionsMax': option(integer(1, 10_000_000), 100_000, 'Connections open at once.'),
  'limits.pendingConnectionsMax': option(
    integer(0, 10_000_000),
    10_000,
    'Connections that have not finished CONNECT yet; above it the one that has kept the broker waiting longest is closed. 0 for any number.',
  ),
  'limits.pendingConnectionsPerAddressMax': option(
    integer(0, 10_000_000),
    1_024,
    'Connections from one address (IPv6: from one /64) that have not finished CONNECT yet; 0 for any number.',
  ),
  'limits.connectionsPerAddressMax': option(
    integer(0, 10_000_000),
    0,
    'Connections open at once from one address (IPv6: from one /64); 0 for any number.',
  ),
  'limits.connectionsPerUserMax': option(
    integer(0, 10_000_000),
    0,
    'Connections open at once of one user; 0 for any number. Clients without a user name have no such limit.',
  ),
  'limits.connectRateMax': option(
    integer(0, 1_000_000),
    0,
    'New connections a second, as many at once; 0 for any number.',
  ),
  'limits.connectRatePerAddress': option(
    integer(0, 1_000_000),
    0,
    'New connections a second from one address (IPv6: from one /64), as many at once; 0 for any number.',
  ),
  'limits.addressesExempt': option(
    { kind: 'list', rule: 'network' },
    ['127.0.0.0/8', '::1'],
    'Addresses and networks behind which many clients stand, such as a balancer that does not tell theirs: limits of one address, bans for flapping and what failed logins cost an address do not hold for them. Unix sockets are exempt always.',
  ),
  'limits.banFile': option(
    file(0),
    '',
    'File with addresses, client ids and user names that may not connect; empty for none. See docs/security.md.',
  ),
  'limits.flappingConnectsMax': option(
    integer(0, 1_000_000),
    100,
    'Times a user may connect with the same client id within limits.flappingWindowMs; above it, it is banned for limits.flappingBanMs. 0 for any number.',
  ),
  'limits.flappingFailuresMax': option(
    integer(0, 1_000_000),
    100,
    'Connections of one address (IPv6: of one /64) that may fail within limits.flappingWindowMs: in TLS, no CONNECT, a malformed one, wrong credentials; above it, it is banned for limits.flappingBanMs. 0 for any number.',
  ),
  'limits.flappingWindowMs': option(integer(1_000, 86_400_000, 'ms'), 60_000, 'Time over which those are counted.'),
  'limits.flappingBanMs': option(integer(1_000, 86_400_000, 'ms'), 60_000, 'How long such a ban holds.'),
  'limits.memoryBytesMax': option(
    { kind: 'budget', max: 1_099_511_627_776 },
    'auto',
    'Memory of the broker, shared by its workers: from 80 % of it on QoS 0 messages for slow readers, then new connections, new subscriptions and at last publishes have to wait or are refused. auto is 80 % of what the container or the machine has, 0 is no limit.',
  ),
  'limits.messageRateMax': option(
    integer(0, 10_000_000),
    0,
    'PUBLISH packets a second of one client, as many at once; one that sends more is read from more slowly. 0 for any number.',
  ),
  'limits.byteRateMax': option(
    integer(0, 1_099_511_627_776, 'bytes'),
    0,
    'Bytes a second of one client, as many at once; one that sends more is read from more slowly. 0 for any number.',
  ),
  'limits.outboxBytesMax': option(
    integer(64 * KiB, 1_073_741_824, 'bytes'),
    16 * MiB,
    'Bytes waiting for one slow reader; above it QoS 0 messages are dropped, QoS 1 and 2 stay in the queue.',
  ),
  'limits.inFlightBytesMax': option(
    integer(0, 1_099_511_627_776, 'bytes'),
    256 * MiB,
    'Bytes of QoS 1 and 2 messages that all clients together have been sent and not acknowledged; above it a client gets the next message when it has acknowledged all before. 0 for any number.',
  ),
  'limits.writeDelayMs': option(
    integer(0, 1_000, 'ms'),
    1,
    'How long a few bytes for a client that only listens may wait to be written together with more; 0 writes at once.',
  ),
  'limits.lingerMs': option(
    integer(0, 60_000, 'ms'),
    1_000,
    'How long a connection the broker closes is kept open so that the client can read the reason.',
  ),
  'limits.sessionExpiryIntervalMax': option(
    integer(0, uint32Max, 's'),
    uint32Max,
    'Longest session expiry interval a client is granted, and what a 3.x session that is not clean gets; 4294967295 never expires.',
  ),
  'limits.topicLevelsMax': option(integer(1, 65_536, 'levels'), 128, 'Levels a topic name or topic filter may have.'),
  'limits.subscriptionsPerSessionMax': option(integer(1, 10_000_000), 20_000, 'Subscriptions a session may hold.'),
  'limits.sessionsMax': option(integer(1, 100_000_000), 1_000_000, 'Sessions at most, connected or not.'),
};
