/**
 * What all connected clients together have been sent with QoS 1 and 2 and have not acknowledged.
 *
 * A client that has nothing in flight may always be sent a message, so those that acknowledge nothing hold up nobody:
 * above the limit each client still gets one message after the other, and its own acknowledgement calls for the next.
 */
export class InFlightBudget {
  /** Bytes (topic name, properties, payload) in flight now. */
  bytes = 0;
  readonly #bytesMax: number;
  readonly #onHeld: () => void;

  /**
   * @param bytesMax bytes up to which clients may have more than one message in flight; 0 for any number.
   * @param onHeld called each time a message has to wait for this limit.
   */
  constructor(bytesMax: number, onHeld: () => void) {
    this.#bytesMax = bytesMax === 0 ? Number.POSITIVE_INFINITY : bytesMax;
    this.#onHeld = onHeld;
  }

  /** Whether a client that has messages in flight may be sent another one. */
  hasRoom(): boolean {
    if (this.bytes < this.#bytesMax) return true;
    this.#onHeld();
    return false;
  }
}
