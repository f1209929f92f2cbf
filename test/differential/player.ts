import { connect, type Socket } from 'node:net';
import { decodePacket, encodePacket } from '../../src/protocol/codec.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { Framer } from '../../src/protocol/framer.ts';
import { type Packet, PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { connectPacket } from '../support/connect-packet.ts';
import { clientIdOf, TOPIC_NAMES } from './generator.ts';
import { BROKEN_OFF, normalForm, type Seen } from './normal-form.ts';
import { CLIENTS, type Step } from './step.ts';

/** What all clients saw, step by step. */
export type Trace = Seen[][];

/** A broker answers within this time, ms, or not at all. */
const ANSWER_MS = 20_000;
/** So many rounds of PINGREQ bring everything out that was under way. */
const ROUNDS_MAX = 60;
/** Rounds without anything new, after which there is nothing more. */
const QUIET_ROUNDS = 2;
/** Acknowledgements that never come are waited for so many rounds. */
const PATIENT_ROUNDS = 8;
const PINGREQ: Buffer = Buffer.of(0xc0, 0);

/** One connection to one of the brokers, which acknowledges what it gets and keeps the rest. */
class Wire {
  readonly received: Packet[] = [];
  closed = false;
  /** Whether this client broke off for what it was sent. */
  wasSentFaults = false;
  /** Packets received that are no PINGRESP. */
  news = 0;
  /** Packets sent that an answer is due for. */
  due = 0;
  readonly #socket: Socket;
  readonly #version: ProtocolVersion;
  readonly #acknowledges: boolean;
  readonly #framer = new Framer(268_435_460);
  #pongs = 0;
  #pings = 0;
  #wake: () => void = () => undefined;

  constructor(port: number, version: ProtocolVersion, acknowledges: boolean) {
    this.#version = version;
    this.#acknowledges = acknowledges;
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (chunk: Buffer) => this.#onBytes(chunk));
    this.#socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Ends the connection and waits until the broker has, too. */
  async drop(): Promise<void> {
    this.#socket.end();
    await this.#until(() => this.closed);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Waits for the first packet, or the end. */
  async opened(): Promise<void> {
    await this.#until(() => this.closed || this.received.length > 0);
  }

  /** Sends PINGREQ and waits for its answer, or the end. */
  async ping(): Promise<void> {
    if (this.closed) return;
    this.#pings += 1;
    this.#socket.write(PINGREQ);
    await this.#until(() => this.closed || this.#pongs >= this.#pings);
  }

  #onBytes(chunk: Buffer): void {
    if (this.closed) return;
    try {
      this.#framer.push(chunk);
      while (this.#framer.next()) this.#onPacket(decodePacket(this.#framer, this.#version));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // A client ends the connection for what a server must not send, section 4.13.1.
      this.#socket.destroy();
      this.wasSentFaults = true;
      this.closed = true;
    }
    this.#wake();
  }

  #onPacket(packet: Packet): void {
    if (packet.type === PacketType.pingresp) {
      this.#pongs += 1;
      return;
    }
    this.news += 1;
    this.received.push(packet);
    const answer = this.#answerTo(packet);
    if (answer !== undefined) this.#socket.write(encodePacket(answer, this.#version));
  }

  #answerTo(packet: Packet): Packet | undefined {
    const { type } = packet;
    const properties = {};
    if (type === PacketType.pubrec && packet.reasonCode < 0x80)
      return { type: PacketType.pubrel, packetId: packet.packetId, reasonCode: 0, properties };
    if (type === PacketType.puback || type === PacketType.pubcomp || type === PacketType.suback) this.due -= 1;
    if (type === PacketType.unsuback || type === PacketType.pubrec) this.due -= 1;
    if (!this.#acknowledges) return undefined;
    if (type === PacketType.pubrel)
      return { type: PacketType.pubcomp, packetId: packet.packetId, reasonCode: 0, properties };
    if (type !== PacketType.publish || packet.qos === 0) return undefined;
    const answer = packet.qos === 1 ? PacketType.puback : PacketType.pubrec;
    return { type: answer, packetId: packet.packetId, reasonCode: 0, properties };
  }

  async #until(isDone: () => boolean): Promise<void> {
    const deadline = performance.now() + ANSWER_MS;
    while (!isDone()) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`a broker did not answer within ${ANSWER_MS} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Plays sequences to one broker and takes down what the clients see. */
export class Player {
  readonly #port: number;
  readonly #wires: (Wire | undefined)[] = Array.from({ length: CLIENTS });
  /** Connections that others took over, in the step in which that happened. */
  #former: (Wire | undefined)[] = [];

  /** @param port of the broker, on 127.0.0.1. */
  constructor(port: number) {
    this.#port = port;
  }

  /** Plays a sequence, leaving nothing of it behind. @throws Error where the broker does not answer at all. */
  async play(steps: readonly Step[]): Promise<Trace> {
    const trace: Trace = [];
    try {
      for (const step of steps) {
        await this.#take(step);
        trace.push(this.#seen());
      }
    } finally {
      await this.#clear();
    }
    return trace;
  }

  async #take(step: Step): Promise<void> {
    const { client } = step;
    this.#former = [];
    const wire = this.#wires[client];
    if (step.kind === 'open') {
      this.#former[client] = wire;
      const opened = new Wire(this.#port, step.version, step.acknowledges);
      this.#wires[client] = opened;
      opened.send(Buffer.from(step.connect.hex, 'hex'));
      await opened.opened();
      if (wire !== undefined) await wire.ping();
    } else if (wire !== undefined && !wire.closed) {
      if (step.kind === 'drop') await wire.drop();
      else {
        wire.due += step.packets.length;
        wire.send(Buffer.concat(step.packets.map(({ hex }) => Buffer.from(hex, 'hex'))));
      }
    }
    await this.#settle(client);
  }

  /** Pings everybody until nothing new comes: what the step caused has arrived then. */
  async #settle(client: number): Promise<void> {
    let quiet = 0;
    for (let round = 0; round < ROUNDS_MAX && quiet < QUIET_ROUNDS; round++) {
      const before = this.#news();
      await this.#wires[client]?.ping();
      await Promise.all(this.#wires.filter((wire) => wire !== undefined).map((wire) => wire.ping()));
      const isDue = (this.#wires[client]?.due ?? 0) > 0 && round < PATIENT_ROUNDS;
      quiet = this.#news() === before && !isDue ? quiet + 1 : 0;
    }
    const wire = this.#wires[client];
    if (wire !== undefined) wire.due = 0;
  }

  #news(): number {
    return this.#wires.reduce((sum, wire) => sum + (wire?.news ?? 0) + (wire?.closed === true ? 1 : 0), 0);
  }

  /** What each client saw since the last step; forgets connections that are closed. */
  #seen(): Seen[] {
    return this.#wires.map((wire, client) => {
      const former = this.#former[client];
      const seen = wire === undefined ? normalForm([], '') : normalForm(wire.received.splice(0), endOf(wire));
      if (wire?.closed === true) this.#wires[client] = undefined;
      if (former === undefined) return seen;
      const { messages, end } = normalForm(former.received.splice(0), endOf(former));
      return {
        answers: [`before: ${end}`, ...messages.map((text) => `before: ${text}`), ...seen.answers],
        messages: seen.messages,
        end: seen.end,
      };
    });
  }

  /** Ends all sessions and clears what is retained. */
  async #clear(): Promise<void> {
    const wires = Array.from({ length: CLIENTS }, (_, client) => this.#fresh(clientIdOf(client)));
    wires.push(this.#fresh('again'));
    await Promise.all(wires.map((wire) => wire.opened()));
    const janitor = wires[0] as Wire;
    const empty = TOPIC_NAMES.map((topicName) =>
      encodePacket(
        {
          type: PacketType.publish,
          topicName,
          payload: Buffer.alloc(0),
          qos: 0,
          retain: true,
          dup: false,
          packetId: 0,
          properties: {},
        },
        4,
      ),
    );
    janitor.send(Buffer.concat(empty));
    await janitor.ping();
    await Promise.all(wires.map((wire) => wire.drop()));
    for (const wire of this.#wires.splice(0)) wire?.destroy();
    this.#wires.length = CLIENTS;
  }

  #fresh(clientId: string): Wire {
    const wire = new Wire(this.#port, 4, true);
    wire.send(encodePacket(connectPacket(4, clientId, {}), 4));
    return wire;
  }
}

function endOf({ closed, wasSentFaults }: Wire): string {
  if (wasSentFaults) return BROKEN_OFF;
  return closed ? 'closed' : '';
}
