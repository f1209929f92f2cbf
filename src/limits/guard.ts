import type { Clock } from '../lib/clock.ts';
import { AddressRanges } from '../lib/ip-address.ts';
import type { Logger } from '../lib/logger.ts';
import { Admission } from './admission.ts';
import type { Ban } from './ban-lines.ts';
import type { BanList } from './ban-list.ts';
import { ClientRates, type RateSettings } from './client-rates.ts';
import { ConnectionLimits, type ConnectionLimitSettings } from './connection-limits.ts';
import { FlappingGuard, type FlappingSettings } from './flapping.ts';
import type { LimitCounters, LimitReason } from './limit-counters.ts';
import { MemoryBudget, type ShedTransition } from './memory-budget.ts';

/** What a guard is told by the configuration. */
interface GuardSettings {
  readonly connections: ConnectionLimitSettings;
  /** Addresses and networks that limits of one address do not hold for. */
  readonly exempt: readonly string[];
  readonly rates: RateSettings;
  readonly flapping: FlappingSettings;
  /** Bytes that may wait for one slow reader while there is memory. */
  readonly outboxBytesMax: number;
}

/** What a guard is made of. */
export interface GuardParts {
  readonly settings: GuardSettings;
  readonly bans: BanList;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Part of the memory budget in use, 1 for all of it; undefined for no budget. */
  readonly memoryUsed: (() => number) | undefined;
  /** Told when publishers that were held back may go on. */
  readonly onRelief: () => void;
}

/** Who is refused, for the log. */
export interface RefusedPeer {
  readonly remote: string;
  readonly client?: string;
  readonly username?: string;
  readonly ban?: Ban;
}

/** Everything that stands between the broker and too much of anything; one for all connections. */
export class Guard {
  readonly bans: BanList;
  readonly counters: LimitCounters;
  readonly memory: MemoryBudget | undefined;
  /** Bytes that may wait for one slow reader now. A field, as it is asked for with each message. */
  outboxBytesMax: number;
  /** Whether publishers are held back now. */
  holdsPublishers = false;
  readonly #parts: GuardParts;
  readonly #connections: ConnectionLimits;
  readonly #flapping: FlappingGuard;

  constructor(parts: GuardParts) {
    const { settings, bans, clock, memoryUsed } = parts;
    const { counters } = bans;
    this.#parts = parts;
    this.bans = bans;
    this.counters = counters;
    this.outboxBytesMax = settings.outboxBytesMax;
    this.#connections = new ConnectionLimits(settings.connections, new AddressRanges(settings.exempt), counters);
    this.#flapping = new FlappingGuard(settings.flapping, counters);
    if (memoryUsed === undefined) return;
    const onChange = (transition: ShedTransition): void => this.#onMemory(transition);
    this.memory = new MemoryBudget({ used: memoryUsed, clock, counters, onChange });
  }

  /** Looks at a new connection from this address, empty for none. @returns why it is to be closed, or what it is counted by. */
  admit(address: string): Admission | LimitReason {
    const now = this.#parts.clock.now();
    this.memory?.look(now);
    const key = this.#connections.keyOf(address);
    const banned = this.#refusalOf(address, key, now);
    if (banned !== undefined) return banned;
    const reason = this.#connections.accept(key, now);
    if (reason !== undefined) return this.tell(reason, { remote: address });
    return new Admission({ connections: this.#connections, flapping: this.#flapping, logger: this.#parts.logger }, key);
  }

  /** Whether an address is banned, before anything is spent on a handshake with it; counted, and logged. */
  turnsAway(address: string): boolean {
    return this.#refusalOf(address, this.#connections.keyOf(address), this.#parts.clock.now()) !== undefined;
  }

  #refusalOf(address: string, key: string, now: number): LimitReason | undefined {
    const ban = this.bans.refuseAddress(address);
    if (ban !== undefined) return this.tell('banned-address', { remote: address, ban });
    return this.#flapping.refusesAddress(key, now) ? this.tell('flapping-address', { remote: address }) : undefined;
  }

  /** Whether a user, who has proven to be that, is sent away with this client id for coming too often; counted. */
  refusesClient(username: string, clientId: string): boolean {
    return this.#flapping.refusesClient(username, clientId, this.#parts.clock.now());
  }

  /** How fast a new connection may send; undefined for as fast as it can. */
  rates(): ClientRates | undefined {
    const { settings, clock } = this.#parts;
    return ClientRates.of(settings.rates, this.counters, clock.now());
  }

  /** Logs a refusal, which has been counted. @returns its reason. */
  tell(reason: LimitReason, { ban, ...peer }: RefusedPeer): LimitReason {
    const note = ban === undefined || ban.reason === '' ? {} : { ban: ban.reason };
    // A sentence for each, so that a flood of one does not hide the others.
    this.#parts.logger.warn(`a connection is refused: ${reason}`, { ...peer, ...note });
    return reason;
  }

  /** Ends its timer. */
  close(): void {
    this.memory?.close();
  }

  #onMemory({ from, to, used }: ShedTransition): void {
    const { logger, settings, onRelief } = this.#parts;
    const memory = this.memory as MemoryBudget;
    this.outboxBytesMax = memory.outboxBytesMax(settings.outboxBytesMax);
    this.holdsPublishers = memory.sheds('publishes');
    const fields = { from, to, usedPercent: Math.round(used * 100) };
    if (to === 'nothing') logger.info('there is memory again: nothing is given up any more', fields);
    else logger.warn('memory runs short or is coming back: what is given up has changed', fields);
    if (from === 'publishes') onRelief();
  }
}
