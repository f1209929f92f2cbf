import type { Fault } from '../checker/witness.ts';

/** What each fault means, for people who read a report: a name, and one sentence. */
export const faultTexts: Readonly<Record<Fault, { readonly title: string; readonly text: string }>> = {
  lost: {
    title: 'Lost',
    text: 'Acknowledged by the broker (QoS 1 or 2), owed to a subscription, and never delivered.',
  },
  phantom: { title: 'Phantom', text: 'Delivered although nobody sent it, or on another topic than it was sent to.' },
  duplicated: {
    title: 'Duplicated',
    text: 'QoS 2 delivered more than once, or QoS 0 delivered twice on one connection.',
  },
  reordered: { title: 'Reordered', text: 'Messages of one publisher, topic and QoS that arrived out of order.' },
  leaked: {
    title: 'Leaked',
    text: 'Delivered to a client without a subscription for it, or back to its sender despite No Local.',
  },
  corrupted: { title: 'Corrupted', text: 'Arrived with other payload bytes than it was sent with.' },
  retained: {
    title: 'Retained wrong',
    text: 'A new subscription got an outdated retained message, or none where one was retained.',
  },
  will: {
    title: 'Will wrong',
    text: 'A will that did not come after an unclean end, came twice, or came after a clean DISCONNECT.',
  },
  sessionPresent: {
    title: 'Session present wrong',
    text: 'CONNACK told a client something else about its session than it had been promised.',
  },
  late: { title: 'Late', text: 'Delivered later than the scenario allows, although receiver and broker were there.' },
};
