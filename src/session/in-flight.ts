import type { InFlightBudget } from './in-flight-budget.ts';
import type { QueueEntry } from './queue-entry.ts';

/** The largest packet identifier. */
const PACKET_ID_MAX = 65_535;
/** Places at first, and at most while nothing is in flight. */
const FIRST_PLACES = 8;
const IDLE_PLACES = 4096;

/**
 * What a session has sent and the client has not acknowledged, by packet id, section 2.2.1, and its send quota,
 * section 4.9: what of that was sent on this connection.
 *
 * Packet ids go round, so the place of one is its lowest bits; where two want the same place the table doubles, at most
 * to one place per packet id. Taking in and letting go of a message is one store each, with nothing made.
 */
export class InFlight {
  #places: (QueueEntry | undefined)[] = emptyPlaces(FIRST_PLACES);
  #lastPacketId = 0;
  /** Entries in flight. */
  size = 0;
  readonly #budget: InFlightBudget;
  /** Serial of the connection; entries know on which they were sent last. */
  #serial = 1;
  /** Entries sent on this connection, and their bytes. */
  #outstanding = 0;
  #bytes = 0;

  constructor(budget: InFlightBudget) {
    this.#budget = budget;
  }

  /** Whether another message may be sent on this connection: by its Receive Maximum [MQTT-3.3.4-9], and by what all clients may have. */
  hasRoom(receiveMaximum: number): boolean {
    const outstanding = this.#outstanding;
    return outstanding === 0 || (outstanding < receiveMaximum && this.#budget.hasRoom());
  }

  /** Counts an entry as sent on this connection. */
  count(entry: QueueEntry): void {
    const { size } = entry.message;
    entry.sentOn = this.#serial;
    this.#outstanding += 1;
    this.#bytes += size;
    this.#budget.bytes += size;
  }

  /** Whether the entry was sent on this connection, not on one before. */
  isOfConnection(entry: QueueEntry): boolean {
    return entry.sentOn === this.#serial;
  }

  /** The connection has ended, or another one begins: nothing counts as sent on it. */
  renew(): void {
    this.#serial += 1;
    this.#outstanding = 0;
    this.#budget.bytes -= this.#bytes;
    this.#bytes = 0;
  }

  /** The entry with this packet id. */
  get(packetId: number): QueueEntry | undefined {
    const places = this.#places;
    const entry = places[packetId & (places.length - 1)];
    return entry !== undefined && entry.packetId === packetId ? entry : undefined;
  }

  /** Gives the entry the next packet id that is free [MQTT-2.2.1-4]; fewer than 65,535 may be in flight. */
  add(entry: QueueEntry): void {
    let packetId = this.#lastPacketId;
    do packetId = packetId === PACKET_ID_MAX ? 1 : packetId + 1;
    while (this.get(packetId) !== undefined);
    entry.packetId = packetId;
    this.#put(entry);
  }

  /** Takes an entry in that has its packet id already, one that is not in flight; the next one gets the id behind it. */
  restore(entry: QueueEntry): void {
    const { packetId } = entry;
    if (this.get(packetId) !== undefined) throw new RangeError(`packet id ${packetId} is in flight twice`);
    this.#put(entry);
  }

  /** Lets go of an entry, if it is in. */
  delete(entry: QueueEntry): void {
    const places = this.#places;
    const place = entry.packetId & (places.length - 1);
    if (places[place] !== entry) return;
    places[place] = undefined;
    this.size -= 1;
    if (entry.sentOn === this.#serial) {
      this.#outstanding -= 1;
      this.#bytes -= entry.message.size;
      this.#budget.bytes -= entry.message.size;
    }
    if (this.size === 0 && places.length > IDLE_PLACES) this.#places = emptyPlaces(FIRST_PLACES);
  }

  /** All entries in the order they were sent first. */
  list(): QueueEntry[] {
    const entries: QueueEntry[] = [];
    for (const entry of this.#places) if (entry !== undefined) entries.push(entry);
    const last = this.#lastPacketId;
    // Ids go round: the one behind the last is the oldest.
    const age = (entry: QueueEntry): number => (entry.packetId - last - 1 + 2 * PACKET_ID_MAX) % PACKET_ID_MAX;
    return entries.sort((a, b) => age(a) - age(b));
  }

  /** Those that a shared subscription sent, in the order they were sent first, without what was given up. */
  ofShare(shareKey: string): QueueEntry[] {
    return this.list().filter((entry) => entry.shareKey === shareKey && entry.place !== 'gone');
  }

  /** Shared subscriptions that sent QoS 1 messages which are in flight. */
  shareKeys(): Set<string> {
    const shared = this.list().filter(({ shareKey, qos }) => shareKey !== '' && qos === 1);
    return new Set(shared.map(({ shareKey }) => shareKey));
  }

  #put(entry: QueueEntry): void {
    const { packetId } = entry;
    while (this.#places[packetId & (this.#places.length - 1)] !== undefined) this.#grow();
    this.#places[packetId & (this.#places.length - 1)] = entry;
    this.#lastPacketId = packetId;
    this.size += 1;
  }

  #grow(): void {
    const places = emptyPlaces(2 * this.#places.length);
    for (const entry of this.#places) if (entry !== undefined) places[entry.packetId & (places.length - 1)] = entry;
    this.#places = places;
  }
}

function emptyPlaces(count: number): (QueueEntry | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
