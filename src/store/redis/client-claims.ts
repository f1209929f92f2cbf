import type { RedisKeys } from './redis-keys.ts';
import type { NodePlace } from './node-place.ts';
import type { Scripts } from './script-runner.ts';
import { FrameWriter } from './inbox-frame.ts';

/** After how long without a word the owner of a client id is asked again, ms: it may have gone meanwhile. */
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
  /** By client id, who waits for a word. */
  readonly #waiting: Map<string, Set<(word: Word | undefined) => void>> = new Map();

  constructor(parts: { scripts: Scripts; keys: RedisKeys; place: NodePlace; nodeId: string }) {
    this.#scripts = parts.scripts;
    this.#keys = parts.keys;
    this.#place = parts.place;
    this.#nodeId = parts.nodeId;
  }

  /**
   * Asks for a client id once, and waits a while for what its owner says.
   * @returns whether this node has it now; undefined where it has to be asked for again.
   * @throws the error of Redis or of the connection.
   */
  async ask(clientId: string, username: string): Promise<boolean | undefined> {
    const heard = this.#listenTo(clientId);
    try {
      if (await this.#claim(clientId, this.#frames.wanted(clientId, this.#nodeId, username))) return true;
      return (await heard.word) === 'refused' ? false : undefined;
    } finally {
      heard.stop();
    }
  }

  /** Whether this node has a client id, by Redis. @throws the error of Redis or of the connection. */
  isOurs(clientId: string): Promise<boolean> {
    return this.#claim(clientId, '');
  }

  async #claim(clientId: string, frame: Buffer | ''): Promise<boolean> {
    const keys = this.#keys;
    const all = [keys.node(this.#nodeId), keys.nodes, keys.topology, keys.changes];
    const answer = await this.#scripts.run(
      'claim',
      [...all, keys.own(this.#nodeId), keys.session(clientId)],
      [this.#place.incarnation, this.#nodeId, clientId, keys.start, frame],
    );
    return answer === 1;
  }

  /** Notes what the owner of a client id said. @returns whether anybody waited for it. */
  hear(clientId: string, word: Word): boolean {
    const waiting = this.#waiting.get(clientId);
    for (const tell of waiting ?? []) tell(word);
    return waiting !== undefined;
  }

  /** Has all who wait ask again, as an owner may have gone. */
  wake(): void {
    for (const waiting of this.#waiting.values()) for (const tell of waiting) tell(undefined);
  }

  #listenTo(clientId: string): { word: Promise<Word | undefined>; stop: () => void } {
    const { promise, resolve } = Promise.withResolvers<Word | undefined>();
    const waiting = this.#waiting.get(clientId) ?? new Set();
    this.#waiting.set(clientId, waiting);
    waiting.add(resolve);
    const timer = setTimeout(() => resolve(undefined), ASK_AGAIN_MS);
    const stop = (): void => {
      clearTimeout(timer);
      waiting.delete(resolve);
      if (waiting.size === 0 && this.#waiting.get(clientId) === waiting) this.#waiting.delete(clientId);
    };
    return { word: promise, stop };
  }
}
