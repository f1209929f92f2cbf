import { Readable } from 'node:stream';
import type { IStore } from 'mqtt';
import type { Packet } from 'mqtt-packet';

type Done = (error?: Error, packet?: Packet) => void;

/** Packets that MQTT.js has not seen acknowledged, in their order; outlives its connections and its clients. */
export class PacketStore {
  readonly packets: Map<number, Packet> = new Map();

  /** The store for one connection: MQTT.js handles what it has read even after it lost its connection. */
  lease(): LeasedStore {
    return new LeasedStore(this.packets);
  }
}

/** Both stores of a client. */
export class PacketStores {
  readonly outgoing: PacketStore = new PacketStore();
  readonly incoming: PacketStore = new PacketStore();

  clear(): void {
    this.outgoing.packets.clear();
    this.incoming.packets.clear();
  }
}

/** A store as MQTT.js wants it; nothing changes in it any more once it is closed. */
export class LeasedStore implements IStore {
  readonly #packets: Map<number, Packet>;
  #isClosed = false;

  constructor(packets: Map<number, Packet>) {
    this.#packets = packets;
  }

  /** A PUBLISH is kept as it has to be sent again: with DUP, which MQTT.js leaves out. */
  put(packet: Packet, done?: Done): this {
    const { messageId = 0 } = packet;
    if (!this.#isClosed) this.#packets.set(messageId, packet.cmd === 'publish' ? { ...packet, dup: true } : packet);
    done?.();
    return this;
  }

  get(packet: Pick<Packet, 'messageId'>, done: Done): this {
    this.#answer(this.#find(packet), done);
    return this;
  }

  del(packet: Pick<Packet, 'messageId'>, done?: Done): this {
    const kept = this.#find(packet);
    if (kept !== undefined) this.#packets.delete(packet.messageId ?? 0);
    this.#answer(kept, done);
    return this;
  }

  createStream(): ReturnType<IStore['createStream']> {
    return Readable.from([...this.#packets.values()]) as unknown as ReturnType<IStore['createStream']>;
  }

  close(done?: () => void): void {
    this.#isClosed = true;
    done?.();
  }

  #find(packet: Pick<Packet, 'messageId'>): Packet | undefined {
    return this.#isClosed ? undefined : this.#packets.get(packet.messageId ?? 0);
  }

  #answer(kept: Packet | undefined, done: Done | undefined): void {
    if (kept === undefined) done?.(new Error('missing packet'));
    else done?.(undefined, kept);
  }
}
