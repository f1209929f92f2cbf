import type { TimerHandle, Timers } from '../lib/timers.ts';
import { Carrier, type CarrierContext, type CarrierHandler, type CarrierTarget } from './carrier.ts';
import { isLoopback } from './endpoint.ts';
import { errorClause } from './error-clause.ts';
import type { Link, LinkEnd, LinkHandler } from './link.ts';
import type { DevicePath, PathEvent } from './paths.ts';

/** How long the broker has to close its side after {@link NetLink.end}, ms. */
const endMs = 5000;

/** Chunks up to this size are copied together, which costs less than the system call for many; longer ones are not. */
const copiedBytesMax = 4096;

const dropped: LinkEnd = { cause: 'destroyed', text: 'dropped by the device' };
const droppedSilently: LinkEnd = { ...dropped, silent: true };

/** What links of one factory share. */
export interface LinkContext extends CarrierContext {
  readonly timers: Timers;
  /** The link has bytes to send, and wants {@link NetLink.flush} when this turn is over. */
  flushLater(link: NetLink): void;
  /** From now on networks cut nothing and hand nothing over at times of their own. */
  isHealed: boolean;
  /** The link lives on although nobody holds it any more. */
  readonly lingering: Set<NetLink>;
}

/**
 * One connection of a device.
 *
 *     connecting --> open --> ending --> gone
 *           \          \--> silent (half open: frozen, cut without a word, or left behind) --> gone
 */
export class NetLink implements Link, CarrierHandler {
  readonly #context: LinkContext;
  readonly #target: CarrierTarget;
  readonly #path: DevicePath | undefined;
  /** Undefined when there is nobody to tell any more. */
  #handler: LinkHandler | undefined;
  #carrier: Carrier | undefined;
  #state: 'connecting' | 'open' | 'ending' | 'silent' | 'gone' = 'connecting';
  /** The first bytes of this turn; `#more` takes what follows. */
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #pendingBytes = 0;
  /** Of the next cut or hand-over, or of the end of `ending` and `silent`. */
  #timer: TimerHandle | undefined;

  /** @param path the network where it has cuts or hand-overs at times of its own, or bytes to hold back. */
  constructor(context: LinkContext, target: CarrierTarget, path: DevicePath | undefined, handler: LinkHandler) {
    this.#context = context;
    this.#target = target;
    this.#path = path;
    this.#handler = handler;
    try {
      this.#carrier = new Carrier(context, target, this);
    } catch (error) {
      setImmediate(() => this.#finish({ cause: 'refused', text: errorClause(error) }));
      return;
    }
    this.#awaitEvent();
  }

  get bufferedBytes(): number {
    if (this.#carrier === undefined || this.#state === 'silent') return this.#pendingBytes;
    return this.#pendingBytes + this.#carrier.bufferedBytes;
  }

  write(bytes: Buffer): void {
    if (this.#state !== 'open' && this.#state !== 'connecting') return;
    this.#pendingBytes += bytes.length;
    if (this.#first === undefined) {
      this.#first = bytes;
      if (this.#state === 'open') this.#context.flushLater(this);
    } else if (this.#more === undefined) {
      this.#more = [bytes];
    } else {
      this.#more.push(bytes);
    }
  }

  end(): void {
    if (this.#state === 'silent') return this.#leave(droppedSilently);
    if (this.#state === 'connecting') return this.#finish({ cause: 'ended', text: 'ended before it was open' });
    if (this.#state !== 'open') return;
    this.flush();
    this.#state = 'ending';
    this.#setTimer(endMs, () => this.#finish({ cause: 'ended', text: 'ended, and the broker did not close' }));
    this.#carrier?.end();
  }

  destroy(): void {
    // On a half-open connection nothing reaches the broker, not even that the device gave up.
    if (this.#state === 'silent') return this.#leave(droppedSilently);
    this.#finish(dropped);
  }

  freeze(forMs: number): void {
    if (this.#state === 'gone') return;
    this.#handler = undefined;
    this.#goSilent(forMs, undefined);
  }

  /** Sends what was written in this turn. */
  flush(): void {
    const first = this.#first;
    if (first === undefined || this.#state !== 'open' || this.#carrier === undefined) return;
    const more = this.#more;
    const bytes = this.#pendingBytes;
    this.#dropPending();
    if (more === undefined) {
      this.#carrier.write(first);
    } else if (bytes <= copiedBytesMax * (more.length + 1)) {
      more.unshift(first);
      this.#carrier.write(Buffer.concat(more, bytes));
    } else {
      this.#carrier.write(first);
      for (const chunk of more) this.#carrier.write(chunk);
    }
  }

  /** Closes a link that lingers. */
  close(): void {
    this.#finish(dropped);
  }

  onReady(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'open';
    this.#handler?.onOpen();
    this.flush();
  }

  onBytes(chunk: Buffer): void {
    if (this.#state === 'open') this.#handler?.onBytes(chunk);
  }

  onGone(error: Error | undefined): void {
    if (this.#state === 'connecting') {
      this.#finish({ cause: 'refused', text: error === undefined ? 'closed before it was open' : errorClause(error) });
    } else if (this.#state === 'ending') {
      this.#finish({ cause: 'ended', text: 'ended by the device' });
    } else if (error === undefined) {
      this.#finish({ cause: 'peer', text: 'closed by the broker' });
    } else {
      this.#finish({ cause: 'error', text: errorClause(error) });
    }
  }

  onCutDue(): void {
    this.#cut(`cut by the network after ${this.#path?.profile.cutAtByte} bytes`);
  }

  /** Of the network's own cuts and hand-overs, waits for the next. */
  #awaitEvent(): void {
    const event = this.#path?.nextEvent(this.#context.timers.now());
    if (event === undefined || this.#context.isHealed) return;
    this.#setTimer(event.at - this.#context.timers.now(), () => this.#onEvent(event));
  }

  #onEvent(event: PathEvent): void {
    this.#timer = undefined;
    if (this.#context.isHealed) return;
    const path = this.#path;
    if (event.kind === 'cut' || path === undefined) return this.#cut('cut by the network');
    path.handOver(isLoopback(this.#target.endpoint));
    const where = path.localAddress === undefined ? '' : ` to ${path.localAddress}`;
    this.#goSilent(path.halfOpenMs, undefined);
    this.#leave({ cause: 'cut', text: `handed over${where}`, silent: true });
  }

  #cut(text: string): void {
    if (this.#state === 'gone' || this.#state === 'silent') return;
    const path = this.#path;
    if (path?.isSilentCut()) {
      this.#goSilent(path.halfOpenMs, { cause: 'cut', text: `${text} without a word, and half open since` });
      return;
    }
    this.#carrier?.cut();
    this.#carrier = undefined;
    this.#finish({ cause: 'cut', text });
  }

  /** @param end what to tell when the time is over, if there is still somebody to tell. */
  #goSilent(forMs: number, end: LinkEnd | undefined): void {
    this.#state = 'silent';
    this.#dropPending();
    this.#carrier?.silence();
    this.#context.lingering.add(this);
    this.#setTimer(forMs, () => this.#finish(end ?? dropped));
  }

  /** The device gives up; the connection lingers as it is. */
  #leave(end: LinkEnd): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onEnd(end);
  }

  #finish(end: LinkEnd): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    this.#dropPending();
    this.#clearTimer();
    this.#context.lingering.delete(this);
    this.#carrier?.destroy();
    this.#carrier = undefined;
    this.#leave(end);
  }

  #dropPending(): void {
    this.#first = undefined;
    this.#more = undefined;
    this.#pendingBytes = 0;
  }

  #setTimer(delayMs: number, callback: () => void): void {
    this.#clearTimer();
    this.#timer = this.#context.timers.after(delayMs, callback);
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#context.timers.cancel(this.#timer);
    this.#timer = undefined;
  }
}
