import type {
  ClientEnd,
  ClientHandler,
  Connected,
  IncomingMessage,
  MessageProperties,
} from '../../src/client/client.ts';

/** A received message as a test keeps it. */
export interface KeptMessage {
  readonly topicName: string;
  readonly text: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly properties: MessageProperties | undefined;
}

/** A handler of clients that keeps what it is told, in words, and lets a test wait for it. */
export class RecordingClientHandler implements ClientHandler {
  /** `sent 1`, `acknowledged 1 0`, `completed 1`, `message a/b`, `connected`, `end peer` and so on. */
  readonly events: string[] = [];
  readonly messages: KeptMessage[] = [];
  readonly connections: Connected[] = [];
  readonly ends: ClientEnd[] = [];
  /** What to do when an event comes, by the event. */
  readonly reactions: Map<string, () => void> = new Map();
  #waiting: { readonly event: string; readonly times: number; readonly resolve: () => void }[] = [];

  /** Resolves when `event` was told `times` times in all. */
  async until(event: string, times = 1): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push({ event, times, resolve });
      this.#check();
    });
  }

  /** Events since the last call. */
  take(): readonly string[] {
    return this.events.splice(0);
  }

  onConnected(connected: Connected): void {
    this.connections.push(connected);
    this.#tell(connected.sessionPresent ? 'connected present' : 'connected');
  }

  onMessage({ topicName, payload, qos, retain, dup, properties }: IncomingMessage): void {
    this.messages.push({ topicName, text: payload.toString('utf8'), qos, retain, dup, properties });
    this.#tell(`message ${payload.toString('utf8')}`);
  }

  onSent(token: number): void {
    this.#tell(`sent ${token}`);
  }

  onAcknowledged(token: number, reasonCode: number): void {
    this.#tell(`acknowledged ${token} ${reasonCode}`);
  }

  onCompleted(token: number): void {
    this.#tell(`completed ${token}`);
  }

  onAbandoned(token: number): void {
    this.#tell(`abandoned ${token}`);
  }

  onSubscribed(topicFilters: readonly string[], reasonCodes: readonly number[]): void {
    this.#tell(`subscribed ${topicFilters.join(' ')} ${reasonCodes.join(' ')}`);
  }

  onUnsubscribed(topicFilters: readonly string[], reasonCodes: readonly number[]): void {
    this.#tell(`unsubscribed ${topicFilters.join(' ')} ${reasonCodes.join(' ')}`);
  }

  onEnd(end: ClientEnd): void {
    this.ends.push(end);
    this.#tell(`end ${end.cause}`);
  }

  #tell(event: string): void {
    this.events.push(event);
    this.reactions.get(event)?.();
    this.#check();
  }

  #check(): void {
    this.#waiting = this.#waiting.filter(({ event, times, resolve }) => {
      if (this.events.filter((told) => told === event).length < times) return true;
      resolve();
      return false;
    });
  }
}
