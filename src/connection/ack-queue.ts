/** Who sends the acknowledgements that may go out. */
export interface AckSender {
  /** `type` is PUBACK, PUBREC or PUBCOMP; `reason` is for people, where there is one. */
  finishAck(type: number, packetId: number, reasonCode: number, reason: string | undefined): void;
}

/**
 * Acknowledgements waiting for their state to be durable, sent in the order their packets came in [MQTT-4.6.0-2],
 * [MQTT-4.6.0-3]: one that needs no flush waits behind one that does. Numbers in rings, nothing is made per message.
 */
export class AckQueue {
  #tickets: number[] = [];
  /** type << 24 | packetId << 8 | reasonCode. */
  #acks: number[] = [];
  #head = 0;
  /** Reasons of the few that have one, by what stands in #acks. */
  #reasons: Map<number, string> | undefined = undefined;

  get length(): number {
    return this.#tickets.length - this.#head;
  }

  /** Adds one; `ticket` 0 waits for nothing but those before it. */
  push(ticket: number, type: number, packetId: number, reasonCode: number, reason?: string): void {
    const ack = (type << 24) | (packetId << 8) | reasonCode;
    this.#tickets.push(ticket);
    this.#acks.push(ack);
    if (reason === undefined) return;
    this.#reasons ??= new Map();
    this.#reasons.set(ack, reason);
  }

  /** Sends all that `flushed` covers, in order. */
  release(flushed: number, sender: AckSender): void {
    const tickets = this.#tickets;
    let at = this.#head;
    for (; at < tickets.length && (tickets[at] as number) <= flushed; at++) {
      const ack = this.#acks[at] as number;
      sender.finishAck(ack >>> 24, (ack >>> 8) & 0xffff, ack & 0xff, this.#reasons?.get(ack));
    }
    if (at === tickets.length) {
      this.#tickets = [];
      this.#acks = [];
      this.#reasons = undefined;
      this.#head = 0;
    } else if (at > 1024 && at * 2 > tickets.length) {
      this.#tickets = tickets.slice(at);
      this.#acks = this.#acks.slice(at);
      this.#head = 0;
    } else {
      this.#head = at;
    }
  }

  /**
   * The batch `failed` was not stored: what `isUndone` names is answered with `reasonCode`, or not at all where that is
   * undefined; the others wait for `retriedAs`.
   * @returns the packet ids of those undone, with their types.
   */
  undo(
    failed: number,
    retriedAs: number,
    isUndone: (type: number, packetId: number) => boolean,
    reasonCode: number | undefined,
  ): { type: number; packetId: number }[] {
    const undone: { type: number; packetId: number }[] = [];
    const tickets: number[] = [];
    const acks: number[] = [];
    for (let at = this.#head; at < this.#tickets.length; at++) {
      const ticket = this.#tickets[at] as number;
      const ack = this.#acks[at] as number;
      const type = ack >>> 24;
      if (ticket !== failed) {
        tickets.push(ticket);
        acks.push(ack);
      } else if (!isUndone(type, (ack >>> 8) & 0xffff)) {
        tickets.push(retriedAs);
        acks.push(ack);
      } else {
        undone.push({ type, packetId: (ack >>> 8) & 0xffff });
        if (reasonCode === undefined) continue;
        tickets.push(0);
        acks.push((ack & ~0xff) | reasonCode);
      }
    }
    this.#tickets = tickets;
    this.#acks = acks;
    this.#head = 0;
    return undone;
  }
}
