import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AckPacket, type Packet, PacketType } from '../../src/protocol/packets.ts';
import { FAULT_SECONDS, FAULT_TIMEOUT_MS } from '../faults/steady-run.ts';
import { openTcp } from '../support/client-socket.ts';
import { type Nodes, startNodes } from '../support/nodes.ts';
import { until } from '../support/polling.ts';
import { RawClient } from '../support/raw-client.ts';
import { redisMissing } from '../support/redis-server.ts';
import { HOUR, NodeClients } from './node-clients.ts';

const RACES = FAULT_SECONDS > 0 ? 1_000 : 100;
const SESSION_TAKEN_OVER = 0x8e;
const NAME = 'racer';

/** What the application behind one client id has got, over all its connections, with QoS 2 alone. */
class Application {
  /** Packet ids received and not released. */
  readonly #open = new Set<number>();
  readonly taken: string[] = [];

  /** @returns the answer that is due, if any. */
  receive(packet: Packet): { type: AckPacket['type']; packetId: number } | undefined {
    if (packet.type === PacketType.publish) {
      const { packetId, payload } = packet;
      if (!this.#open.has(packetId)) this.taken.push(Buffer.from(payload).toString());
      this.#open.add(packetId);
      return { type: PacketType.pubrec, packetId };
    }
    if (packet.type !== PacketType.pubrel) return undefined;
    this.#open.delete(packet.packetId);
    return { type: PacketType.pubcomp, packetId: packet.packetId };
  }

  /** Whether it has all of so many messages, to the end. */
  hasAll(count: number): boolean {
    return this.taken.length >= count && this.#open.size === 0;
  }
}

// For longer: TRELLIS_FAULT_SECONDS=600 npx vitest run --project all test/nodes
describe.skipIf(redisMissing !== '')('clients with one client id', () => {
  let nodes: Nodes;
  let clients: NodeClients;

  beforeAll(async () => {
    nodes = await startNodes();
    clients = new NodeClients(nodes);
  });

  afterAll(async () => {
    clients?.close();
    await nodes?.stop();
  });

  async function open(index: number): Promise<RawClient> {
    const client = new RawClient(NAME, 5);
    return client.attach(await openTcp('127.0.0.1', nodes.portOf(index % nodes.count), client));
  }

  /** Reads what a connection got that has lost: DISCONNECT 0x8E comes last, if it was ever accepted. */
  async function readLoser(loser: RawClient, application: Application, wasAccepted: boolean): Promise<void> {
    let isAccepted = wasAccepted;
    let last: Packet | undefined;
    for (;;) {
      const packet = await loser.next().catch(() => undefined);
      if (packet === undefined) break;
      if (packet.type === PacketType.connack) {
        isAccepted = packet.reasonCode === 0;
      } else if (packet.type !== PacketType.disconnect) application.receive(packet);
      last = packet;
    }
    expect(loser.closed).toBe(true);
    if (isAccepted) expect(last).toMatchObject({ type: PacketType.disconnect, reasonCode: SESSION_TAKEN_OVER });
  }

  test(
    `that connect to two nodes at once, ${RACES} times, leave one connection, which has the session and its messages`,
    async () => {
      const application = new Application();
      const publisher = await clients.connect(0, 'racer-publisher');
      let survivor: RawClient = await clients.resume(0, NAME);
      await survivor.subscribe(NAME, 2);
      for (let race = 1; race <= RACES; race++) {
        const pair = await Promise.all([open(race), open(race + 1)]);
        const published = publisher.publish(NAME, `${race}`, { qos: 2 });
        for (const client of pair)
          client.sendConnect({ cleanStart: false, properties: { sessionExpiryInterval: HOUR } });
        const before = survivor;
        await until('one of the two to lose', () => (pair.some(({ closed }) => closed) ? true : undefined));
        await published;
        const [loser, winner] = pair[0].closed ? pair : [pair[1], pair[0]];
        await winner.expect(PacketType.connack, { reasonCode: 0, sessionPresent: true });
        await readLoser(before, application, true);
        await readLoser(loser, application, false);
        while (!application.hasAll(race)) {
          const answer = application.receive(await winner.next());
          if (answer !== undefined) winner.sendAck(answer.type, answer.packetId);
        }
        // It is there after the other has gone, and nothing more comes than was published.
        await winner.expectNothing();
        expect([loser.violation, winner.violation]).toEqual([undefined, undefined]);
        survivor = winner;
      }
      expect(application.taken).toEqual(Array.from({ length: RACES }, (_, index) => `${index + 1}`));
      survivor.destroy();
    },
    FAULT_TIMEOUT_MS,
  );
});
