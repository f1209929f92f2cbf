/** Packet ids of QoS 2 messages that came in and are not released: at most 65,535, made when the first one comes. */
export class ReceivedIds {
  #ids: Set<number> | undefined;

  /** False where it is there already: the message was told. */
  add(packetId: number): boolean {
    const ids = (this.#ids ??= new Set());
    if (ids.has(packetId)) return false;
    ids.add(packetId);
    return true;
  }

  /** False where there was none. */
  delete(packetId: number): boolean {
    return this.#ids?.delete(packetId) === true;
  }

  clear(): void {
    this.#ids = undefined;
  }
}
