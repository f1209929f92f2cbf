import type { AuthorizeRequest, ClientInfo, Refusal } from '../hooks/hooks.ts';

/** What clients may do, by rules that can change while they are connected. */
export interface Access {
  /** Why a client may not do something, in words for the client (where it may know) and for the log; undefined where it may. */
  refusalOf(client: ClientInfo, request: AuthorizeRequest): Refusal | undefined;
  /** Whether a message to this topic name may go to a client that has a subscription for it. */
  mayReceive(client: ClientInfo, topicName: string): boolean;
}
