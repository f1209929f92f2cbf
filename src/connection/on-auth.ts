import { keptOf } from '../auth/identity.ts';
import type { AuthExchange, AuthStep, ClientInfo } from '../hooks/hooks.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { type AuthPacket, PacketType, type Properties } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Connection } from './connection.ts';
import { entitled, limitTime } from './entitlement.ts';
import { reviewRights } from './review-rights.ts';

/** A re-authentication on its way, section 4.12.1; the connection goes on working meanwhile. */
export interface ReAuthentication {
  readonly exchange: AuthExchange;
}

/** AUTH on an established connection: starts or goes on with a re-authentication. */
export async function onAuth(connection: Connection, packet: AuthPacket): Promise<void> {
  const method = packet.properties.authenticationMethod ?? '';
  // [MQTT-4.12.0-5], [MQTT-4.12.1-1] the method is the one of CONNECT
  if (connection.authenticationMethod === '' || method !== connection.authenticationMethod) {
    throw new ProtocolError(
      ReasonCode.protocolError,
      'AUTH with another Authentication Method than CONNECT',
      'MQTT-4.12.1-1',
    );
  }
  if (packet.reasonCode === ReasonCode.reAuthenticate) {
    const exchange = connection.context.hooks.startAuthExchange?.(method, connection.client as ClientInfo);
    if (exchange === undefined)
      throw new ProtocolError(
        ReasonCode.badAuthenticationMethod,
        'the Authentication Method is not supported any more',
      );
    connection.reAuthentication = { exchange };
  } else if (connection.reAuthentication === undefined || packet.reasonCode !== ReasonCode.continueAuthentication) {
    throw new ProtocolError(ReasonCode.protocolError, 'AUTH outside of an authentication exchange');
  }
  const { exchange } = connection.reAuthentication;
  const step = await exchange.step(packet.properties.authenticationData, packet);
  if (connection.state !== 'connected') return;
  answer(connection, step);
}

function answer(connection: Connection, step: AuthStep): void {
  if (step.kind === 'refuse') {
    // [MQTT-4.12.1-2] a failed re-authentication ends the connection
    connection.close(step.reasonCode, step.reasonString ?? 're-authentication failed', step.serverReference);
    return;
  }
  if (step.kind === 'success' && !takeProven(connection, step)) return;
  sendAuth(connection, step);
}

/** Takes over the rights of a re-authentication. @returns whether it is who it was: another one needs a connection of its own. */
function takeProven(connection: Connection, step: Extract<AuthStep, { kind: 'success' }>): boolean {
  const client = connection.client as ClientInfo;
  connection.reAuthentication = undefined;
  if (step.username !== undefined && step.username !== client.username) {
    connection.close(ReasonCode.notAuthorized, 're-authentication as another user');
    return false;
  }
  connection.client = entitled(client, step.username, step);
  connection.context.wills.changeOwner(keptOf(connection.client));
  limitTime(connection, step.expiresAt);
  reviewRights(connection);
  return true;
}

/** Sends AUTH with the Authentication Method of CONNECT [MQTT-4.12.0-5]. */
export function sendAuth(connection: Connection, step: Exclude<AuthStep, { kind: 'refuse' }>): void {
  const properties: Properties = { authenticationMethod: connection.authenticationMethod };
  if (step.data !== undefined) properties.authenticationData = step.data;
  if (step.kind === 'continue' && step.reasonString !== undefined && connection.requestProblemInformation) {
    properties.reasonString = step.reasonString;
  }
  const reasonCode = step.kind === 'continue' ? ReasonCode.continueAuthentication : ReasonCode.success;
  connection.send({ type: PacketType.auth, reasonCode, properties });
}
