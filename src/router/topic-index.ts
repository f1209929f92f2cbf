/** A chunk that grows beyond this many topic names is cut in two. */
const MAX_CHUNK = 512;
/** A chunk that shrinks below this many is joined with a neighbour, if both fit in three quarters of a chunk. */
const MIN_CHUNK = 128;

/** A place in a `TopicIndex`, good until the index changes. */
export interface TopicPlace {
  chunk: number;
  offset: number;
}

/**
 * Topic names in order (of UTF-16 code units, as strings compare).
 *
 * A list of sorted chunks: a look-up is two binary searches, a change moves at most a chunk. One pointer and a half per
 * name in the mean. An order that the names themselves carry lets a walk go on where it was, whatever changed meanwhile.
 */
export class TopicIndex {
  /** None of them empty. */
  readonly #chunks: string[][] = [];

  /** Adds a topic name; it must not be in. */
  add(topicName: string): void {
    const index = Math.max(0, this.#chunkOf(topicName));
    const chunk = this.#chunks[index];
    if (chunk === undefined) {
      this.#chunks.push([topicName]);
      return;
    }
    chunk.splice(offsetOf(chunk, topicName), 0, topicName);
    if (chunk.length > MAX_CHUNK) this.#chunks.splice(index + 1, 0, chunk.splice(chunk.length >> 1));
  }

  /** Removes a topic name; it must be in. */
  delete(topicName: string): void {
    const index = this.#chunkOf(topicName);
    const chunk = this.#chunks[index]!;
    chunk.splice(offsetOf(chunk, topicName), 1);
    if (chunk.length === 0) this.#chunks.splice(index, 1);
    else if (chunk.length < MIN_CHUNK) this.#join(index > 0 ? index - 1 : index);
  }

  /** Moves a place to the first topic name that is `from` or later; without `inclusive`, later than `from`. */
  seek(place: TopicPlace, from: string, inclusive: boolean): void {
    const index = Math.max(0, this.#chunkOf(from));
    const chunk = this.#chunks[index];
    place.chunk = index;
    place.offset = chunk === undefined ? 0 : offsetOf(chunk, from);
    if (!inclusive && chunk?.[place.offset] === from) place.offset++;
  }

  /** Moves a good place on to the first topic name that is `from` or later; at no cost when that is the next. */
  skip(place: TopicPlace, from: string): void {
    const next = this.#chunks[place.chunk]?.[place.offset];
    if (next === undefined || next < from) this.seek(place, from, true);
  }

  /** Returns the topic name at a place, undefined beyond the last, and moves the place to the next. */
  take(place: TopicPlace): string | undefined {
    const chunk = this.#chunks[place.chunk];
    if (chunk === undefined) return undefined;
    if (place.offset < chunk.length) return chunk[place.offset++];
    place.chunk++;
    place.offset = 1;
    return this.#chunks[place.chunk]?.[0];
  }

  /** Index of the last chunk that begins with the topic name or earlier; -1 when all begin later. */
  #chunkOf(topicName: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#chunks[middle]![0]! <= topicName) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #join(index: number): void {
    const chunk = this.#chunks[index];
    const next = this.#chunks[index + 1];
    if (chunk === undefined || next === undefined || chunk.length + next.length > (MAX_CHUNK * 3) / 4) return;
    for (const topicName of next) chunk.push(topicName);
    this.#chunks.splice(index + 1, 1);
  }
}

/** Where a topic name stands in a chunk, or has to stand. */
function offsetOf(chunk: readonly string[], topicName: string): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (chunk[middle]! < topicName) low = middle + 1;
    else high = middle;
  }
  return low;
}
