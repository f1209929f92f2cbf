/**
 * The one of `known` that `word` was most likely meant to be: the fewest letters to insert, delete, replace or swap
 * with the next, upper and lower case alike; undefined where even that would change more than a third of the longer word.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  const wanted = word.slice(0, 64).toLowerCase();
  for (const name of known) {
    const distance = editDistance(wanted, name.toLowerCase());
    const isClose = distance <= Math.max(1, Math.floor(Math.max(wanted.length, name.length) / 3));
    if (!isClose || distance >= bestDistance) continue;
    best = name;
    bestDistance = distance;
  }
  return best;
}

/** Levenshtein's distance, where a swap of neighbours counts once, row by row: O(a * b). */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a.charCodeAt(row - 1) === b.charCodeAt(column - 1);
      const replaced = (previous[column - 1] as number) + (isSame ? 0 : 1);
      const inserted = (current[column - 1] as number) + 1;
      const deleted = (previous[column] as number) + 1;
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const swapped = isSwap ? (beforePrevious[column - 2] as number) + 1 : replaced;
      current.push(Math.min(replaced, inserted, deleted, swapped));
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] as number;
}
