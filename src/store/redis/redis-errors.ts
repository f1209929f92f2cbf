/** What an error of a call means for the batch that it carried. */
export type Failure = 'again' | 'full' | 'fenced' | 'lost' | 'broken';

/** Errors of Redis that pass: it loads, has no master, moves a slot, or will not write for the moment. */
const PASSING = new Set([
  'ASK',
  'BUSY',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'MISCONF',
  'MOVED',
  'NOREPLICAS',
  'READONLY',
  'TRYAGAIN',
  'UNBLOCKED',
  'UNKILLABLE',
]);

/**
 * Tells what to do after an error. A call whose connection broke may have been carried out or not: it is made again, and
 * the number of the batch tells Redis.
 */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return 'again';
  const [word = ''] = error.message.split(' ', 1);
  if (word === 'OOM') return 'full';
  if (word === 'FENCED') return 'fenced';
  if (word === 'LOST') return 'lost';
  if (PASSING.has(word)) return 'again';
  // A script that found the name of a key by itself met one that has moved to another node already.
  if (error.message.includes('non local key')) return 'again';
  return 'broken';
}
