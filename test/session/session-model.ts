import type { Qos } from '../../src/protocol/packets.ts';

/** What the model keeps of one delivery; `state` as in section 4.3. */
export interface ModelEntry {
  payload: string;
  qos: 1 | 2;
  expiresAt: number;
  state: 'waiting' | 'sent' | 'released';
  packetId: number;
  sentBefore: boolean;
}

/** A packet the session must send. */
export interface ModelPacket {
  type: 'PUBLISH' | 'PUBREL';
  packetId: number;
  qos: Qos;
  dup: boolean;
  payload: string;
}

interface ModelLink {
  receiveMaximum: number;
  payloadMax: number;
  writable: boolean;
}

/** The outgoing side of a session as sections 3.3.4, 4.3 and 4.4 tell it: one list, searched from end to end. */
export class SessionModel {
  /** In flight in the order they were sent first, then waiting. */
  entries: ModelEntry[] = [];
  delivered = 0;
  expired = 0;
  dropped = 0;
  link: ModelLink | undefined = undefined;
  /** What has to go out, in order. */
  out: ModelPacket[] = [];
  /** In flight from before this connection, not sent on it yet. */
  #again: ModelEntry[] = [];
  /** In flight and sent on this connection: they count against the client's Receive Maximum. */
  #counted: Set<ModelEntry> = new Set();
  #lastPacketId = 0;
  /** Bytes in flight above which nothing follows before all of it is acknowledged. */
  readonly #inFlightBytesMax: number;

  constructor(inFlightBytesMax: number) {
    this.#inFlightBytesMax = inFlightBytesMax;
  }

  /** Bytes of topic names and payloads sent on this connection and not acknowledged. */
  get inFlightBytes(): number {
    if (this.link === undefined) return 0;
    return this.answerable.reduce((sum, { payload }) => sum + 't'.length + payload.length, 0);
  }

  get inFlight(): ModelEntry[] {
    return this.entries.filter(({ state }) => state !== 'waiting');
  }

  /** What the client has seen on this connection and may answer. */
  get answerable(): ModelEntry[] {
    return this.inFlight.filter((entry) => this.#counted.has(entry));
  }

  deliver(payload: string, qos: Qos, now: number, expiresAt: number): void {
    if (qos === 0) {
      const { link } = this;
      if (link === undefined || !link.writable || payload.length > link.payloadMax) this.dropped += 1;
      else {
        this.delivered += 1;
        this.out.push({ type: 'PUBLISH', packetId: 0, qos, dup: false, payload });
      }
      return;
    }
    this.entries.push({ payload, qos, expiresAt, state: 'waiting', packetId: 0, sentBefore: false });
    this.pump(now, true);
  }

  attach(link: ModelLink, now: number): void {
    this.link = link;
    this.#counted = new Set();
    this.#again = this.inFlight;
    this.pump(now);
  }

  detach(): void {
    this.link = undefined;
  }

  /** The broker is started again; whatever was handed out may have been seen. */
  restart(): void {
    this.link = undefined;
    for (const entry of this.inFlight) entry.sentBefore = true;
    this.#lastPacketId = this.inFlight.at(-1)?.packetId ?? 0;
  }

  /** @returns 'done', 'unknown' or 'wrong-state'. */
  acknowledge(type: 'PUBACK' | 'PUBREC' | 'PUBREC error' | 'PUBCOMP', packetId: number, now: number): string {
    const entry = this.inFlight.find((one) => one.packetId === packetId);
    if (entry === undefined) return 'unknown';
    const qos = type === 'PUBACK' ? 1 : 2;
    if (entry.qos !== qos || (type === 'PUBCOMP' && entry.state !== 'released')) return 'wrong-state';
    if (type === 'PUBREC') {
      entry.state = 'released';
      if (this.link !== undefined) this.#write(entry);
      return 'done';
    }
    this.#remove(entry);
    this.delivered += 1;
    this.pump(now);
    return 'done';
  }

  /** Sends all that may be sent; `fresh` says that the last entry comes straight from its publisher. */
  pump(now: number, fresh = false): void {
    const { link } = this;
    if (link === undefined) return;
    const maySend = (): boolean =>
      link.writable &&
      this.#counted.size < link.receiveMaximum &&
      (this.#counted.size === 0 || this.inFlightBytes < this.#inFlightBytesMax);
    while (this.#again.length > 0 && maySend()) {
      const entry = this.#again.shift() as ModelEntry;
      if (!this.entries.includes(entry)) continue;
      this.#counted.add(entry);
      this.#write(entry);
    }
    while (this.#again.length === 0 && maySend()) {
      const entry = this.entries.find(({ state }) => state === 'waiting');
      if (entry === undefined) return;
      if (entry.expiresAt <= now && !(fresh && entry === this.entries.at(-1))) {
        this.#remove(entry);
        this.expired += 1;
        continue;
      }
      do this.#lastPacketId = (this.#lastPacketId % 65_535) + 1;
      while (this.inFlight.some(({ packetId }) => packetId === this.#lastPacketId));
      entry.packetId = this.#lastPacketId;
      entry.state = 'sent';
      this.#counted.add(entry);
      this.#write(entry);
    }
  }

  #write(entry: ModelEntry): void {
    const { packetId, qos, payload, sentBefore } = entry;
    if (entry.state === 'released') {
      this.out.push({ type: 'PUBREL', packetId, qos: 2, dup: false, payload: '' });
      return;
    }
    if (payload.length > (this.link as ModelLink).payloadMax) {
      this.#remove(entry);
      this.dropped += 1;
      return;
    }
    this.out.push({ type: 'PUBLISH', packetId, qos, dup: sentBefore, payload });
    entry.sentBefore = true;
  }

  #remove(entry: ModelEntry): void {
    this.entries = this.entries.filter((one) => one !== entry);
    this.#counted.delete(entry);
  }
}
