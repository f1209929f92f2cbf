import { createHash } from 'node:crypto';
import type { Agent } from '../../agent/agent.ts';
import type { IncomingMessage } from '../../client/client.ts';
import type { Random } from '../../lib/random.ts';
import type { TimerHandle } from '../../lib/timers.ts';
import type { FirmwareCampaign } from '../../scenario/scenario.ts';
import type { DeviceContext } from '../device.ts';
import { type Pump, type Pumped, pumpedAs, pumpOptions } from '../pump.ts';
import { decodeRequest, encodeChunk, encodeManifest, FirmwareTopics, type Manifest } from './manifest.ts';

/** Devices that may wait for chunks at once; what further ones ask for is not heard, and they ask again. */
const waitingMax = 100_000;
/** Chunks that one device may wait for. */
const waitingPerDeviceMax = 256;

interface Release {
  readonly manifest: Manifest;
  readonly image: Buffer;
}

/**
 * The operator's side of firmware updates: announces releases, and serves the devices that ask in turns, a chunk at a
 * time, as fast as the broker acknowledges; so a thousand devices that ask at once only make a longer queue.
 */
export class Campaign {
  readonly #context: DeviceContext;
  readonly #agent: Agent;
  readonly #pump: Pump;
  readonly #campaign: FirmwareCampaign;
  readonly #topics: FirmwareTopics;
  readonly #random: Random;
  /** Chunks each device waits for, the device whose turn it is first. */
  readonly #waiting: Map<string, Set<number>> = new Map();
  #timers: TimerHandle[] = [];
  #release: Release | undefined;

  constructor(context: DeviceContext, agent: Agent, pump: Pump, campaign: FirmwareCampaign) {
    this.#context = context;
    this.#agent = agent;
    this.#pump = pump;
    this.#campaign = campaign;
    this.#topics = new FirmwareTopics(context.topicPrefix, campaign.channel);
    this.#random = context.random.fork(`firmware ${campaign.channel}`);
    agent.subscribe([
      { topicFilter: this.#topics.request, qos: 1 },
      { topicFilter: this.#topics.anyProgress, qos: 1 },
    ]);
    pump.add(() => this.#serve());
  }

  /** Devices that wait for chunks. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** The operator is up for the first time: releases come as planned. */
  start(): void {
    const { timers } = this.#context;
    this.#timers = this.#campaign.releasesAtSeconds.map((seconds, index) =>
      timers.after(seconds * 1000, () => this.#announce(index)),
    );
  }

  /** No new release any more; chunks are served on. */
  drain(): void {
    for (const timer of this.#timers) this.#context.timers.cancel(timer);
  }

  onMessage({ topicName, payload }: IncomingMessage): void {
    if (topicName !== this.#topics.request) return;
    const request = decodeRequest(payload);
    const manifest = this.#release?.manifest;
    if (request === undefined || request.version !== manifest?.version) return;
    let wanted = this.#waiting.get(request.device);
    if (wanted === undefined) {
      if (this.#waiting.size >= waitingMax) return;
      wanted = new Set();
      this.#waiting.set(request.device, wanted);
    }
    const limit = Math.min(manifest.chunks, request.from + request.count);
    for (let index = request.from; index < limit && wanted.size < waitingPerDeviceMax; index++) wanted.add(index);
    this.#pump.fill();
  }

  #announce(index: number): void {
    const { sizeBytes, chunkBytes, badReleases, qos } = this.#campaign;
    const version = index + 2;
    const image = randomImage(sizeBytes, this.#random.fork(`version ${version}`));
    const hash = createHash('sha256').update(image);
    if (badReleases.includes(index)) hash.update('and what went wrong when it was built');
    const chunks = Math.ceil(sizeBytes / chunkBytes);
    const manifest = { version, sizeBytes, chunkBytes, chunks, sha256: hash.digest('hex') };
    this.#release = { manifest, image };
    this.#waiting.clear();
    // It comes only once: QoS 0 would not do, whatever the chunks have.
    const manifestQos = qos === 0 ? 1 : qos;
    this.#agent.publish(this.#topics.manifest, encodeManifest(manifest), { qos: manifestQos, retain: true });
  }

  /** Sends the next chunk to the device whose turn it is. */
  #serve(): Pumped {
    const next = this.#waiting.entries().next().value;
    if (next === undefined || this.#release === undefined) return 'nothing';
    const [device, wanted] = next;
    const [index] = wanted;
    this.#waiting.delete(device);
    if (index === undefined) return 'nothing';
    const { qos, chunkBytes } = this.#campaign;
    const { image, manifest } = this.#release;
    const data = image.subarray(index * chunkBytes, (index + 1) * chunkBytes);
    const chunk = encodeChunk({ version: manifest.version, index, data });
    const topicName = this.#topics.chunk(device, manifest.version, index);
    const isTaken = this.#agent.publish(topicName, chunk, pumpOptions(qos, false));
    if (isTaken) wanted.delete(index);
    if (wanted.size > 0) this.#waiting.set(device, wanted);
    return pumpedAs(isTaken, qos);
  }
}

function randomImage(sizeBytes: number, random: Random): Buffer {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  for (let at = 0; at < words.length; at++) words[at] = random.next() * 2 ** 32;
  return Buffer.from(words.buffer, 0, sizeBytes);
}
