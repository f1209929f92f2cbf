import { expect } from 'vitest';
import { PacketType, type ProtocolVersion, type PublishPacket, type Qos } from '../../src/protocol/packets.ts';
import { filterPattern, type NaiveFile, type NaiveQuestion, type NaiveRules } from '../acl/naive-rules.ts';
import { until } from '../support/polling.ts';
import type { RawConnectOptions } from '../support/connect-packet.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { type Identity, OPEN, PASSWORDS, STRICT, TOKEN_SECRET, TOPIC_NAMES, WILDCARDS } from './identities.ts';
import { SecurityFiles } from './security-files.ts';
import { takeAll } from './take-all.ts';

/** What came of a matrix. */
export interface MatrixResult {
  /** Cells by way. */
  readonly cells: Map<string, number>;
  /** Of them, what is allowed. */
  allowed: number;
  /** Cells that are not what the naive model says. */
  readonly wrong: string[];
}

/** A client of the matrix. */
interface Guest {
  readonly identity: Identity;
  readonly client: RawClient;
}

/**
 * Asks a real broker, for every identity and topic, in every way a message can travel, and compares with the naive model.
 * Where a way needs rights to begin with, they are those of `OPEN`, and those of `STRICT` take their place before it counts.
 */
export class Matrix {
  readonly #version: ProtocolVersion;
  readonly #identities: readonly Identity[];
  readonly #broker: TestBroker;
  readonly #files: SecurityFiles;
  readonly #admin: RawClient;
  readonly #model: NaiveRules;
  readonly #result: MatrixResult;

  private constructor(
    version: ProtocolVersion,
    identities: readonly Identity[],
    made: { broker: TestBroker; files: SecurityFiles; admin: RawClient; result: MatrixResult; model: NaiveRules },
  ) {
    this.#version = version;
    this.#identities = identities;
    this.#broker = made.broker;
    this.#files = made.files;
    this.#admin = made.admin;
    this.#result = made.result;
    this.#model = made.model;
  }

  /** Runs all ways for a version of MQTT; adds to the result. */
  static async run(
    version: ProtocolVersion,
    identities: readonly Identity[],
    { model, result }: { model: NaiveRules; result: MatrixResult },
  ): Promise<void> {
    using files = new SecurityFiles();
    const config = {
      auth: {
        allowAnonymous: 'everywhere',
        passwordFile: files.writeUsers(PASSWORDS),
        jwt: { secretFile: files.write('token-secret', TOKEN_SECRET) },
      },
      acl: { file: files.write('rules.json', JSON.stringify(STRICT)) },
    } as const;
    await using broker = await startTestBroker({ config });
    const admin = await broker.connect({ name: 'admin', username: 'root', password: PASSWORDS.get('root') ?? '' });
    await admin.subscribe(['#', '$x/#'], 2);
    const matrix = new Matrix(version, identities, { broker, files, admin, result, model });
    await matrix.#subscribing();
    await matrix.#sharing();
    await matrix.#publishing();
    await matrix.#willsAtConnect();
    await matrix.#willsWhenDue();
    await matrix.#resuming();
    await matrix.#resumingShared();
  }

  /** SUBSCRIBE, what is retained, and what is published then. */
  async #subscribing(): Promise<void> {
    for (const topic of TOPIC_NAMES) await this.#admin.publish(topic, `retained ${topic}`, { qos: 1, retain: true });
    for (const [filters, kind] of [
      [TOPIC_NAMES, 'topic'],
      [WILDCARDS, 'wildcard'],
    ] as const) {
      const guests = await this.#arrive({});
      for (const { identity, client } of guests) {
        const granted = await this.#subscribe(client, filters);
        for (const [index, filter] of filters.entries()) {
          this.#judge(`subscribe ${kind}`, identity, { way: 'subscribe', topic: filter }, granted[index] === true);
        }
      }
      await this.#sendToAll('live', 1);
      for (const { identity, client } of guests) {
        const payloads = payloadsOf(await takeAll(client));
        for (const topic of TOPIC_NAMES) {
          const isDue = filters.some(
            (filter) =>
              filterPattern(filter).test(topic) && this.#model.isAllowed(identity, { way: 'subscribe', topic: filter }),
          );
          this.#count(`retained, ${kind}`, identity, topic, [isDue, payloads.has(`retained ${topic}`)]);
          this.#count(`live, ${kind}`, identity, topic, [isDue, payloads.has(`live ${topic}`)]);
        }
      }
      await this.#leave(guests);
    }
    for (const topic of TOPIC_NAMES) await this.#admin.publish(topic, '', { qos: 1, retain: true });
    await takeAll(this.#admin);
  }

  /** Shared subscriptions, each alone, and all of them together. */
  async #sharing(): Promise<void> {
    const guests = await this.#arrive({});
    for (const { identity, client } of guests) {
      const own = TOPIC_NAMES.map((topic) => `$share/${this.#identities.indexOf(identity)}/${topic}`);
      const granted = await this.#subscribe(client, [...own, ...TOPIC_NAMES.map((topic) => `$share/all/${topic}`)]);
      for (const [index, topic] of TOPIC_NAMES.entries()) {
        const question = { way: 'subscribe', topic } as const;
        this.#judge('shared subscribe', identity, question, granted[index] === true);
        this.#judge('shared subscribe with others', identity, question, granted[index + own.length] === true);
      }
    }
    await this.#sendToAll('shared', 1);
    const takers = new Map(TOPIC_NAMES.map((topic) => [topic, { own: 0, allowed: 0, copies: 0 }]));
    for (const { identity, client } of guests) {
      const received = (await takeAll(client)).map(textOf);
      for (const topic of TOPIC_NAMES) {
        const copies = received.filter((text) => text === `shared ${topic}`).length;
        const isAllowed = this.#model.isAllowed(identity, { way: 'receive', topic });
        const taker = takers.get(topic)!;
        taker.copies += copies;
        if (isAllowed) taker.allowed += 1;
        // One of its own group, and perhaps the one of all together.
        this.#count('shared', identity, topic, [isAllowed, copies > 0]);
      }
    }
    for (const [topic, { allowed, copies }] of takers) {
      expect(copies, `copies of ${topic} to ${allowed} groups and the one of all`).toBe(
        allowed === 0 ? 0 : allowed + 1,
      );
    }
    await this.#leave(guests);
  }

  /** PUBLISH with every QoS, retained and not. */
  async #publishing(): Promise<void> {
    const guests = await this.#arrive({});
    const kinds = ([0, 1, 2] as const).flatMap((qos) => [false, true].map((retain) => ({ qos, retain })));
    const answered = new Set<string>();
    for (const { identity, client } of guests) {
      for (const { qos, retain } of kinds) {
        const sent = TOPIC_NAMES.map((topic) => {
          const payload = this.#cell(identity, `${qos}${retain} ${topic}`);
          return { payload, packetId: client.sendPublish(topic, payload, { qos, retain }) };
        });
        if (qos > 0) await this.#takeAnswers(client, sent, qos === 1 ? PacketType.puback : PacketType.pubrec, answered);
      }
      await client.ping();
    }
    const payloads = payloadsOf(await takeAll(this.#admin));
    for (const { identity } of guests) {
      for (const { qos, retain } of kinds) {
        for (const topic of TOPIC_NAMES) {
          const payload = this.#cell(identity, `${qos}${retain} ${topic}`);
          const question = { way: 'publish', topic, qos, retain } as const;
          this.#judge(`publish QoS ${qos}${retain ? ', retained' : ''}`, identity, question, payloads.has(payload));
          if (qos === 0) continue;
          // [v3 MQTT-3.3.5-2] A 3.x client gets its acknowledgement in any case.
          const expected = this.#version < 5 || this.#model.isAllowed(identity, question);
          this.#count('publish, answer', identity, topic, [expected, answered.has(payload)]);
        }
      }
    }
    await this.#leave(guests);
  }

  /** Notes what was accepted, and brings QoS 2 to its end. */
  async #takeAnswers(
    client: RawClient,
    sent: readonly { payload: string; packetId: number }[],
    type: typeof PacketType.puback | typeof PacketType.pubrec,
    accepted: Set<string>,
  ): Promise<void> {
    const released: number[] = [];
    for (const { payload, packetId } of sent) {
      const { reasonCode } = await client.expect(type, { packetId });
      if (reasonCode !== 0) expect(reasonCode, payload).toBe(0x87);
      else {
        accepted.add(payload);
        if (type === PacketType.pubrec) released.push(packetId);
      }
    }
    for (const packetId of released) {
      client.sendAck(PacketType.pubrel, packetId);
      await client.expect(PacketType.pubcomp, { packetId });
    }
  }

  /** A will that is not allowed at CONNECT refuses it; one that is comes when the connection is lost. */
  async #willsAtConnect(): Promise<void> {
    for (const [index, topicName] of TOPIC_NAMES.entries()) {
      const will = { topicName, qos: (index % 3) as Qos, retain: index % 2 === 1 };
      const question = { way: 'publish', topic: topicName, qos: will.qos, retain: will.retain } as const;
      const guests: Guest[] = [];
      for (const identity of this.#identities) {
        const client = await this.#open(identity);
        client.sendConnect(
          this.#connectOptions(identity, { will: { ...will, payload: this.#cell(identity, topicName) } }),
        );
        guests.push({ identity, client });
      }
      for (const { identity, client } of guests) {
        const { reasonCode } = await client.expect(PacketType.connack);
        if (reasonCode !== 0) expect(reasonCode).toBe(this.#version === 5 ? 0x87 : 5);
        this.#judge('will at CONNECT', identity, question, reasonCode === 0);
      }
      const payloads = await this.#lost(guests);
      for (const identity of this.#identities) {
        this.#judge('will', identity, question, payloads.has(this.#cell(identity, topicName)));
      }
    }
  }

  /** A will that was allowed at CONNECT, and may not be any more when the connection is lost. */
  async #willsWhenDue(): Promise<void> {
    for (const [index, topicName] of TOPIC_NAMES.entries()) {
      const will = { topicName, qos: (index % 3) as Qos, retain: false };
      await this.#rule(OPEN);
      const guests: Guest[] = [];
      for (const identity of this.#identities) {
        const options = { will: { ...will, payload: this.#cell(identity, topicName) } };
        guests.push({ identity, client: await this.#connect(identity, options) });
      }
      await this.#rule(STRICT);
      const payloads = await this.#lost(guests);
      for (const identity of this.#identities) {
        const question = { way: 'publish', topic: topicName, qos: will.qos, retain: false } as const;
        this.#judge('will when it is due', identity, question, payloads.has(this.#cell(identity, topicName)));
      }
    }
  }

  /** What was in flight and what waits, of sessions that come back under other rules. */
  async #resuming(): Promise<void> {
    await this.#rule(OPEN);
    const before = await this.#arrive({ isLasting: true });
    for (const { client } of before) await client.subscribe(TOPIC_NAMES, 2);
    await this.#sendToAll('in flight QoS 1', 1);
    await this.#sendToAll('in flight QoS 2', 2);
    for (const { client } of before) {
      for (let i = 0; i < 2 * TOPIC_NAMES.length; i++) await client.expectPublish();
    }
    await this.#lost(before);
    await this.#sendToAll('queued QoS 1', 1);
    await this.#sendToAll('queued QoS 2', 2);
    await this.#rule(STRICT);
    const ways = ['in flight QoS 1', 'in flight QoS 2', 'queued QoS 1', 'queued QoS 2'];
    await this.#comeBack([...ways], 'subscription of a session that came back');
  }

  /** What waits for shared subscriptions and was in flight of them. */
  async #resumingShared(): Promise<void> {
    await this.#rule(OPEN);
    await this.#leave(await this.#arrive({}));
    const before = await this.#arrive({ isLasting: true });
    for (const { identity, client } of before) {
      await client.subscribe(
        TOPIC_NAMES.map((topic) => `$share/${this.#identities.indexOf(identity)}/${topic}`),
        2,
      );
    }
    await this.#sendToAll('shared in flight QoS 1', 1);
    await this.#sendToAll('shared in flight QoS 2', 2);
    for (const { client } of before) {
      for (let i = 0; i < 2 * TOPIC_NAMES.length; i++) await client.expectPublish();
    }
    await this.#lost(before);
    await this.#sendToAll('shared queued', 1);
    await this.#rule(STRICT);
    const ways = ['shared in flight QoS 1', 'shared in flight QoS 2', 'shared queued'];
    await this.#comeBack(ways, 'shared subscription of a session that came back');
  }

  /** Sessions come back and get what they may have, of all that was sent to each topic under these names, and after that. */
  async #comeBack(ways: readonly string[], wayAfterwards: string): Promise<void> {
    const guests: Guest[] = [];
    for (const identity of this.#identities) {
      const client = await this.#connect(identity, { isLasting: true });
      // MQTT 3.1 has no such flag.
      expect(client.connack?.sessionPresent, identity.clientId).toBe(this.#version > 3);
      guests.push({ identity, client });
    }
    await this.#sendToAll(wayAfterwards, 1);
    for (const { identity, client } of guests) {
      const payloads = payloadsOf(await takeAll(client));
      for (const way of [...ways, wayAfterwards]) {
        for (const topic of TOPIC_NAMES)
          this.#judge(way, identity, { way: 'receive', topic }, payloads.has(`${way} ${topic}`));
      }
    }
    await this.#leave(guests);
  }

  // ---- steps

  async #rule(rules: NaiveFile): Promise<void> {
    this.#files.write('rules.json', JSON.stringify(rules));
    expect(await this.#broker.broker.reload()).toBe(true);
  }

  #connectOptions(identity: Identity, { isLasting = false, ...more }: ArrivalOptions): RawConnectOptions {
    const { clientId, connectAs } = identity;
    const properties = isLasting && this.#version === 5 ? { sessionExpiryInterval: 1_000 } : {};
    return { ...connectAs, clientId, cleanStart: !isLasting, properties, ...more };
  }

  async #open(identity: Identity): Promise<RawClient> {
    return await this.#broker.open({ version: this.#version, name: identity.clientId });
  }

  async #connect(identity: Identity, options: ArrivalOptions): Promise<RawClient> {
    const client = await this.#open(identity);
    await client.connect(this.#connectOptions(identity, options));
    return client;
  }

  async #arrive(options: ArrivalOptions): Promise<readonly Guest[]> {
    const guests: Guest[] = [];
    for (const identity of this.#identities) guests.push({ identity, client: await this.#connect(identity, options) });
    return guests;
  }

  async #leave(guests: readonly Guest[]): Promise<void> {
    await Promise.all(guests.map(({ client }) => client.disconnect()));
  }

  /** Their connections break off. @returns what the wills that came of that say. */
  async #lost(guests: readonly Guest[]): Promise<ReadonlySet<string>> {
    for (const { client } of guests) client.destroy();
    await until(
      'only the admin is connected',
      () => this.#broker.broker.counters().connections.clients === 1 || undefined,
    );
    await this.#broker.broker.publish({ topicName: '$settled', payload: '', qos: 1 });
    return payloadsOf(await takeAll(this.#admin));
  }

  /** @returns whether each was granted. */
  async #subscribe(client: RawClient, filters: readonly string[]): Promise<readonly boolean[]> {
    const packetId = client.sendSubscribe(filters, 1);
    const { reasonCodes } = await client.expect(PacketType.suback, { packetId });
    for (const code of reasonCodes) expect([1, this.#version === 5 ? 0x87 : 0x80]).toContain(code);
    return reasonCodes.map((code) => code === 1);
  }

  /** The admin publishes to every topic, and takes what it gets of it itself. */
  async #sendToAll(what: string, qos: Qos): Promise<void> {
    for (const topic of TOPIC_NAMES) await this.#admin.publish(topic, `${what} ${topic}`, { qos });
    await takeAll(this.#admin);
  }

  // ---- judging

  #cell(identity: Identity, text: string): string {
    return `${this.#identities.indexOf(identity)} ${text}`;
  }

  #judge(way: string, identity: Identity, question: NaiveQuestion, actual: boolean): void {
    this.#count(way, identity, question.topic, [this.#model.isAllowed(identity, question), actual]);
  }

  #count(way: string, { clientId, username }: Identity, topic: string, [expected, actual]: [boolean, boolean]): void {
    const { cells, wrong } = this.#result;
    cells.set(way, (cells.get(way) ?? 0) + 1);
    if (expected) this.#result.allowed += 1;
    if (expected !== actual) {
      const who = `user ${JSON.stringify(username)} as ${clientId}, version ${this.#version}`;
      wrong.push(`${way} ${topic}: ${who}: ${actual ? 'allowed' : 'refused'}, not so by the model`);
    }
  }
}

/** How a client comes. */
interface ArrivalOptions {
  /** Its session stays when it goes, and is taken up when it comes. */
  isLasting?: boolean;
  will?: NonNullable<RawConnectOptions['will']>;
}

function textOf({ payload }: PublishPacket): string {
  return Buffer.from(payload).toString();
}

function payloadsOf(publishes: readonly PublishPacket[]): ReadonlySet<string> {
  return new Set(publishes.map(textOf));
}
