import type { Clock } from './lib/clock.ts';
import { errorText } from './lib/error-text.ts';
import { type FileStates, type FileWatch, watchFiles } from './lib/file-watch.ts';
import type { Logger } from './lib/logger.ts';
import type { Security } from './security.ts';
import type { Listener, SecureListener } from './transport/byte-stream.ts';

/** What is read anew while a broker runs. */
export interface ReloaderOptions {
  readonly security: Security;
  readonly listeners: readonly (Listener | SecureListener)[];
  /** Files of the listeners (certificates, keys, authorities), and what they were before they were read. */
  readonly listenerFiles: FileStates;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told after who clients are and what they may do was read anew. */
  readonly onRights: () => Promise<void>;
}

/** Reads users, access rules, certificates and keys anew when their files change, or when it is told to. */
export class Reloader {
  readonly #options: ReloaderOptions;
  readonly #watch: FileWatch | undefined;
  /** The latest one; never rejects. */
  #reloaded: Promise<void> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.#options = options;
    const { security, listenerFiles, clock } = options;
    const files = new Map([...security.files, ...listenerFiles]);
    const onChange = (): void => {
      void this.reload();
    };
    this.#watch = files.size === 0 ? undefined : watchFiles({ files, clock, onChange });
  }

  /** Resolves once changes of the files are noticed. */
  async ready(): Promise<void> {
    await this.#watch?.ready;
  }

  /** Reads all of it anew; what cannot be used stays as it was, and the log says why. @returns whether all could be used. */
  reload(): Promise<boolean> {
    const reloading = this.#reloaded.then(() => this.#reload());
    this.#reloaded = reloading.then(() => {});
    return reloading;
  }

  close(): void {
    this.#watch?.close();
    this.#options.security.close();
  }

  async #reload(): Promise<boolean> {
    const { security, listeners, logger, onRights } = this.#options;
    let isWhole = await security.reload();
    for (const listener of listeners) {
      if (!('reload' in listener)) continue;
      try {
        await listener.reload();
      } catch (error) {
        isWhole = false;
        const fields = { listener: listener.url, error: errorText(error) };
        logger.error('the certificates of a listener cannot be used, and stay as they were', fields);
      }
    }
    try {
      await onRights();
    } catch (error) {
      isWhole = false;
      logger.error('not all clients were looked at after a reload', { error: errorText(error) });
    }
    if (isWhole) logger.info('users, access rules and certificates were read anew');
    return isWhole;
  }
}
