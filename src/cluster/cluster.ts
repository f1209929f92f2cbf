/**
 * How a node knows that it is the only owner of a client id. With one node there is nobody else; nodes that share a
 * store take it from one another, and every write carries the epoch, so that one who has lost it cannot write any more.
 */
export interface Cluster {
  /** This node's name, for logs. */
  readonly nodeId: string;
  /** Makes this node the owner of the client id. @returns the new epoch, as soon as no other node is. */
  claim(clientId: string): number | Promise<number>;
  /** Gives everything up. */
  close(): Promise<void>;
}
