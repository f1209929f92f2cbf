/** Topic names that are remembered at most. */
const NAMES_MAX = 1_000;

/** Characters of a topic name that is remembered: to look a long one up costs more than to decide anew. */
const NAME_CHARACTERS_MAX = 1_024;

/** Characters of all of them together at most: with the map about 200 KB for a client that does its worst. */
const CHARACTERS_MAX = 65_536;

/** What was decided for the topic names of one client; forgets everything when it is full. */
export class DecisionCache {
  /** Two bits for each question: whether it was decided, and how. */
  readonly #decisions = new Map<string, number>();
  #characters = 0;

  /** @param question 0 to 14. */
  get(topicName: string, question: number): boolean | undefined {
    if (topicName.length > NAME_CHARACTERS_MAX) return undefined;
    const bits = (this.#decisions.get(topicName) ?? 0) >> (2 * question);
    return (bits & 1) === 0 ? undefined : (bits & 2) !== 0;
  }

  /** @param question 0 to 14. */
  set(topicName: string, question: number, isAllowed: boolean): void {
    if (topicName.length > NAME_CHARACTERS_MAX) return;
    let bits = this.#decisions.get(topicName);
    if (bits === undefined) {
      this.#characters += topicName.length;
      if (this.#decisions.size === NAMES_MAX || this.#characters > CHARACTERS_MAX) {
        this.#decisions.clear();
        this.#characters = topicName.length;
      }
      bits = 0;
    }
    this.#decisions.set(topicName, bits | ((isAllowed ? 3 : 1) << (2 * question)));
  }
}
