import type { Cluster, Redis } from 'ioredis';
import { commitScript, commitWhenFullScript } from './commit-script.ts';
import {
  adoptScript,
  beatScript,
  beginScript,
  claimScript,
  endScript,
  fenceScript,
  figuresScript,
  giveUpScript,
  mailboxesScript,
  progressScript,
  tellScript,
} from './node-scripts.ts';
import {
  deleteExpiredScript,
  readQueueScript,
  readSessionsScript,
  summariesScript,
  sweepScript,
  timeScript,
} from './scripts.ts';

/** Name of a script. */
export type ScriptName =
  | 'adopt'
  | 'begin'
  | 'beat'
  | 'claim'
  | 'commit'
  | 'commitWhenFull'
  | 'deleteExpired'
  | 'end'
  | 'fence'
  | 'figures'
  | 'giveUp'
  | 'mailboxes'
  | 'progress'
  | 'readQueue'
  | 'readSessions'
  | 'summaries'
  | 'sweep'
  | 'tell'
  | 'time';

const SCRIPTS: Readonly<Record<ScriptName, string>> = {
  adopt: adoptScript,
  begin: beginScript,
  beat: beatScript,
  claim: claimScript,
  commit: commitScript,
  commitWhenFull: commitWhenFullScript,
  deleteExpired: deleteExpiredScript,
  end: endScript,
  fence: fenceScript,
  figures: figuresScript,
  giveUp: giveUpScript,
  mailboxes: mailboxesScript,
  progress: progressScript,
  readQueue: readQueueScript,
  readSessions: readSessionsScript,
  summaries: summariesScript,
  sweep: sweepScript,
  tell: tellScript,
  time: timeScript,
};

type Argument = string | number | Buffer;
type Call = (keyCount: number, ...keysAndArguments: Argument[]) => Promise<unknown>;

/** Calls scripts by their digest; Redis is sent the text where it does not know them. */
export class Scripts {
  readonly #redis: Redis | Cluster;

  constructor(redis: Redis | Cluster) {
    this.#redis = redis;
    for (const [name, lua] of Object.entries(SCRIPTS)) redis.defineCommand(commandOf(name), { lua });
  }

  /** Runs a script once. @throws the error of Redis, or of the connection: then it may have run or not. */
  run(name: ScriptName, keys: readonly string[], values: readonly Argument[]): Promise<unknown> {
    return this.#call(commandOf(name), keys, values);
  }

  /** The same, with texts of the answer as bytes. */
  runBuffer(name: ScriptName, keys: readonly string[], values: readonly Argument[]): Promise<unknown> {
    return this.#call(`${commandOf(name)}Buffer`, keys, values);
  }

  #call(command: string, keys: readonly string[], values: readonly Argument[]): Promise<unknown> {
    // ioredis adds a method for each script that was defined.
    const call = (this.#redis as unknown as Record<string, Call>)[command] as Call;
    return call.call(this.#redis, keys.length, ...keys, ...values);
  }
}

function commandOf(name: string): string {
  return `trellis${name[0]?.toUpperCase()}${name.slice(1)}`;
}
