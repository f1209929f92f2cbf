import { type StampedPayload, writeStamp } from '../checker/stamp.ts';
import type { SessionTerms, WillMessage } from '../checker/witness.ts';
import type { ConnectOptions, Will } from '../client/client.ts';
import type { AgentOptions, AgentWill } from './agent.ts';

/** The will of one connection, for the witness and for CONNECT. */
export interface StampedWill {
  readonly message: WillMessage;
  readonly will: Will;
}

/** Makes the will of one connection. Its stamp has no due time (0): nobody knows when it will be published. */
export function stampWill(options: AgentOptions, agentWill: AgentWill, run: number, sequence: number): StampedWill {
  const { topicName, qos, retain } = agentWill;
  const isVersion5 = options.version === 5;
  const delaySeconds = isVersion5 ? agentWill.delaySeconds : 0;
  const payload: StampedPayload = agentWill.payload();
  writeStamp(payload, run, { client: options.client, sequence, dueAt: 0, qos });
  return {
    message: { sequence, topicName, qos, retain, isEmpty: false, delaySeconds },
    will: { topicName, payload: payload.bytes, qos, retain, ...(isVersion5 && { delaySeconds }) },
  };
}

/** What the witness is told of a CONNECT. */
export function sessionTerms(options: AgentOptions): SessionTerms {
  const { session, keepAliveSeconds } = options;
  return { cleanStart: session === 'clean', expirySeconds: sessionExpiryOf(options), keepAliveSeconds };
}

/** What a CONNECT says. */
export function connectOptions(options: AgentOptions, stamped: StampedWill | undefined): ConnectOptions {
  const { clientId, version, session, sessionExpirySeconds, keepAliveSeconds } = options;
  const { username, password, receiveMaximum } = options;
  const isClean = session === 'clean';
  return {
    clientId,
    version,
    cleanStart: isClean,
    sessionExpirySeconds: isClean ? 0 : sessionExpirySeconds,
    keepAliveSeconds,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(stamped !== undefined && { will: stamped.will }),
    ...(receiveMaximum !== undefined && { receiveMaximum }),
  };
}

/** Seconds; Infinity for ever, which MQTT 5 says as 0xFFFFFFFF and 3.x with a session that is not clean. */
function sessionExpiryOf({ session, version, sessionExpirySeconds }: AgentOptions): number {
  if (session === 'clean') return 0;
  return version === 5 && sessionExpirySeconds < 0xffff_ffff ? sessionExpirySeconds : Number.POSITIVE_INFINITY;
}
