import { StoreError } from '../store.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { NodePlace } from './node-place.ts';
import type { Scripts } from './script-runner.ts';
import { FrameWriter } from './inbox-frame.ts';

/** After how long without a word it is looked again who the owner of a client id is, ms: it may be another meanwhile. */
const ASK_AGAIN_MS = 500;

/** What the owner of a client id said. */
type Word = 'handed-over' | 'refused';

/** Client ids that this node wants, and what their owners say. */
export class ClientClaims {
  readonly #scripts: Scripts;
  readonly #keys: RedisKeys;
  readonly #place: NodePlace;
  readonly #nodeId: string;
  readonly #frames = new FrameWriter();
  /** By client id that is being claimed, one claim for each at a time, who is told what its owner says. */
  readonly #claiming: Map<string, (word: Word | undefined) => void> = new Map();
  #isClosed = false;
  /** Client ids that this node got by a claim since `collect`, until `forget`. */
  #claimed: Set<string> | undefined = undefined;

  constructor(parts: { scripts: Scripts; keys: RedisKeys; place: NodePlace; nodeId: string }) {
    this.#scripts = parts.scripts;
    this.#keys = parts.keys;
    this.#place = parts.place;
    this.#nodeId = parts.nodeId;
  }

  /**
   * Asks for a client id until this node has it.
   * @returns the tenure, and how often this node has taken something; undefined where its owner refuses it to that user.
   * @throws the error of Redis or of the connection; StoreError when it was closed.
   */
  async claim(clientId: string, username: string): Promise<{ tenure: number; taken: number } | undefined> {
    try {
      for (let asked = ''; ; ) {
        const heard = Promise.withResolvers<Word | undefined>();
        this.#claiming.set(clientId, heard.resolve);
        const [isOurs, answer, taken] = await this.#ask(clientId, username, asked);
        if (isOurs === 1) {
          this.#claimed?.add(clientId);
          return { tenure: Number(answer), taken };
        }
        asked = answer;
        if ((await soon(heard)) === 'refused') return undefined;
        if (this.#isClosed) throw new StoreError('The store is closing.');
      }
    } finally {
      this.#claiming.delete(clientId);
    }
  }

  /** Has all who wait give up. */
  close(): void {
    this.#isClosed = true;
    this.wake();
  }

  async #ask(
    clientId: string,
    username: string,
    asked: string,
  ): Promise<[isOurs: number, answer: string, taken: number]> {
    const keys = this.#keys;
    const all = [keys.node(this.#nodeId), keys.nodes, keys.topology, keys.changes];
    const frame = this.#frames.wanted(clientId, this.#nodeId, username);
    return (await this.#scripts.run(
      'claim',
      [...all, keys.own(this.#nodeId), keys.session(clientId)],
      [this.#place.incarnation, this.#nodeId, clientId, keys.start, frame, asked],
    )) as [number, string, number];
  }

  /** Collects the client ids that are claimed from here on. */
  collect(): void {
    this.#claimed = new Set();
  }

  /** Whether a client id was claimed since `collect`. */
  wasClaimed(clientId: string): boolean {
    return this.#claimed?.has(clientId) === true;
  }

  /** Ends what `collect` began. */
  forget(): void {
    this.#claimed = undefined;
  }

  /** Notes what the owner of a client id said. @returns whether anybody here wants to know. */
  hear(clientId: string, word: Word): boolean {
    this.#claiming.get(clientId)?.(word);
    return this.#claiming.has(clientId);
  }

  /** Has all who wait ask again, as a node has gone that may have been the owner. */
  wake(): void {
    for (const tell of this.#claiming.values()) tell(undefined);
  }
}

/** What is heard, or undefined after a while. */
async function soon(heard: PromiseWithResolvers<Word | undefined>): Promise<Word | undefined> {
  const timer = setTimeout(() => heard.resolve(undefined), ASK_AGAIN_MS);
  try {
    return await heard.promise;
  } finally {
    clearTimeout(timer);
  }
}
