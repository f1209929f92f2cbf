/** Examples kept of each reason. */
const EXAMPLES = 3;

/** Things of one kind that were not carried over. */
export interface LeftOutGroup {
  /** Why, as a clause: `subscriptions: not a topic filter`. */
  readonly reason: string;
  count: number;
  /** The first few of them. */
  readonly examples: string[];
}

/** What an import could not carry over, by reason. */
export class LeftOut {
  readonly #groups: Map<string, LeftOutGroup> = new Map();

  /** @param count how many of them, all with this example. */
  note(reason: string, example: string, count = 1): void {
    let group = this.#groups.get(reason);
    if (group === undefined) {
      group = { reason, count: 0, examples: [] };
      this.#groups.set(reason, group);
    }
    group.count += count;
    if (group.examples.length < EXAMPLES && !group.examples.includes(example)) group.examples.push(example);
  }

  /** In the order in which they came up. */
  get groups(): readonly LeftOutGroup[] {
    return [...this.#groups.values()];
  }
}
