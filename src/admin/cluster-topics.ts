import { errorText } from '../lib/error-text.ts';
import type { Logger } from '../lib/logger.ts';
import type { SysFigures } from './sys-topics.ts';

/** A figure that is a number. */
type NumberFigure = Exclude<keyof SysFigures, 'version' | 'limits'>;

/** What is shown of each node. */
const NODE_TOPICS: readonly [topic: string, figure: NumberFigure][] = [
  ['clients/connected', 'clientsConnected'],
  ['messages/received', 'messagesReceived'],
  ['messages/sent', 'messagesSent'],
  ['publish/messages/dropped', 'publishesDropped'],
  ['messages/stored', 'messagesStored'],
];

/** What is shown as the sum of all nodes: nothing that several of them count, as each has all retained messages. */
const SUM_TOPICS: readonly [topic: string, figure: NumberFigure][] = [
  ['clients/connected', 'clientsConnected'],
  ['clients/disconnected', 'clientsDisconnected'],
  ['clients/expired', 'clientsExpired'],
  ['messages/received', 'messagesReceived'],
  ['messages/sent', 'messagesSent'],
  ['bytes/received', 'bytesReceived'],
  ['bytes/sent', 'bytesSent'],
  ['publish/messages/received', 'publishesReceived'],
  ['publish/messages/sent', 'publishesSent'],
  ['publish/messages/dropped', 'publishesDropped'],
  ['publish/bytes/received', 'publishBytesReceived'],
  ['publish/bytes/sent', 'publishBytesSent'],
  ['subscriptions/count', 'subscriptions'],
];

/** What a topic level cannot hold, what would not stand for itself then, and what separates the ids in a list. */
// oxlint-disable-next-line no-control-regex -- these characters are meant
const UNFIT = /[%/+#,\u0000-\u001f\u007f-\u009f]/g;

/** Figures of a node by name, as it told them; one of another version may tell others. */
type ToldFigures = ReadonlyMap<string, number>;

/** Publishes below `$SYS/broker/cluster/`, on this node only, what the nodes that share a store tell each other. */
export class ClusterTopics {
  readonly #share: (figures: string) => Promise<ReadonlyMap<string, string>>;
  readonly #publish: (topicName: string, payload: string) => void;
  readonly #logger: Logger;
  #sent: ReadonlyMap<string, string> = new Map();
  #state: 'idle' | 'asking' | 'closed' = 'idle';

  /**
   * @param share tells the figures of this node, as JSON, and reads those of all by node id; empty for none told yet.
   * @param publish sets the retained message of a topic, or removes it where the payload is empty.
   */
  constructor(
    share: (figures: string) => Promise<ReadonlyMap<string, string>>,
    publish: (topicName: string, payload: string) => void,
    logger: Logger,
  ) {
    this.#share = share;
    this.#publish = publish;
    this.#logger = logger;
  }

  /** Tells the figures of this node and publishes those of all once they are there; what is due while it waits is left out. */
  update(figures: SysFigures): void {
    if (this.#state !== 'idle') return;
    this.#state = 'asking';
    this.#share(JSON.stringify(figures)).then(
      (told) => {
        if (this.#state === 'closed') return;
        this.#state = 'idle';
        this.#send(topicsOf(told, figures.retainedMessages));
      },
      (error: unknown) => {
        if (this.#state === 'asking') this.#state = 'idle';
        this.#logger.debug('the figures of the other nodes are not known now', { error: errorText(error) });
      },
    );
  }

  /** Publishes nothing more. */
  close(): void {
    this.#state = 'closed';
  }

  /** Only what changed is published; what is not there any more, as its node is gone, is removed. */
  #send(topics: ReadonlyMap<string, string>): void {
    for (const topic of this.#sent.keys()) if (!topics.has(topic)) this.#publish(topic, '');
    for (const [topic, value] of topics) if (this.#sent.get(topic) !== value) this.#publish(topic, value);
    this.#sent = topics;
  }
}

function topicsOf(told: ReadonlyMap<string, string>, retainedMessages: number): ReadonlyMap<string, string> {
  const nodes = [...told].map(([nodeId, text]) => ({ level: levelOf(nodeId), figures: parseFigures(text) }));
  nodes.sort((left, right) => (left.level < right.level ? -1 : 1));
  const topics = new Map<string, string>();
  const set = (topic: string, value: string | number): void => {
    topics.set(`$SYS/broker/cluster/${topic}`, String(value));
  };
  set('nodes/count', nodes.length);
  set('nodes', nodes.map(({ level }) => level).join(','));
  for (const { level, figures } of nodes) {
    const uptime = figures.get('uptimeSeconds');
    if (uptime !== undefined) set(`nodes/${level}/uptime`, `${uptime} seconds`);
    for (const [topic, name] of NODE_TOPICS) {
      const figure = figures.get(name);
      if (figure !== undefined) set(`nodes/${level}/${topic}`, figure);
    }
  }
  const sumOf = (name: NumberFigure): number => nodes.reduce((sum, { figures }) => sum + (figures.get(name) ?? 0), 0);
  for (const [topic, name] of SUM_TOPICS) set(topic, sumOf(name));
  set('clients/total', sumOf('clientsConnected') + sumOf('clientsDisconnected'));
  // Queued messages of each node, and once the retained ones.
  set('messages/stored', sumOf('messagesStored') - sumOf('retainedMessages') + retainedMessages);
  return topics;
}

/** The id of a node as a topic level: what does not fit is percent-encoded. */
function levelOf(nodeId: string): string {
  return nodeId.replaceAll(UNFIT, encodeURIComponent);
}

/** What a node told; nothing where it cannot be read. */
function parseFigures(text: string): ToldFigures {
  const figures = new Map<string, number>();
  for (const [name, value] of Object.entries(parseObject(text)))
    if (typeof value === 'number' && Number.isFinite(value)) figures.set(name, value);
  return figures;
}

function parseObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
