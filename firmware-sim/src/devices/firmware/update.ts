import type { Agent } from '../../agent/agent.ts';
import { jsonPayload } from '../../checker/stamp.ts';
import type { IncomingMessage } from '../../client/client.ts';
import type { Random } from '../../lib/random.ts';
import type { TimerHandle } from '../../lib/timers.ts';
import type { DeviceContext } from '../device.ts';
import { Download } from './download.ts';
import { decodeChunk, decodeManifest, encodeRequest, FirmwareTopics, type Manifest } from './manifest.ts';

/** What the device does for its update. */
export interface UpdateParts {
  readonly channel: string;
  /** The version it runs at first. */
  readonly version: number;
  /** A good image is there: the device shall boot into it, and call {@link FirmwareUpdate.booted} when it is up. */
  reboot(): void;
}

/** Chunks asked for and not there, at most. */
const windowChunks = 32;
/** How long nothing comes before what is missing is asked for again, ms; doubled up to the second. */
const patienceMs = [5000, 60_000] as const;
/** Bad images remembered; more than any campaign has. */
const badMax = 1000;
/** Parts of the image after which progress is told. */
const progressSteps = 4;

/** What is told of an update. */
type Progress = 'downloading' | 'rebooting' | 'updated' | 'rolled-back';

/**
 * The device's side of updates over MQTT: follows the manifest of its channel, asks for chunks in a window, and has
 * the device reboot into an image that is what its manifest says. An image that is not is never tried again.
 *
 *     idle -> downloading -> verified -> idle (the next version)
 *                 `-> idle (rolled back)
 */
export class FirmwareUpdate {
  readonly #context: DeviceContext;
  readonly #agent: Agent;
  readonly #parts: UpdateParts;
  readonly #topics: FirmwareTopics;
  readonly #random: Random;
  readonly #chunksPrefix: string;
  /** SHA-256 of images that were wrong. */
  readonly #bad: Set<string> = new Set();
  #version: number;
  #download: Download | undefined;
  /** A complete image that waits for the reboot. */
  #verified: Manifest | undefined;
  /** Chunks below this number have been asked for. */
  #asked = 0;
  #toldStep = 0;
  #patienceMs: number = patienceMs[0];
  #impatientAt = 0;
  #timer: TimerHandle | undefined;

  constructor(context: DeviceContext, agent: Agent, parts: UpdateParts) {
    this.#context = context;
    this.#agent = agent;
    this.#parts = parts;
    this.#version = parts.version;
    this.#random = context.random.fork('update');
    this.#topics = new FirmwareTopics(context.topicPrefix, parts.channel);
    const chunks = this.#topics.chunksOf(context.name);
    this.#chunksPrefix = chunks.slice(0, -1);
    agent.subscribe([
      { topicFilter: this.#topics.manifest, qos: 1 },
      { topicFilter: chunks, qos: 1 },
    ]);
  }

  /** The version the device runs. */
  get version(): number {
    return this.#version;
  }

  /** Something is under way, from the first chunk to the reboot. */
  get isUpdating(): boolean {
    return this.#download !== undefined || this.#verified !== undefined;
  }

  /** The device has booted: into the new version, where there is one. */
  booted(): void {
    if (this.#verified !== undefined) this.#version = this.#verified.version;
  }

  /** The connection is up. */
  onUp(sessionPresent: boolean): void {
    if (this.#verified !== undefined) {
      this.#tell('updated', this.#verified, 100);
      this.#context.note('updated', `${this.#context.name} runs version ${this.#version}`);
      this.#verified = undefined;
    }
    const download = this.#download;
    if (download === undefined) return;
    const { chunks, version } = download.manifest;
    this.#context.note(
      'update-resumed',
      `${this.#context.name} goes on with version ${version}, ${download.received} of ${chunks} chunks there`,
    );
    // What the session still holds is on its way; without one it has to be asked for again.
    if (sessionPresent) this.#wait(patienceMs[0]);
    else this.#askAgain(download);
  }

  /** The connection is gone. */
  pause(): void {
    if (this.#timer !== undefined) this.#context.timers.cancel(this.#timer);
    this.#timer = undefined;
  }

  /** True where the message was for the update. */
  onMessage({ topicName, payload }: IncomingMessage): boolean {
    if (topicName === this.#topics.manifest) {
      const manifest = decodeManifest(payload);
      if (manifest !== undefined) this.#onManifest(manifest);
      return true;
    }
    if (!topicName.startsWith(this.#chunksPrefix)) return false;
    if (this.#download !== undefined) this.#onChunk(this.#download, payload);
    return true;
  }

  #onManifest(manifest: Manifest): void {
    if (this.#verified !== undefined) return; // the reboot comes first; the manifest is retained
    const current = this.#download;
    if (current?.manifest.sha256 === manifest.sha256 && current.manifest.version === manifest.version) {
      // Announced again: if nobody has answered so far, somebody will now.
      if (this.#patienceMs > patienceMs[0]) this.#askAgain(current);
      return;
    }
    this.#download = undefined;
    this.pause();
    if (manifest.version === this.#version || this.#bad.has(manifest.sha256)) return;
    const download = new Download(manifest);
    this.#download = download;
    this.#asked = 0;
    this.#toldStep = 0;
    this.#tell('downloading', manifest, 0);
    this.#ask(download);
    this.#wait(patienceMs[0]);
  }

  #onChunk(download: Download, payload: Buffer): void {
    const chunk = decodeChunk(payload);
    if (chunk === undefined || !download.add(chunk, this.#asked)) return;
    const { manifest } = download;
    this.#wait(patienceMs[0]);
    const step = Math.floor((progressSteps * download.received) / manifest.chunks);
    if (step > this.#toldStep) {
      this.#toldStep = step;
      this.#tell('downloading', manifest, (100 * step) / progressSteps);
    }
    if (download.isComplete) this.#finish(download);
    else if (this.#asked - download.next <= windowChunks / 2) this.#ask(download);
  }

  #finish(download: Download): void {
    const { manifest } = download;
    this.#download = undefined;
    this.pause();
    if (download.isRight()) {
      this.#verified = manifest;
      this.#tell('rebooting', manifest, 100);
      this.#parts.reboot();
      return;
    }
    if (this.#bad.size >= badMax) this.#bad.clear();
    this.#bad.add(manifest.sha256);
    this.#tell('rolled-back', manifest, 100);
    const text = `${this.#context.name} stays at version ${this.#version}: the image of version ${manifest.version} is not what its manifest says`;
    this.#context.note('rolled-back', text);
  }

  /** Asks for chunks not asked for so far, up to a window. */
  #ask(download: Download): void {
    const limit = Math.min(download.manifest.chunks, download.next + windowChunks);
    const from = this.#asked;
    if (limit <= from) return;
    this.#asked = limit;
    this.#request(download, from, limit - from);
  }

  /** Asks again for what was asked for and has not come. */
  #askAgain(download: Download): void {
    for (const { from, count } of download.gaps(this.#asked)) this.#request(download, from, count);
    this.#ask(download);
    this.#wait(this.#patienceMs);
  }

  #request({ manifest: { version } }: Download, from: number, count: number): void {
    const request = encodeRequest({ device: this.#context.name, version, from, count });
    this.#agent.publish(this.#topics.request, request, { qos: 1, retain: false });
  }

  /** Something has come, or was asked for: is patient for `ms`. A timer that is due before that stays, and looks. */
  #wait(ms: number): void {
    const { timers } = this.#context;
    const waitMs = ms * this.#random.between(1, 1.2);
    this.#patienceMs = ms;
    this.#impatientAt = timers.now() + waitMs;
    if (this.#timer !== undefined && this.#timer.dueAt > this.#impatientAt) this.pause();
    this.#timer ??= timers.after(waitMs, this.#onTimer);
  }

  readonly #onTimer = (): void => {
    const { timers } = this.#context;
    this.#timer = undefined;
    const download = this.#download;
    if (download === undefined) return;
    const rest = this.#impatientAt - timers.now();
    if (rest > 0) {
      this.#timer = timers.after(rest, this.#onTimer);
      return;
    }
    this.#patienceMs = Math.min(patienceMs[1], 2 * this.#patienceMs);
    this.#askAgain(download);
  };

  #tell(state: Progress, { version }: Manifest, percent: number): void {
    const { name } = this.#context;
    const payload = jsonPayload({ device: name, version, state, percent });
    this.#agent.publish(this.#topics.progress(name), payload, { qos: 1, retain: false });
  }
}
