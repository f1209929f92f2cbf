import type { Message } from '../../protocol/message.ts';
import { RecordWriter } from '../record-writer.ts';
import type { RouteMutation, Topology } from '../shared-store.ts';
import type { Mutation, PostedMessage } from '../store.ts';
import type { TimeOffset } from '../time-offset.ts';
import { CommitKeys } from './commit-keys.ts';
import { COMMIT_KEYS, Op, RUN_MAX } from './commit-script.ts';
import { FrameWriter } from './inbox-frame.ts';
import type { RedisKeys } from './redis-keys.ts';

/** What a batch says to other nodes, as the commit script takes it: all of it depends on the topology. */
export interface EncodedRoutes {
  readonly keys: readonly string[];
  readonly operations: Buffer;
  /** Nodes that are there, with the keys of their inboxes. */
  readonly nodes: Buffer;
}

/** What a batch has for other nodes. Its messages keep their bytes: they were noted to be kept. */
export interface Outgoing {
  readonly routes: readonly RouteMutation[];
  /** Retained messages in their order, undefined for none any more. */
  readonly retained: readonly { readonly topicName: string; readonly message: Message | undefined }[];
  /** Messages of this node's queues that go to others. */
  readonly posts: readonly PostedMessage[];
}

/** One message of a queue, as `RecordWriter` writes it. */
type PostHead = Omit<PostedMessage, 'message'>;

/** One message for the takers of a node. */
interface Forward {
  readonly message: Buffer;
  readonly shareKeys: readonly string[];
}

/** Messages for one node that follow one another, all of QoS 0 or none. */
interface Run {
  readonly mayBeDropped: boolean;
  readonly messages: Forward[];
}

/** Turns what a batch has for other nodes into operations of the commit script. */
export class RouteWriter {
  readonly #keys: RedisKeys;
  readonly #nextSharedId: () => number;
  readonly #bodies: RecordWriter;
  readonly #frames = new FrameWriter();
  #writer = new RecordWriter();
  #commitKeys: CommitKeys;
  /** By queue id, what is posted for it. */
  #posts = new Map<number, { head: PostHead; message: Message; body: Buffer; sharedId: number }[]>();

  /** @param times by which clock messages expire in Redis. */
  constructor(keys: RedisKeys, times: TimeOffset, nextSharedId: () => number) {
    this.#keys = keys;
    this.#commitKeys = new CommitKeys(keys, COMMIT_KEYS);
    this.#bodies = new RecordWriter(times);
    this.#nextSharedId = nextSharedId;
  }

  /** Picks out what a batch has for other nodes; undefined for nothing. */
  outgoing(batch: readonly Mutation[]): Outgoing | undefined {
    const routes: RouteMutation[] = [];
    const retained: { topicName: string; message: Message | undefined }[] = [];
    const posts: PostedMessage[] = [];
    for (const mutation of batch) {
      if (mutation.kind === 'route') routes.push(mutation);
      else if (mutation.kind === 'post') posts.push(mutation.post);
      else if (mutation.kind === 'retained-put')
        retained.push({ topicName: mutation.message.topicName, message: mutation.message });
      else if (mutation.kind === 'retained-delete')
        retained.push({ topicName: mutation.topicName, message: undefined });
    }
    return routes.length + retained.length + posts.length === 0 ? undefined : { routes, retained, posts };
  }

  /** Encodes it for the topology as it is known now. @param firstKey how many keys the other operations of the batch have. */
  encode({ routes, retained, posts }: Outgoing, topology: Topology, firstKey: number): EncodedRoutes {
    this.#writer.position = 0;
    this.#commitKeys = new CommitKeys(this.#keys, COMMIT_KEYS + firstKey);
    this.#posts = new Map();
    const forwards = new Map<string, Run[]>();
    for (const mutation of routes) {
      const { posts: heads, nodes } = topology.routeOf(mutation);
      if (heads.length + nodes.length === 0) continue;
      const body = this.#encoded(mutation.message);
      const sharedId = heads.length > 1 ? this.#share(body) : 0;
      for (const head of heads) this.#post(head, mutation.message, body, sharedId);
      for (const { nodeId, shareKeys } of nodes)
        addForward(forwards, nodeId, { message: body, shareKeys }, mutation.message.qos === 0);
    }
    for (const post of posts) {
      const head = { ...post, queueId: topology.redirect(post) };
      this.#post(head, post.message, this.#encoded(post.message), 0);
    }
    for (const [queueId, list] of this.#posts) {
      const first = this.#commitKeys.queue(queueId);
      for (let at = 0; at < list.length; at += RUN_MAX) this.#writePosts(first, queueId, list.slice(at, at + RUN_MAX));
    }
    for (const [nodeId, runs] of forwards) {
      for (const { mayBeDropped, messages } of runs) {
        if (mayBeDropped) this.#sendUnlessBehind(nodeId, messages);
        else this.#send(nodeId, this.#frames.forward(messages));
      }
    }
    if (retained.length > 0) {
      const frame = this.#frames.retained(
        retained.map(({ topicName, message }) => ({
          topicName,
          message: message === undefined ? undefined : this.#encoded(message),
        })),
      );
      for (const nodeId of topology.nodeIds) this.#send(nodeId, frame);
    }
    const operations = this.#writer.copy();
    const nodes = this.#nodeTable(topology);
    return { keys: this.#commitKeys.names, nodes, operations };
  }

  #encoded(message: Message): Buffer {
    this.#bodies.position = 0;
    this.#bodies.message(message);
    return this.#bodies.copy();
  }

  #share(body: Buffer): number {
    const id = this.#nextSharedId();
    this.#writer.u8(Op.shared);
    this.#writer.u32(0);
    this.#writer.f64(id);
    this.#writer.block(body);
    return id;
  }

  #post(head: PostHead, message: Message, body: Buffer, sharedId: number): void {
    const list = this.#posts.get(head.queueId);
    const one = { head, message, body, sharedId };
    if (list === undefined) this.#posts.set(head.queueId, [one]);
    else list.push(one);
  }

  #writePosts(
    first: number,
    queueId: number,
    list: readonly { head: PostHead; message: Message; body: Buffer; sharedId: number }[],
  ): void {
    const writer = this.#writer;
    writer.u8(Op.post);
    writer.u32(first);
    writer.f64(queueId);
    writer.u32(list.length);
    for (const { head, message, body, sharedId } of list) {
      const start = writer.position;
      writer.u32(0);
      writer.entryHead({ ...head, message, sequence: 0, packetId: 0, state: 'waiting' }, sharedId !== 0);
      if (sharedId === 0) writer.bytesOf(body);
      else writer.f64(sharedId);
      writer.bytes.writeUInt32LE(writer.position - start - 4, start);
    }
  }

  #send(nodeId: string, frame: Buffer): void {
    const writer = this.#writer;
    writer.u8(Op.send);
    writer.u32(this.#commitKeys.indexOf(this.#keys.inbox(nodeId)));
    writer.block(frame);
  }

  #sendUnlessBehind(nodeId: string, messages: readonly Forward[]): void {
    const writer = this.#writer;
    const frame = this.#frames.forward(messages);
    writer.u8(Op.sendUnlessBehind);
    writer.u32(this.#commitKeys.indexOf(this.#keys.inbox(nodeId)));
    writer.u32(messages.length);
    writer.block(frame);
  }

  #nodeTable(topology: Topology): Buffer {
    const writer = this.#bodies;
    writer.position = 0;
    for (const nodeId of topology.nodeIds) {
      writer.string(nodeId);
      writer.u32(this.#commitKeys.indexOf(this.#keys.inbox(nodeId)));
    }
    return writer.copy();
  }
}

/** Adds a message for a node behind those it has, by node id. */
function addForward(forwards: Map<string, Run[]>, nodeId: string, forward: Forward, mayBeDropped: boolean): void {
  const runs = forwards.get(nodeId) ?? [];
  forwards.set(nodeId, runs);
  const last = runs.at(-1);
  if (last?.mayBeDropped === mayBeDropped) last.messages.push(forward);
  else runs.push({ mayBeDropped, messages: [forward] });
}
