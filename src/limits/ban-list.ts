import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readBoundedText } from '../lib/bounded-file.ts';
import type { Clock } from '../lib/clock.ts';
import { networkOf, parseAddress, parseAddressRange } from '../lib/ip-address.ts';
import {
  BANS_MAX,
  type Ban,
  type BanKind,
  banKey,
  type BanLine,
  banProblem,
  formatBans,
  parseBans,
} from './ban-lines.ts';
import type { LimitCounters, LimitReason } from './limit-counters.ts';

/** Bytes a file of bans may have. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

const COUNTED_AS: ReadonlyMap<BanKind, LimitReason> = new Map<BanKind, LimitReason>([
  ['address', 'banned-address'],
  ['client', 'banned-client'],
  ['user', 'banned-user'],
]);

/** The file of bans cannot be used: `problems` are sentences with file and line, `message` is all of them, one a line. */
export class BanFileError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'BanFileError';
    this.problems = problems;
  }
}

/**
 * Who may not connect: addresses and ranges, client ids, user names, for good or until a time (reason code 0x8A).
 *
 * An address costs a look-up for each length of prefix there is among the bans, the others one. What has expired is
 * forgotten when it is asked for, and left out when the file is written.
 */
export class BanList {
  readonly counters: LimitCounters;
  readonly #clock: Clock;
  readonly #byKey: Map<string, Ban> = new Map();
  /** Banned networks by the length of their prefix. */
  readonly #networks: Map<number, Map<bigint, Ban>> = new Map();
  /** The file as it was read or written last. */
  #text = '';
  #lines: readonly BanLine[] = [];
  #saving: Promise<void> = Promise.resolve();

  constructor(clock: Clock, counters: LimitCounters) {
    this.#clock = clock;
    this.counters = counters;
  }

  /** Bans, those that have expired and were not asked for since included. */
  get size(): number {
    return this.#byKey.size;
  }

  /** The bans in force. */
  list(): Ban[] {
    const now = this.#clock.calendarNow();
    return [...this.#byKey.values()].filter(({ until }) => until > now);
  }

  /** The ban of an address, counted as a refusal; undefined for none. */
  refuseAddress(address: string): Ban | undefined {
    return this.#counted(this.findAddress(address));
  }

  /** The ban of a client id or a user name, counted as a refusal; undefined for none. */
  refuse(kind: 'client' | 'user', value: string): Ban | undefined {
    return this.#counted(this.find(kind, value));
  }

  /** As `refuse`, for who is connected already. */
  find(kind: 'client' | 'user', value: string): Ban | undefined {
    return this.#byKey.size === 0 ? undefined : this.#inForce(this.#byKey.get(banKey(kind, value)));
  }

  /** As `refuseAddress`, for who is connected already: of several the one with the longest prefix. */
  findAddress(address: string): Ban | undefined {
    if (this.#networks.size === 0) return undefined;
    const bits = parseAddress(address);
    if (bits === undefined) return undefined;
    for (const prefixLength of [...this.#networks.keys()].sort((a, b) => b - a)) {
      const ban = this.#inForce(this.#networks.get(prefixLength)?.get(networkOf(bits, prefixLength)));
      if (ban !== undefined) return ban;
    }
    return undefined;
  }

  /** Adds a ban, or puts it in place of the one about the same. @throws RangeError that says what is wrong with it, or that the list is full. */
  add(ban: Ban): void {
    const problem = banProblem(ban);
    if (problem !== undefined) throw new RangeError(`${problem}.`);
    if (this.#byKey.size >= BANS_MAX && !this.#byKey.has(banKey(ban.kind, ban.value))) this.#forgetExpired();
    if (this.#byKey.size >= BANS_MAX && !this.#byKey.has(banKey(ban.kind, ban.value)))
      throw new RangeError(`There may be ${BANS_MAX} bans; remove some.`);
    this.#put(ban);
  }

  /** Removes a ban. @returns whether there was one. */
  remove(kind: BanKind, value: string): boolean {
    const ban = this.#byKey.get(banKey(kind, value));
    if (ban === undefined) return false;
    this.#forget(ban);
    return true;
  }

  /** Takes over what is in a file, in place of all there was. @throws BanFileError, and what there was stays in force. */
  async load(file: string): Promise<void> {
    const text = await readText(file);
    const { lines, problems } = parseBans(text, file);
    if (problems.length > 0) throw new BanFileError(problems);
    this.#byKey.clear();
    this.#networks.clear();
    for (const line of lines) if (typeof line !== 'string') this.#put(line);
    this.#text = text;
    this.#lines = lines;
  }

  /**
   * Writes the file anew, whole or not at all, for its owner alone (0600); notes in it stay where they are.
   * @throws BanFileError where it was changed by somebody else since it was read: `load` it first, and ban again.
   */
  save(file: string): Promise<void> {
    const saved = this.#saving.then(() => this.#write(file));
    // One that fails is its caller's business, not that of the next.
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  async #write(file: string): Promise<void> {
    if ((await readText(file)) !== this.#text)
      throw new BanFileError([`${file}: it was changed since it was read; load it again before bans are saved.`]);
    this.#forgetExpired();
    const left = new Map(this.#byKey);
    const lines: BanLine[] = [];
    for (const line of this.#lines) {
      if (typeof line === 'string') {
        lines.push(line);
        continue;
      }
      const key = banKey(line.kind, line.value);
      const ban = left.get(key);
      if (ban !== undefined) lines.push(ban);
      left.delete(key);
    }
    lines.push(...left.values());
    const text = formatBans(lines);
    await replaceFile(file, text);
    this.#text = text;
    this.#lines = lines;
  }

  #counted(ban: Ban | undefined): Ban | undefined {
    if (ban !== undefined) this.counters.count(COUNTED_AS.get(ban.kind) as LimitReason);
    return ban;
  }

  #inForce(ban: Ban | undefined): Ban | undefined {
    if (ban === undefined || ban.until > this.#clock.calendarNow()) return ban;
    this.#forget(ban);
    return undefined;
  }

  #forgetExpired(): void {
    const now = this.#clock.calendarNow();
    for (const ban of this.#byKey.values()) if (ban.until <= now) this.#forget(ban);
  }

  #put(ban: Ban): void {
    this.#byKey.set(banKey(ban.kind, ban.value), ban);
    if (ban.kind !== 'address') return;
    const range = parseAddressRange(ban.value);
    if (range === undefined) return;
    const networks = this.#networks.get(range.prefixLength) ?? new Map<bigint, Ban>();
    networks.set(range.network, ban);
    this.#networks.set(range.prefixLength, networks);
  }

  #forget(ban: Ban): void {
    this.#byKey.delete(banKey(ban.kind, ban.value));
    const range = ban.kind === 'address' ? parseAddressRange(ban.value) : undefined;
    if (range === undefined) return;
    const networks = this.#networks.get(range.prefixLength);
    networks?.delete(range.network);
    if (networks?.size === 0) this.#networks.delete(range.prefixLength);
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readBoundedText(file, { bytesMax: FILE_BYTES_MAX, secret: false });
  } catch (error) {
    const { cause, message } = error as Error;
    const isMissing = (cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
    throw new BanFileError([isMissing ? `${file}: there is no such file; an empty one bans nobody.` : message]);
  }
}

/** Puts a file in the place of another in one step, flushed before. */
async function replaceFile(file: string, text: string): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.new`;
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const directory = await open(dirname(file), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
