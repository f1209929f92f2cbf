import { clientOf } from '../auth/identity.ts';
import type { Refusal } from '../hooks/hooks.ts';
import { Message } from '../protocol/message.ts';
import type { Will } from '../protocol/packets.ts';
import { encodeForwardedProperties } from '../protocol/publish.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { WillOwner } from '../session/wills.ts';
import type { ConnectionContext } from './context.ts';
import { authorize } from './rights.ts';

const NOT_KNOWN: Refusal = { reasonCode: ReasonCode.notAuthorized, explanation: 'the user is not known any more' };

/** What is told of a will. */
export interface WillTrial {
  readonly context: ConnectionContext;
  /** Nothing of the will is left to be done here. */
  readonly onDone: (clientId: string) => void;
  readonly onFatal: (error: unknown) => void;
}

/** Publishes a will that is due, as far as who left it may do so now [MQTT-3.1.2-8]. */
export function publishWill(trial: WillTrial, owner: WillOwner, will: Will): void {
  const { topicName, qos, retain } = will;
  const request = { action: 'will', topic: topicName, qos, retain } as const;
  const { context } = trial;
  const client = clientOf(owner);
  const verdict = context.isKnown(client) ? authorize(context, client, request) : NOT_KNOWN;
  if (verdict instanceof Promise) verdict.then((refusal) => finish(trial, owner, will, refusal), trial.onFatal);
  else finish(trial, owner, will, verdict);
}

function finish(
  { context, onDone }: WillTrial,
  { clientId }: WillOwner,
  will: Will,
  refusal: Refusal | undefined,
): void {
  const { wills, dispatcher, events, logger, clock, writePath } = context;
  // A later connection of the client may have dropped or replaced it meanwhile.
  if (!wills.isCurrent(clientId, will)) return;
  const { topicName, payload, qos, retain, properties } = will;
  if (refusal === undefined) {
    const seconds = properties.messageExpiryInterval;
    const expiresAt = seconds === undefined ? Number.POSITIVE_INFINITY : clock.now() + seconds * 1000;
    const fields = { topicName, payload, qos, retain, properties: encodeForwardedProperties(properties) };
    if (dispatcher.publish(new Message({ ...fields, expiresAt, publisherId: clientId })) === ReasonCode.quotaExceeded) {
      wills.postpone(clientId);
      return;
    }
    events.emit('willPublished', clientId, will);
  } else {
    const { reasonString = 'not authorized', explanation = reasonString } = refusal;
    logger.warn('will refused', { client: clientId, topic: topicName, reason: explanation });
  }
  // In the same batch as what it was routed to: published once, also across a crash.
  wills.forget(clientId);
  onDone(clientId);
  writePath.failpoint?.reach('will-published');
}
