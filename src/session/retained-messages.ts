import type { Deadline } from '../lib/deadline-heap.ts';
import type { Message } from '../protocol/message.ts';
import { RetainedTrie } from '../router/retained-trie.ts';
import type { SessionContext } from './context.ts';
import type { FlushWaiter } from './write-path.ts';

/** Prefix of the broker's own topics: they are made anew, never stored. */
const VOLATILE_PREFIX = '$SYS/';

/** Removes a retained message when it expires [MQTT-3.3.2-5]. */
class RetainedExpiry implements Deadline {
  readonly message: Message;
  readonly #owner: RetainedMessages;
  at = 0;
  index = -1;

  constructor(message: Message, owner: RetainedMessages) {
    this.message = message;
    this.#owner = owner;
  }

  onDeadline(): void {
    this.#owner.expire(this.message);
  }
}

/** A retained message that is not durable yet, and what it replaced; undefined for nothing. */
interface Replacement {
  readonly ticket: number;
  readonly message: Message;
  replaced: Message | undefined;
}

/**
 * The retained messages, section 3.3.1.3, within their limits: what does not fit is refused, nothing is evicted.
 *
 * Where nodes share the store it decides what comes last: a message is kept when the store says so (`apply`), on this
 * node as on all others.
 */
export class RetainedMessages implements FlushWaiter {
  readonly trie: RetainedTrie = new RetainedTrie();
  readonly #context: SessionContext;
  readonly #expiries: Map<string, RetainedExpiry> = new Map();
  /** In the order of their tickets. */
  #unflushed: Replacement[] = [];
  waitingFor = 0;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  /** Whether a message with RETAIN would fit. */
  hasRoomFor(message: Message): boolean {
    if (message.payloadEnd === message.payloadStart) return true;
    const { retainedMessagesMax, retainedBytesMax } = this.#context.settings;
    const old = this.trie.get(message.topicName);
    if (old === undefined && this.trie.count >= retainedMessagesMax) return false;
    return this.trie.bytes - (old?.size ?? 0) + message.size <= retainedBytesMax;
  }

  /** Keeps the message as its topic's retained one [MQTT-3.3.1-5], or removes that where the payload is empty [MQTT-3.3.1-6]. */
  put(message: Message): void {
    if (this.#context.neighbours !== undefined && isStored(message.topicName)) {
      this.#write(message);
      return;
    }
    if (message.payloadEnd === message.payloadStart) {
      this.remove(message.topicName);
      return;
    }
    this.#context.keep(message);
    const replaced = this.trie.get(message.topicName);
    this.#keep(message);
    if (!isStored(message.topicName)) return;
    const { writePath } = this.#context;
    writePath.add({ kind: 'retained-put', message });
    this.#unflushed.push({ ticket: writePath.ticket, message, replaced });
    writePath.wait(this);
  }

  #write(message: Message): void {
    const { writePath, keep } = this.#context;
    // Nothing holds back those who publish with QoS 0 for long, and they cannot be told.
    if (message.qos === 0 && (writePath.full || writePath.overfull)) return;
    if (message.payloadEnd === message.payloadStart) {
      writePath.add({ kind: 'retained-delete', topicName: message.topicName });
      return;
    }
    keep(message);
    writePath.addMessage({ kind: 'retained-put', message }, message);
  }

  /** Takes over what another node or this one has put, in the order of the store; undefined for no message any more. */
  apply(topicName: string, message: Message | undefined): void {
    if (message !== undefined) this.#keep(message);
    else this.#forget(topicName);
  }

  onFlushed(flushed: number): void {
    this.#unflushed = this.#unflushed.filter(({ ticket }) => ticket > flushed);
    if (this.#unflushed.length > 0) this.#context.writePath.wait(this);
  }

  /** What was refused is not retained: the message before it is again. */
  onStoreFull(failed: number): void {
    for (const { ticket, message, replaced } of this.#unflushed.toReversed()) {
      if (ticket !== failed) continue;
      // One of a later batch must not go back to a message that never was.
      for (const later of this.#unflushed) if (later.replaced === message) later.replaced = replaced;
      if (this.trie.get(message.topicName) !== message) continue;
      this.#cancelExpiry(message.topicName);
      if (replaced === undefined) this.trie.delete(message.topicName);
      else this.#keep(replaced);
    }
    this.onFlushed(failed);
  }

  /** Removes the retained message of a topic. */
  remove(topicName: string): void {
    if (!this.#forget(topicName) || !isStored(topicName)) return;
    this.#context.writePath.add({ kind: 'retained-delete', topicName });
  }

  /** Removes a message that has expired. */
  expire(message: Message): void {
    const { neighbours, writePath } = this.#context;
    if (neighbours === undefined || !isStored(message.topicName)) {
      this.remove(message.topicName);
      return;
    }
    this.#forget(message.topicName);
    writePath.add({ kind: 'retained-expire', message });
  }

  /** @returns whether there was one. */
  #forget(topicName: string): boolean {
    this.#cancelExpiry(topicName);
    return this.trie.delete(topicName) !== undefined;
  }

  /** Takes over the retained messages of before a restart; those expired since go at once. */
  restore(messages: readonly Message[]): void {
    for (const message of messages) this.#keep(message);
  }

  #keep(message: Message): void {
    this.#cancelExpiry(message.topicName);
    this.trie.set(message);
    if (message.expiresAt === Number.POSITIVE_INFINITY) return;
    const expiry = new RetainedExpiry(message, this);
    this.#expiries.set(message.topicName, expiry);
    this.#context.deadlines.schedule(expiry, message.expiresAt);
  }

  #cancelExpiry(topicName: string): void {
    const expiry = this.#expiries.get(topicName);
    if (expiry === undefined) return;
    this.#context.deadlines.cancel(expiry);
    this.#expiries.delete(topicName);
  }
}

function isStored(topicName: string): boolean {
  return !topicName.startsWith(VOLATILE_PREFIX);
}
