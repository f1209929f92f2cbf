/** What a strategy looks at in a member of a shared subscription, section 4.8.2. */
export interface ShareMember {
  /** Messages sent to it and not yet acknowledged. */
  readonly inFlightCount: number;
}

/** How the member that gets the next message is picked. */
export type ShareStrategyName = 'round-robin' | 'random' | 'sticky' | 'least-in-flight';

/** Picks the member of a shared subscription that gets the next message; one is made for each shared subscription. */
export interface ShareStrategy<M extends ShareMember> {
  /** Returns one of the eligible members, undefined when there is none. `members` keeps its order between calls. */
  pick(members: readonly M[], eligible: (member: M) => boolean): M | undefined;
  /** Has to be called when a member has left. */
  removed(member: M): void;
}

/**
 * Makes a strategy.
 * @param random returns a number of at least 0 and less than 1.
 */
export function createShareStrategy<M extends ShareMember>(
  name: ShareStrategyName,
  random: () => number,
): ShareStrategy<M> {
  const makers: Record<ShareStrategyName, () => ShareStrategy<M>> = {
    'round-robin': () => new RoundRobin(),
    random: () => new Random(random),
    sticky: () => new Sticky(random),
    'least-in-flight': () => new LeastInFlight(),
  };
  return makers[name]();
}

/** Where the turn is: with the member after the one that was picked last, whoever joined or left meanwhile. */
class Turn<M> {
  #last: M | undefined;
  #lastIndex = -1;

  /** Index of the member whose turn it is; `members` is not empty. */
  next(members: readonly M[]): number {
    if (this.#last !== undefined && members[this.#lastIndex] !== this.#last) {
      this.#lastIndex = members.indexOf(this.#last);
    }
    return (this.#lastIndex + 1) % members.length;
  }

  taken(member: M, index: number): void {
    this.#last = member;
    this.#lastIndex = index;
  }

  /** When the one picked last has left, the one after it stands where it stood. */
  removed(member: M): void {
    if (member !== this.#last) return;
    this.#last = undefined;
    this.#lastIndex--;
  }
}

/** Each in turn; members that are not eligible miss theirs. */
class RoundRobin<M extends ShareMember> implements ShareStrategy<M> {
  readonly #turn = new Turn<M>();

  pick(members: readonly M[], eligible: (member: M) => boolean): M | undefined {
    if (members.length === 0) return undefined;
    let index = this.#turn.next(members);
    for (let tried = 0; tried < members.length; tried++) {
      const member = members[index];
      if (member !== undefined && eligible(member)) {
        this.#turn.taken(member, index);
        return member;
      }
      index = index + 1 === members.length ? 0 : index + 1;
    }
    return undefined;
  }

  removed(member: M): void {
    this.#turn.removed(member);
  }
}

/** Any eligible member, each as likely as the other. */
class Random<M extends ShareMember> implements ShareStrategy<M> {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  pick(members: readonly M[], eligible: (member: M) => boolean): M | undefined {
    const first = members[Math.floor(this.#random() * members.length)];
    if (first === undefined || eligible(first)) return first;
    // The second draw is among all eligible ones at once: going on from the first would favour those behind a gap.
    const others = members.filter(eligible);
    return others[Math.floor(this.#random() * others.length)];
  }

  removed(): void {
    // Each pick stands alone.
  }
}

/** The same member until it leaves or is not eligible, then a random one, which is kept in turn. */
class Sticky<M extends ShareMember> implements ShareStrategy<M> {
  readonly #others: Random<M>;
  #current: M | undefined;

  constructor(random: () => number) {
    this.#others = new Random(random);
  }

  pick(members: readonly M[], eligible: (member: M) => boolean): M | undefined {
    if (this.#current !== undefined && eligible(this.#current)) return this.#current;
    const picked = this.#others.pick(members, eligible);
    if (picked !== undefined) this.#current = picked;
    return picked;
  }

  removed(member: M): void {
    if (member === this.#current) this.#current = undefined;
  }
}

/** The one with the fewest messages in flight; in turn among equals. */
class LeastInFlight<M extends ShareMember> implements ShareStrategy<M> {
  readonly #turn = new Turn<M>();

  pick(members: readonly M[], eligible: (member: M) => boolean): M | undefined {
    if (members.length === 0) return undefined;
    let best: M | undefined;
    let bestIndex = -1;
    let index = this.#turn.next(members);
    for (let tried = 0; tried < members.length; tried++) {
      const member = members[index];
      if (
        member !== undefined &&
        (best === undefined || member.inFlightCount < best.inFlightCount) &&
        eligible(member)
      ) {
        best = member;
        bestIndex = index;
        if (member.inFlightCount === 0) break;
      }
      index = index + 1 === members.length ? 0 : index + 1;
    }
    if (best !== undefined) this.#turn.taken(best, bestIndex);
    return best;
  }

  removed(member: M): void {
    this.#turn.removed(member);
  }
}
