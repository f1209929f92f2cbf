import { type FSWatcher, watch } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock, Timer } from './clock.ts';

/** Files that are watched. */
export interface FileWatch {
  /** Resolves once the files have been looked at for the first time: changes from here on are told. */
  readonly ready: Promise<void>;
  /** Ends it; nothing is told any more. */
  close(): void;
}

/** What each of some files was when it was looked at, by the name it was asked for with; equal texts for the same file with the same content. */
export type FileStates = ReadonlyMap<string, string>;

/** How files are watched. */
export interface FileWatchOptions {
  /** What each of them was before it was read, as `lookAt` says: what has changed since is told as well. */
  readonly files: FileStates;
  readonly clock: Clock;
  /** Told that one of them, or where its name leads, is another file now, has another content, came or went. */
  readonly onChange: () => void;
  /** How long it is to be quiet after a change before it is told, in milliseconds; 100 unless given. */
  readonly settleMs?: number;
  /** How often they are looked at without an event, in milliseconds; 2,000 unless given. */
  readonly pollMs?: number;
}

const SETTLE_MS = 100;
const POLL_MS = 2_000;
/** A directory in which something happens all the time does not put it off for longer than so many times `settleMs`. */
const SETTLES_MAX = 10;

/** Looks at files; never rejects. */
export async function lookAt(files: Iterable<string>): Promise<FileStates> {
  const states = new Map<string, string>();
  for (const file of files) states.set(file, (await look(file)).state);
  return states;
}

/** What a file is now, and where its name leads. */
async function look(file: string): Promise<{ readonly path: string; readonly state: string }> {
  try {
    const path = await realpath(file);
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return { path, state: `${path} ${ino} ${size} ${mtimeNs} ${ctimeNs}` };
  } catch (error) {
    return { path: file, state: String((error as NodeJS.ErrnoException).code) };
  }
}

/**
 * Watches files. Their directories are watched, for tools put a new file in the place of the old one, and so are those that
 * symbolic links lead to (certbot swaps the link, Kubernetes one on the way to it). An event makes it look at the files, and
 * so does a timer: network file systems and mounts of other machines tell of nothing.
 */
export function watchFiles(options: FileWatchOptions): FileWatch {
  return new DirectoryWatch(options);
}

class DirectoryWatch implements FileWatch {
  readonly ready: Promise<void>;
  readonly #options: FileWatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  /** What the files were when last looked at. */
  #seen: FileStates;
  #timer: Timer | undefined;
  /** How often the look was put off since the first event. */
  #settles = 0;
  #state: 'waiting' | 'looking' | 'closed' = 'looking';
  /** Whether something happened while it looked. */
  #isStale = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#seen = options.files;
    this.ready = this.#lookFirst();
  }

  close(): void {
    this.#state = 'closed';
    this.#timer?.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  async #lookFirst(): Promise<void> {
    // Watched before they are looked at: a change in between makes for one look more.
    this.#watch(new Set([...this.#seen.keys()].map((file) => dirname(file))));
    await this.#compare();
  }

  /** Something happened in one of the directories. */
  #onEvent(): void {
    if (this.#state === 'looking') this.#isStale = true;
    if (this.#state !== 'waiting' || this.#settles >= SETTLES_MAX) return;
    this.#settles++;
    this.#arm(this.#options.settleMs ?? SETTLE_MS);
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimeout(() => void this.#lookAgain(), delayMs);
  }

  async #lookAgain(): Promise<void> {
    this.#state = 'looking';
    this.#settles = 0;
    await this.#compare();
  }

  /** Looks at the files, and tells where one is not what it was. */
  async #compare(): Promise<void> {
    const before = this.#seen;
    this.#seen = await this.#look();
    const isChanged = [...this.#seen].some(([file, state]) => before.get(file) !== state);
    if (this.#rest() && isChanged) this.#options.onChange();
  }

  /** Waits for the next event or the timer. @returns false when it was closed. */
  #rest(): boolean {
    if (this.#state === 'closed') return false;
    this.#state = 'waiting';
    if (this.#isStale) {
      this.#isStale = false;
      this.#onEvent();
    } else this.#arm(this.#options.pollMs ?? POLL_MS);
    return true;
  }

  /** What the files are now; watches the directories that they are in now. Never rejects. */
  async #look(): Promise<FileStates> {
    const directories = new Set<string>();
    const states = new Map<string, string>();
    for (const file of this.#seen.keys()) {
      const { path, state } = await look(file);
      directories.add(dirname(file)).add(dirname(path));
      states.set(file, state);
    }
    if (this.#state !== 'closed') this.#watch(directories);
    return states;
  }

  #watch(directories: ReadonlySet<string>): void {
    for (const [directory, watcher] of this.#watchers) {
      if (directories.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of directories) if (!this.#watchers.has(directory)) this.#watchOne(directory);
  }

  #watchOne(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#onEvent());
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, watcher);
    } catch {
      // It is not there, or the system has no watch left: the timer looks at the files, and tries again.
    }
  }
}
