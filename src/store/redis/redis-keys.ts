/** Names of the keys of one Trellis cluster, docs/decisions/0008-redis-store.md. All of them lie in one slot. */
export class RedisKeys {
  readonly schema: string;
  readonly incarnations: string;
  readonly nodes: string;
  readonly messages: string;
  readonly counts: string;
  readonly trash: string;
  /** Nodes that are not there any more and whose sessions wait to be taken over. */
  readonly gone: string;
  /** Counts up whenever a client id gets an owner. */
  readonly tenures: string;
  /** Counts up with each change of who takes messages where. */
  readonly topology: string;
  /** Stream of these changes; the id of an entry is its version. */
  readonly changes: string;
  /** What nodes tell each other of themselves for the $SYS topics, by node id. */
  readonly figures: string;
  /** What all of them begin with. */
  readonly start: string;

  /** @param prefix `redis.prefix`. */
  constructor(prefix: string) {
    this.start = `{${prefix}}:`;
    this.schema = `${this.start}schema`;
    this.incarnations = `${this.start}incarnations`;
    this.nodes = `${this.start}nodes`;
    this.gone = `${this.start}gone`;
    this.messages = `${this.start}messages`;
    this.counts = `${this.start}counts`;
    this.trash = `${this.start}trash`;
    this.tenures = `${this.start}tenures`;
    this.topology = `${this.start}topology`;
    this.changes = `${this.start}changes`;
    this.figures = `${this.start}figures`;
  }

  node(nodeId: string): string {
    return `${this.start}node:${nodeId}`;
  }

  lease(nodeId: string): string {
    return `${this.start}lease:${nodeId}`;
  }

  own(nodeId: string): string {
    return `${this.start}own:${nodeId}`;
  }

  groups(nodeId: string): string {
    return `${this.start}groups:${nodeId}`;
  }

  /** What a node takes over from one that is gone, by its last call of the script. */
  taking(nodeId: string): string {
    return `${this.start}taking:${nodeId}`;
  }

  /** Stream of what others tell a node. */
  inbox(nodeId: string): string {
    return `${this.start}inbox:${nodeId}`;
  }

  /** Topic filters of takers of a node that are no stored sessions. */
  interests(nodeId: string): string {
    return `${this.start}interests:${nodeId}`;
  }

  session(clientId: string): string {
    return `${this.start}s:${clientId}`;
  }

  /** Entries of a queue. */
  queue(queueId: number): string {
    return `${this.start}q:${queueId}`;
  }

  /** What of a queue is in flight, and its bytes. */
  flight(queueId: number): string {
    return `${this.start}f:${queueId}`;
  }

  /** What other nodes posted for a queue. */
  mailbox(queueId: number): string {
    return `${this.start}r:${queueId}`;
  }

  /** A queue that was dropped and waits to be emptied. */
  dropped(queueId: number): string {
    return `${this.start}d:${queueId}`;
  }
}
