import { nearest } from '../lib/nearest.ts';

/** `; did you mean x?`, or nothing where no candidate is near. Units behind names, as in `sleepSeconds`, are looked past. */
export function didYouMean(word: unknown, candidates: readonly string[]): string {
  if (typeof word !== 'string') return '';
  const bare = word.replace(/_?(?:seconds|secs?|ms|bytes)$/i, '');
  const near =
    candidates.find((candidate) => candidate.toLowerCase() === bare.toLowerCase()) ?? nearest(word, candidates);
  return near === undefined ? '' : `; did you mean ${near}?`;
}

/** `a, b or c`. */
export function orList(words: readonly string[], or = 'or'): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${or} ${words.at(-1)}`;
}
