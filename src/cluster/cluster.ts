/**
 * How a node knows that it is the only owner of a client id. With one node there is nobody else; nodes that share a
 * store take it from one another, and every write is refused of one that has lost its place.
 */
export interface Cluster {
  /** This node's name, for logs. */
  readonly nodeId: string;
  /**
   * Makes this node the owner of the client id, for that user; to be called once for each CONNECT, and followed by
   * `settle`.
   * @returns the epoch of the connection, later ones higher, as soon as no other node has the client id; undefined where
   * its owner does not let that user have it.
   */
  claim(clientId: string, username: string): number | undefined | Promise<number | undefined>;
  /** Whether this node is the owner still. */
  holds(clientId: string): boolean;
  /** What a claim was for has become of it: a session, or nothing. */
  settle(clientId: string): void;
  /** A will of the client id was published or dropped, with nobody connected. */
  willDone(clientId: string): void;
}
