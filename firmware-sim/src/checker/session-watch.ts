import type { Ledger } from './ledger.ts';
import type { MessageWatch } from './message-watch.ts';
import type { SubscriptionWatch } from './subscription-watch.ts';
import { type ClientRecord, Session } from './takers.ts';
import type { SessionTerms } from './witness.ts';

/** How long a broker may take to see that a connection was closed, ms. */
const noticeMinMs = 1000;

/** What is known of whether the broker has a session of a client. */
interface Presence {
  /** `present` until somewhere between the two times, ms; earlier runs make it `unknown` in the beginning. */
  state: 'unknown' | 'absent' | 'present';
  expiresEarliestAt: number;
  expiresLatestAt: number;
  /** Session expiry of the connection that there is, ms; a DISCONNECT may have changed it or not been heard. */
  expiryMinMs: number;
  expiryMaxMs: number;
  connectingAt: number;
}

/** Follows when sessions begin and end, and judges Session Present. */
export class SessionWatch {
  readonly #ledger: Ledger;
  readonly #messages: MessageWatch;
  readonly #subscriptions: SubscriptionWatch;
  readonly #presences: Map<ClientRecord, Presence> = new Map();

  constructor(ledger: Ledger, watches: { messages: MessageWatch; subscriptions: SubscriptionWatch }) {
    this.#ledger = ledger;
    this.#messages = watches.messages;
    this.#subscriptions = watches.subscriptions;
  }

  connecting(client: ClientRecord, terms: SessionTerms): void {
    const presence = this.#presence(client);
    client.link = 'connecting';
    client.terms = terms;
    presence.connectingAt = this.#ledger.at;
    if (!terms.cleanStart) return;
    this.#messages.publisherSessionEnded(client);
    if (client.session !== undefined) this.#subscriptions.sessionEnded(client.session, Number.POSITIVE_INFINITY);
  }

  connected(client: ClientRecord, sessionPresent: boolean): void {
    const presence = this.#presence(client);
    const expected = this.#expected(client, presence);
    if (expected !== undefined && expected !== sessionPresent) {
      const text = `Session Present is ${sessionPresent ? 1 : 0}, and has to be ${expected ? 1 : 0}`;
      this.#ledger.faultWithout('sessionPresent', client, 0, text);
    }
    const before = client.session?.isEnded === false ? client.session : undefined;
    if (!sessionPresent) this.#messages.publisherSessionEnded(client);
    if (before !== undefined && expected === true && !sessionPresent) this.#subscriptions.doubt(before);
    else if (before === undefined || !sessionPresent || expected === false) {
      if (before !== undefined) this.#subscriptions.sessionEnded(before);
      const isRevived = sessionPresent && expected !== false && client.session !== undefined;
      client.session = new Session(client);
      client.session.isInherited = sessionPresent && expected !== false;
      client.session.isRevived = isRevived;
    }
    if (sessionPresent && expected !== false) this.#ledger.tally.sessionsResumed++;
    this.#subscriptions.connected(client.session as Session);
    client.link = 'up';
    presence.expiryMinMs = presence.expiryMaxMs = client.terms.expirySeconds * 1000;
  }

  /** DISCONNECT with another expiry is written. */
  disconnecting(client: ClientRecord, expirySeconds: number): void {
    const presence = this.#presence(client);
    presence.expiryMinMs = Math.min(presence.expiryMinMs, expirySeconds * 1000);
    presence.expiryMaxMs = Math.max(presence.expiryMaxMs, expirySeconds * 1000);
  }

  ended(client: ClientRecord, how: 'closed' | 'silent'): void {
    const { at, tick } = this.#ledger;
    const { link, terms, session } = client;
    const presence = this.#presence(client);
    client.link = 'off';
    client.endedTick = tick;
    const noticeMs = how === 'closed' ? 0 : terms.keepAliveSeconds === 0 ? Infinity : 1500 * terms.keepAliveSeconds;
    if (link !== 'up' || session === undefined) {
      this.#unanswered(client, presence, noticeMs);
      return;
    }
    presence.expiresEarliestAt = at + presence.expiryMinMs;
    this.#subscriptions.connectionEnded(session, presence.expiresEarliestAt - marginMs(presence.expiryMinMs));
    presence.expiresLatestAt = at + noticeMs + presence.expiryMaxMs;
    if (presence.expiryMinMs > 0) {
      presence.state = 'present';
      return;
    }
    this.#messages.publisherSessionEnded(client);
    const noticedAt = presence.expiryMaxMs > 0 ? Number.POSITIVE_INFINITY : at + Math.max(noticeMs, noticeMinMs);
    this.#subscriptions.sessionEnded(session, noticedAt);
    presence.state = presence.expiryMaxMs === 0 && how === 'closed' ? 'absent' : 'unknown';
  }

  /** The broker may have heard the CONNECT and done what it says. */
  #unanswered(client: ClientRecord, presence: Presence, noticeMs: number): void {
    const { terms, session } = client;
    const { at } = this.#ledger;
    const expiryMs = terms.expirySeconds * 1000;
    const isThere = at < presence.expiresEarliestAt - marginMs(presence.expiryMinMs);
    if (presence.state === 'present' && !terms.cleanStart && terms.expirySeconds > 0 && isThere) {
      presence.expiresEarliestAt = Math.min(presence.expiresEarliestAt, presence.connectingAt + expiryMs);
      presence.expiresLatestAt = Math.max(presence.expiresLatestAt, at + noticeMs + expiryMs);
      return;
    }
    if (presence.state === 'absent' && terms.expirySeconds === 0) return;
    // What is there now may be a session that began with this CONNECT, without any subscription.
    presence.state = 'unknown';
    if (session !== undefined) this.#subscriptions.sessionEnded(session, Number.POSITIVE_INFINITY);
  }

  /** What Session Present has to be [MQTT-3.2.2-2, -3]; undefined where it may be either. */
  #expected(client: ClientRecord, presence: Presence): boolean | undefined {
    if (client.terms.cleanStart) return false;
    if (presence.state === 'unknown') return undefined;
    if (presence.state === 'absent') return false;
    const { expiresEarliestAt, expiresLatestAt, connectingAt } = presence;
    const { at } = this.#ledger;
    if (at < expiresEarliestAt - marginMs(presence.expiryMinMs)) return true;
    const isOver = connectingAt > expiresLatestAt + marginMs(presence.expiryMaxMs);
    // A broker need not count while it is down.
    return isOver && !this.#ledger.wasDown(expiresEarliestAt - presence.expiryMinMs, at) ? false : undefined;
  }

  #presence(client: ClientRecord): Presence {
    let presence = this.#presences.get(client);
    if (presence === undefined) {
      const none = { expiresEarliestAt: 0, expiresLatestAt: 0, expiryMinMs: 0, expiryMaxMs: 0, connectingAt: 0 };
      this.#presences.set(client, (presence = { state: 'unknown', ...none }));
    }
    return presence;
  }
}

/** How exactly a broker has to count an expiry. */
function marginMs(expiryMs: number): number {
  return Number.isFinite(expiryMs) ? 1500 + 0.05 * expiryMs : 0;
}
