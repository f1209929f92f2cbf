/** Looks tried before an alias in use is taken from its topic. */
const SECOND_CHANCES = 4;

interface OutgoingAlias {
  readonly alias: number;
  used: boolean;
}

/**
 * Topic aliases the broker uses towards one client, section 3.3.2.3.4: topics get one as they come, and once all are
 * given out the one not used for longest (second chance) changes hands. Never above what the client allows
 * [MQTT-3.1.2-26].
 */
export class OutgoingAliases {
  readonly #max: number;
  readonly #aliases: Map<string, OutgoingAlias> = new Map();

  constructor(max: number) {
    this.#max = max;
  }

  /** The alias the client knows for this topic; 0 for none. */
  known(topicName: string): number {
    const known = this.#aliases.get(topicName);
    if (known === undefined) return 0;
    known.used = true;
    return known.alias;
  }

  /** Gives the topic an alias; the PUBLISH being written carries both. */
  assign(topicName: string): number {
    const alias = this.#aliases.size < this.#max ? this.#aliases.size + 1 : this.#takeOver();
    if (alias !== 0) this.#aliases.set(topicName, { alias, used: false });
    return alias;
  }

  /** @returns 0 when all that were looked at were in use since the last look. */
  #takeOver(): number {
    let looks = 0;
    for (const [topicName, entry] of this.#aliases) {
      this.#aliases.delete(topicName);
      if (!entry.used) return entry.alias;
      entry.used = false;
      this.#aliases.set(topicName, entry);
      looks += 1;
      if (looks === SECOND_CHANCES) return 0;
    }
    return 0;
  }
}
