/**
 * The instants at which a crash can be asked for, in the order of a broker's life:
 *
 * - `restore`: the sessions of before are there, their wills are not
 * - `will-published`: a will was published, nothing of it flushed
 * - `restored`: all of that is flushed, nobody is listened to yet
 * - `outboxes-written`: what a turn had to send is with the sockets, nothing of the turn with the store
 * - `commit`: just before a batch goes to the store
 * - `committing`: the store has the batch and has not said that it is durable
 * - `flushed`: a batch is durable, nobody was told
 * - `acks-appended`: acknowledgements of a flushed batch wait for the end of the turn to be written
 * - `taken-over`: the old connection of a client id has let go, the new one has no session yet
 * - `connack`: a session is durable, its CONNACK is not written
 * - `queue-drain`: what was queued for a client is in flight and not written
 * - `queue-read`: a page of a stored queue was asked for
 * - `group-handover`: a shared subscription took back what an absent member had in flight
 */
export const FAILPOINTS = [
  'restore',
  'will-published',
  'restored',
  'outboxes-written',
  'commit',
  'committing',
  'flushed',
  'acks-appended',
  'taken-over',
  'connack',
  'queue-drain',
  'queue-read',
  'group-handover',
] as const;

/** One of the instants at which a crash can be asked for. */
export type FailpointName = (typeof FAILPOINTS)[number];

/** A crash asked for at a named instant, for tests of what survives one; a broker without such a wish has no such object. */
export class Failpoint {
  readonly name: FailpointName;
  readonly #crash: () => void;
  #left: number;

  /** @param count the crash comes when the instant is reached for the `count`-th time, 1 or more. */
  constructor(name: FailpointName, count: number, crash: () => void = killThisProcess) {
    this.name = name;
    this.#left = count;
    this.#crash = crash;
  }

  /** Crashes if this is the instant and its time has come. */
  reach(name: FailpointName): void {
    if (name !== this.name) return;
    this.#left -= 1;
    if (this.#left === 0) this.#crash();
  }
}

/**
 * Reads a wish like `flushed:3`; without a count it is the first time.
 * @returns undefined where nothing is wished for. @throws RangeError for anything that is no failpoint.
 */
export function parseFailpoint(text: string | undefined): Failpoint | undefined {
  if (text === undefined || text === '') return undefined;
  const [name = '', count = '1', ...rest] = text.split(':');
  const known = FAILPOINTS.find((failpoint) => failpoint === name);
  if (known === undefined || rest.length > 0 || !/^[1-9][0-9]{0,8}$/.test(count)) {
    throw new RangeError(
      `${JSON.stringify(text)} is no failpoint: it takes NAME:COUNT, with one of ${FAILPOINTS.join(', ')}`,
    );
  }
  return new Failpoint(known, Number(count));
}

/** Ends the process as a power cut would: nothing runs after it, no exit handler, no flush. */
function killThisProcess(): void {
  process.kill(process.pid, 'SIGKILL');
}
