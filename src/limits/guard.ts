import type { Clock, Timer } from '../lib/clock.ts';
import { AddressRanges } from '../lib/ip-address.ts';
import type { Logger } from '../lib/logger.ts';
import { Admission, noteFailure } from './admission.ts';
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
  /** As of `ConnectionLimits`. */
  readonly makeRoom: () => boolean;
  /** Told when some or all publishers that were held back may go on. */
  readonly onRelief: () => void;
}

/** Who is refused, for the log. */
export interface RefusedPeer {
  readonly remote: string;
  readonly client?: string;
  readonly username?: string;
  readonly ban?: Ban;
}

/**
 * What becomes of those who publish:
 *
 * - `free`: they are read from
 * - `held`: they are not, as there is no memory
 * - `drained`: neither, for long. Who is owed acknowledgements would wait for who is not read from, and no memory would ever
 *   come free; so those who have to acknowledge something are read from again, and what they publish is refused.
 */
export type PublishersState = 'free' | 'held' | 'drained';

/** So long publishers are held back before those among them who have to acknowledge something are read from again, ms. */
const HELD_LONG_MS = 10_000;

/** Everything that stands between the broker and too much of anything; one for all connections. */
export class Guard {
  readonly bans: BanList;
  readonly counters: LimitCounters;
  readonly memory: MemoryBudget | undefined;
  /** Bytes that may wait for one slow reader now. A field, as it is asked for with each message. */
  outboxBytesMax: number;
  publishers: PublishersState = 'free';
  readonly #parts: GuardParts;
  readonly #connections: ConnectionLimits;
  readonly #flapping: FlappingGuard;
  #heldTimer: Timer | undefined = undefined;

  constructor(parts: GuardParts) {
    const { settings, bans, clock, memoryUsed, makeRoom } = parts;
    const { counters } = bans;
    this.#parts = parts;
    this.bans = bans;
    this.counters = counters;
    this.outboxBytesMax = settings.outboxBytesMax;
    const exempt = new AddressRanges(settings.exempt);
    this.#connections = new ConnectionLimits(settings.connections, exempt, counters, makeRoom);
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

  /** Notes that a connection of this address has failed before it could be admitted. */
  noteFailure(address: string): void {
    const { clock, logger } = this.#parts;
    noteFailure({ flapping: this.#flapping, logger }, this.#connections.keyOf(address), clock.now());
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
    this.#heldTimer?.cancel();
  }

  #onMemory({ from, to, used }: ShedTransition): void {
    const { logger, settings, onRelief } = this.#parts;
    const memory = this.memory as MemoryBudget;
    this.outboxBytesMax = memory.outboxBytesMax(settings.outboxBytesMax);
    const fields = { from, to, usedPercent: Math.round(used * 100) };
    if (to === 'nothing') logger.info('there is memory again: nothing is given up any more', fields);
    else logger.warn('memory runs short or is coming back: what is given up has changed', fields);
    if (to === 'publishes') {
      this.publishers = 'held';
      this.#drainLater();
    } else if (from === 'publishes') {
      this.publishers = 'free';
      this.#heldTimer?.cancel();
      onRelief();
    }
  }

  /** Again and again, as who is held back may get something to acknowledge meanwhile. */
  #drainLater(): void {
    const { clock, logger, onRelief } = this.#parts;
    this.#heldTimer = clock.setTimeout(() => {
      if (this.publishers === 'held')
        logger.warn('memory does not come back: who has to acknowledge messages is read from, and may not publish');
      this.publishers = 'drained';
      onRelief();
      this.#drainLater();
    }, HELD_LONG_MS);
  }
}
