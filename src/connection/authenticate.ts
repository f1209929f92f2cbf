import type { AuthenticateResult, AuthExchange, Awaitable, Entitlement, Refusal } from '../hooks/hooks.ts';
import { stackText } from '../lib/error-text.ts';
import type { AuthPacket, ConnectPacket } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { entitled, limitTime } from './entitlement.ts';
import type { Handshake } from './handshake.ts';
import { sendAuth } from './on-auth.ts';

/** Asks the hooks who it is: by what is in CONNECT, or by an exchange of AUTH packets where the client names a method. */
export function authenticate(handshake: Handshake): Awaitable<Refusal | undefined> {
  const { connection, packet } = handshake;
  const { hooks } = connection.context;
  if (connection.authenticationMethod !== '') return authenticateLater(handshake, exchangeAuth(handshake));
  if (hooks.authenticate === undefined) return undefined;
  try {
    const result = hooks.authenticate(handshake.client, packet, () => !connection.isOver);
    if (result instanceof Promise) return authenticateLater(handshake, takeLater(handshake, result));
    return takeResult(handshake, result);
  } catch (error) {
    return authenticationFailed(handshake, error);
  }
}

async function authenticateLater(
  handshake: Handshake,
  pending: Promise<Refusal | undefined>,
): Promise<Refusal | undefined> {
  try {
    return await pending;
  } catch (error) {
    return authenticationFailed(handshake, error);
  }
}

function authenticationFailed({ connection }: Handshake, error: unknown): Refusal {
  connection.context.logger.error('the authenticate hook failed: refused', {
    error: stackText(error),
  });
  return { reasonCode: ReasonCode.implementationSpecificError, reasonString: 'authentication failed' };
}

async function takeLater(handshake: Handshake, result: Promise<AuthenticateResult>): Promise<Refusal | undefined> {
  return takeResult(handshake, await result);
}

function takeResult(handshake: Handshake, result: AuthenticateResult): Refusal | undefined {
  if (!result.allow) return result;
  takeProven(handshake, result.username, result);
  handshake.userProperties = result.userProperties ?? [];
  return undefined;
}

function takeProven(handshake: Handshake, username: string | undefined, proven: Entitlement): void {
  handshake.client = entitled(handshake.client, username, proven);
  limitTime(handshake.connection, proven.expiresAt);
}

/** Enhanced authentication, section 4.12: AUTH to and fro until the exchange says how it ended. */
async function exchangeAuth(handshake: Handshake): Promise<Refusal | undefined> {
  const { connection } = handshake;
  const exchange = connection.context.hooks.startAuthExchange?.(connection.authenticationMethod, handshake.client);
  // [MQTT-4.12.0-1]
  if (exchange === undefined)
    return {
      reasonCode: ReasonCode.badAuthenticationMethod,
      reasonString: 'the Authentication Method is not supported',
    };
  return runExchange(handshake, exchange);
}

async function runExchange(handshake: Handshake, exchange: AuthExchange): Promise<Refusal | undefined> {
  const { connection } = handshake;
  const { connections } = connection.context;
  let packet: ConnectPacket | AuthPacket = handshake.packet;
  for (;;) {
    const step = await exchange.step(packet.properties.authenticationData, packet);
    if (connection.isOver) return undefined;
    if (step.kind === 'refuse') return step;
    if (step.kind === 'success') {
      handshake.authenticationData = step.data;
      takeProven(handshake, step.username, step);
      return undefined;
    }
    sendAuth(connection, step); // [MQTT-4.12.0-2]
    connections.noteAwaited(connection, true);
    packet = await connection.awaitAuth();
    connections.noteAwaited(connection, false);
    const method = packet.properties.authenticationMethod;
    if (packet.reasonCode !== ReasonCode.continueAuthentication || method !== connection.authenticationMethod) {
      return { reasonCode: ReasonCode.protocolError, reasonString: 'AUTH does not fit the exchange' }; // [MQTT-4.12.0-3], [MQTT-4.12.0-5]
    }
  }
}
