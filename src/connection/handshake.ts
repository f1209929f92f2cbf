import { keptOf } from '../auth/identity.ts';
import type { Awaitable, ClientInfo, Refusal } from '../hooks/hooks.ts';
import { logsInfo } from '../lib/logger.ts';
import { encodePacket } from '../protocol/codec.ts';
import { type ConnectPacket, PacketType, type Properties, type UserProperty, type Will } from '../protocol/packets.ts';
import { encodeForwardedProperties } from '../protocol/publish.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { isBrokerTopic, isValidTopicName } from '../protocol/topic.ts';
import { LOCAL_PREFIX } from '../session/registry.ts';
import { NEVER_EXPIRES, type Session } from '../session/session.ts';
import { admitClaimed, admitProven, refusalOfBan, tellLimit } from './admit.ts';
import { authenticate } from './authenticate.ts';
import { claimClientId, ownerOf, refusalOfOwner, settleClaim } from './claim.ts';
import type { Connection } from './connection.ts';
import { OutgoingAliases } from './outgoing-aliases.ts';
import { reviewRights } from './review-rights.ts';
import { authorize } from './rights.ts';

/** What the steps find out on the way from CONNECT to CONNACK. */
export interface Handshake {
  readonly connection: Connection;
  readonly packet: ConnectPacket;
  client: ClientInfo;
  assignedClientId: boolean;
  /** Seconds, as granted. */
  sessionExpiryInterval: number;
  /** Authentication Data of the last step, for CONNACK. */
  authenticationData: Uint8Array | undefined;
  userProperties: UserProperty[];
  sessionPresent: boolean;
}

/** One named step; a refusal ends the handshake. */
type Step = (handshake: Handshake) => Awaitable<Refusal | undefined>;

const STEPS: readonly Step[] = [
  takeTerms,
  checkLimits,
  checkClientId,
  admitClaimed,
  authenticate,
  admitProven,
  checkWill,
  authorizeWill,
  checkRoom,
  claimClientId,
  readSession,
  openSession,
  sendConnack,
];

/**
 * CONNECT to CONNACK, section 3.1.4: the steps in order, none of which the packets behind CONNECT can overtake.
 * @returns undefined where no step had to wait, so that most handshakes cost no promise.
 */
export function onConnect(connection: Connection, packet: ConnectPacket): Promise<void> | undefined {
  connection.state = 'handshaking';
  connection.context.connections.noteAwaited(connection, false);
  connection.version = packet.protocolVersion;
  const { clientId, username, protocolVersion } = packet;
  const { remoteAddress, transport, certificate, pskIdentity } = connection.stream;
  const client: ClientInfo = {
    clientId,
    username: username ?? '',
    protocolVersion,
    remoteAddress,
    transport,
    ...(certificate !== undefined && { certificate }),
    ...(pskIdentity !== undefined && { pskIdentity }),
  };
  const handshake: Handshake = {
    connection,
    packet,
    client,
    assignedClientId: false,
    sessionExpiryInterval: 0,
    authenticationData: undefined,
    userProperties: [],
    sessionPresent: false,
  };
  return takeSteps(handshake, 0);
}

/** Takes the steps from number `first` on. */
function takeSteps(handshake: Handshake, first: number): Promise<void> | undefined {
  for (let at = first; at < STEPS.length; at++) {
    const step = STEPS[at] as Step;
    const refusal = step(handshake);
    if (refusal instanceof Promise) return takeRest(handshake, at, refusal);
    if (!goesOn(handshake, step, refusal)) return undefined;
  }
  return undefined;
}

/** Waits for what step number `at` says, then takes the others. */
async function takeRest(handshake: Handshake, at: number, pending: Promise<Refusal | undefined>): Promise<void> {
  if (goesOn(handshake, STEPS[at] as Step, await pending)) await takeSteps(handshake, at + 1);
}

function goesOn({ connection }: Handshake, step: Step, refusal: Refusal | undefined): boolean {
  if (connection.isOver) return false;
  if (refusal === undefined) return true;
  connection.close(refusal.reasonCode, refusal.reasonString ?? `refused at ${step.name}`, refusal.serverReference);
  return false;
}

/** Asked early, to spare the hooks, and again when it counts. Whoever takes over or resumes needs no room of its own. */
function checkLimits(handshake: Handshake): Refusal | undefined {
  const { connection, client } = handshake;
  const { connections, settings, registry, session } = connection.context;
  if (connections.clients >= settings.connectionsMax && connections.owner(client.clientId) === undefined) {
    tellLimit(handshake, 'connections');
    return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'limits.connectionsMax is reached' };
  }
  if (registry.size >= session.settings.sessionsMax && registry.get(client.clientId) === undefined) {
    tellLimit(handshake, 'sessions');
    return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'limits.sessionsMax is reached' };
  }
  return undefined;
}

/** An empty client id gets one of ours, where the version and Clean Start allow it [MQTT-3.1.3-6], [v3 MQTT-3.1.3-7]. */
function checkClientId(handshake: Handshake): Refusal | undefined {
  const { packet, connection } = handshake;
  if (packet.clientId.startsWith(LOCAL_PREFIX))
    return { reasonCode: ReasonCode.clientIdentifierNotValid, reasonString: `${LOCAL_PREFIX} is the broker's own` };
  if (packet.clientId !== '') return undefined;
  // [v3 MQTT-3.1.3-8]; 3.1 requires one in any case
  if (packet.protocolVersion === 3 || (packet.protocolVersion === 4 && !packet.cleanStart)) {
    return { reasonCode: ReasonCode.clientIdentifierNotValid, reasonString: 'a client id is needed here' };
  }
  handshake.client = { ...handshake.client, clientId: connection.context.assignClientId() };
  handshake.assignedClientId = true;
  return undefined;
}

/** What the client announced about itself, and what it gets of it. */
function takeTerms(handshake: Handshake): Refusal | undefined {
  const { packet, connection } = handshake;
  const { settings, session } = connection.context;
  const { properties } = packet;
  const requested =
    packet.protocolVersion === 5 ? (properties.sessionExpiryInterval ?? 0) : packet.cleanStart ? 0 : NEVER_EXPIRES;
  handshake.sessionExpiryInterval = Math.min(requested, session.settings.sessionExpiryIntervalMax);
  connection.connectExpiryInterval = requested;
  connection.receiveMaximum =
    properties.receiveMaximum ?? (packet.protocolVersion === 5 ? 65_535 : session.settings.inFlightMessagesMax);
  connection.maximumPacketSize = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
  connection.requestProblemInformation = properties.requestProblemInformation ?? true;
  const aliases = Math.min(properties.topicAliasMaximum ?? 0, settings.topicAliasMaximumOutgoing); // [MQTT-3.1.2-26], [MQTT-3.1.2-27]
  if (aliases > 0) connection.outgoingAliases = new OutgoingAliases(aliases);
  const keepAlive = grantedKeepAlive(handshake);
  connection.keepAliveLimitMs = keepAlive * 1500;
  connection.authenticationMethod = properties.authenticationMethod ?? '';
  return undefined;
}

/** Seconds; a 3.x client cannot be told of another value than its own. */
function grantedKeepAlive({ packet, connection }: Handshake): number {
  const { serverKeepAlive } = connection.context.settings;
  const { keepAlive, protocolVersion } = packet;
  if (serverKeepAlive === 0 || protocolVersion < 5) return keepAlive;
  return keepAlive === 0 ? serverKeepAlive : Math.min(keepAlive, serverKeepAlive);
}

/** The will has to be one that could be published [MQTT-3.2.2-12], [MQTT-3.2.2-13]. */
function checkWill(handshake: Handshake): Refusal | undefined {
  const { packet, connection } = handshake;
  const { will } = packet;
  const { settings } = connection.context;
  if (will === undefined) return undefined;
  if (!isValidTopicName(will.topicName))
    return { reasonCode: ReasonCode.topicNameInvalid, reasonString: 'the topic name of the will is not valid' };
  if (isBrokerTopic(will.topicName))
    return { reasonCode: ReasonCode.notAuthorized, reasonString: "topics below $SYS are the broker's" };
  if (willBytes(will) > settings.willBytesMax) {
    tellLimit(handshake, 'will-bytes');
    return { reasonCode: ReasonCode.quotaExceeded, reasonString: 'the will is larger than limits.willBytesMax' };
  }
  if (will.qos > settings.maximumQos)
    return { reasonCode: ReasonCode.qosNotSupported, reasonString: 'the QoS of the will is above limits.maximumQos' };
  if (will.retain && !settings.retainAvailable)
    return { reasonCode: ReasonCode.retainNotSupported, reasonString: 'retained messages are turned off' };
  return undefined;
}

/** What keeping it takes; kept as long as the session may be. */
function willBytes({ topicName, payload, properties }: Will): number {
  return Buffer.byteLength(topicName) + payload.length + encodeForwardedProperties(properties).length;
}

function authorizeWill({ packet, connection, client }: Handshake): Awaitable<Refusal | undefined> {
  const { will } = packet;
  if (will === undefined) return undefined;
  return authorize(connection.context, client, {
    action: 'will',
    topic: will.topicName,
    qos: will.qos,
    retain: will.retain,
  });
}

/** A client without room for its CONNACK cannot be served, as nothing may come before that [MQTT-3.1.2-24], [MQTT-3.2.0-1]. */
function checkRoom(handshake: Handshake): Refusal | undefined {
  const { maximumPacketSize } = handshake.connection;
  if (maximumPacketSize === Number.POSITIVE_INFINITY) return undefined;
  const { userProperties: _, ...properties } = connackProperties(handshake);
  const connack = { type: PacketType.connack, sessionPresent: false, reasonCode: ReasonCode.success, properties };
  if (encodePacket(connack, 5).length <= maximumPacketSize) return undefined;
  return { reasonCode: ReasonCode.packetTooLarge, reasonString: 'no room for CONNACK in the Maximum Packet Size' };
}

/** What a restart left of the session is read before anyone owns it. */
function readSession({ connection, packet, client }: Handshake): Promise<undefined> | undefined {
  if (packet.cleanStart) return undefined;
  const session = connection.context.registry.get(client.clientId);
  return session?.unread === true ? session.read().then(() => undefined) : undefined;
}

/** Whoever was let in may have been removed while later steps waited. */
function checkKnown({ connection, client }: Handshake): Refusal | undefined {
  if (connection.context.isKnown(client)) return undefined;
  return { reasonCode: ReasonCode.badUserNameOrPassword, reasonString: 'the user is not known any more' };
}

/** Takes the client id over from whoever has it, and finds its session. */
function openSession(handshake: Handshake): Awaitable<Refusal | undefined> {
  const { connection, packet, client } = handshake;
  const { context, epoch } = connection;
  const { registry, connections, writePath } = context;
  const { clientId } = client;
  const refusal =
    checkLimits(handshake) ?? refusalOfBan(handshake) ?? refusalOfOwner(handshake) ?? checkKnown(handshake);
  if (refusal !== undefined) return refusal;
  if (!context.clientIds.holds(clientId))
    return { reasonCode: ReasonCode.sessionTakenOver, reasonString: 'another node has this client id now' };
  const owner = connections.owner(clientId);
  if (owner !== undefined) {
    // A CONNECT that came later may have been faster.
    if (owner.epoch > epoch)
      return { reasonCode: ReasonCode.sessionTakenOver, reasonString: 'another connection uses this client id' };
    // [MQTT-3.1.4-3] the old owner lets go, its will included, before the new one begins
    owner.close(ReasonCode.sessionTakenOver, 'another connection uses this client id');
  }
  writePath.failpoint?.reach('taken-over');
  const before = writePath.added;
  const { sessionExpiryInterval } = handshake;
  const { session, sessionPresent } = registry.open({
    clientId,
    epoch,
    cleanStart: packet.cleanStart,
    sessionExpiryInterval,
    username: ownerOf(handshake),
  });
  connection.client = client;
  connection.session = session;
  settleClaim(connection);
  handshake.sessionPresent = sessionPresent;
  connections.own(clientId, connection);
  if (packet.will === undefined) context.wills.forget(clientId);
  else context.wills.arm(keptOf(client), packet.will);
  if (sessionPresent) reviewRights(connection);
  let ticket = writePath.added === before ? 0 : writePath.ticket;
  // What the client repeats must find what came of the first time.
  if (ticket === 0 && sessionPresent && session.durable) ticket = writePath.barrier;
  if (ticket === 0) return undefined;
  return new Promise((resolve) => connection.onceDurable(ticket, () => resolve(undefined)));
}

/** The session is durable: CONNACK, and whatever waits for the client behind it. */
function sendConnack(handshake: Handshake): undefined {
  const { connection, client, sessionPresent } = handshake;
  const { context } = connection;
  context.writePath.failpoint?.reach('connack');
  connection.send({
    type: PacketType.connack,
    sessionPresent,
    reasonCode: ReasonCode.success,
    properties: connackProperties(handshake),
  });
  connection.establish(connection.session as Session);
  if (logsInfo(context.logger)) {
    context.logger.info('client connected', {
      client: client.clientId,
      remote: client.remoteAddress,
      version: client.protocolVersion,
      sessionPresent,
    });
  }
  if (context.events.hears('clientConnected')) context.events.emit('clientConnected', client, sessionPresent);
}

/** What the server has to say, section 3.2.2.3: only what differs from the defaults. */
function connackProperties(handshake: Handshake): Properties {
  const { connection, packet, client } = handshake;
  const { settings } = connection.context;
  const properties: Properties = {};
  if (packet.protocolVersion < 5) return properties;
  if (handshake.sessionExpiryInterval !== connection.connectExpiryInterval)
    properties.sessionExpiryInterval = handshake.sessionExpiryInterval;
  if (settings.receiveMaximum < 65_535) properties.receiveMaximum = settings.receiveMaximum;
  if (settings.maximumQos < 2) properties.maximumQos = settings.maximumQos as 0 | 1; // [MQTT-3.2.2-9]
  if (!settings.retainAvailable) properties.retainAvailable = false;
  properties.maximumPacketSize = settings.maximumPacketSize;
  if (handshake.assignedClientId) properties.assignedClientIdentifier = client.clientId; // [MQTT-3.2.2-16]
  if (settings.topicAliasMaximum > 0) properties.topicAliasMaximum = settings.topicAliasMaximum;
  if (handshake.userProperties.length > 0) properties.userProperties = handshake.userProperties;
  if (!settings.wildcardSubscriptionAvailable) properties.wildcardSubscriptionAvailable = false;
  if (!settings.subscriptionIdentifiersAvailable) properties.subscriptionIdentifiersAvailable = false;
  if (!settings.sharedSubscriptionAvailable) properties.sharedSubscriptionAvailable = false;
  const keepAlive = grantedKeepAlive(handshake);
  if (keepAlive !== packet.keepAlive) properties.serverKeepAlive = keepAlive; // [MQTT-3.2.2-21], [MQTT-3.2.2-22]
  // [MQTT-3.1.2-28] only on request
  if (packet.properties.requestResponseInformation === true && settings.responseInformation !== '')
    properties.responseInformation = settings.responseInformation;
  if (connection.authenticationMethod !== '') {
    properties.authenticationMethod = connection.authenticationMethod;
    if (handshake.authenticationData !== undefined) properties.authenticationData = handshake.authenticationData;
  }
  return properties;
}
