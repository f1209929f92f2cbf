/** The part of the library that is used here; it comes without types. */
declare module 'aedes-persistence-redis/asyncPersistence.js' {
  class AsyncRedisPersistence {
    /** With `conn` it opens no connection of its own. `cluster` chooses the layout with one key per topic. */
    constructor(options: { conn: object; cluster?: boolean });
    /** Keeps the packet, or removes that of its topic where the payload is empty. */
    storeRetained(packet: object): Promise<void>;
    createRetainedStreamCombi(topicFilters: readonly string[]): AsyncGenerator;
    /** Resolves to what MessagePack made of the value that `conn.getBuffer` gave. */
    incomingGetPacket(client: { id: string }, packet: { messageId: number }): Promise<unknown>;
  }
  export = AsyncRedisPersistence;
}

/** What Aedes itself is given. */
declare module 'aedes-persistence-redis' {
  function persistence(options: { conn: object; maxSessionDelivery?: number }): {
    storeRetained(packet: object): Promise<void>;
  };
  export = persistence;
}
