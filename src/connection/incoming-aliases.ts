/** Topic names by the aliases a client has set for them on one connection, section 3.3.2.3.4, within a limit of bytes. */
export class IncomingAliases {
  readonly #topicNames: Map<number, string> = new Map();
  #bytes = 0;

  /** The topic name of an alias; undefined for none. */
  get(alias: number): string | undefined {
    return this.#topicNames.get(alias);
  }

  /** Sets an alias, or sets it anew. @returns false where all names together would be longer than `bytesMax`; nothing is set then. */
  set(alias: number, topicName: string, bytesMax: number): boolean {
    const before = this.#topicNames.get(alias);
    // Some clients send both each time.
    if (before === topicName) return true;
    const bytes = this.#bytes + Buffer.byteLength(topicName) - (before === undefined ? 0 : Buffer.byteLength(before));
    if (bytes > bytesMax) return false;
    this.#bytes = bytes;
    this.#topicNames.set(alias, topicName);
    return true;
  }
}
