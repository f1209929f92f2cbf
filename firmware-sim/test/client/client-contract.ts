import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type {
  Client,
  ClientFactory,
  ConnectOptions,
  OutgoingMessage,
  ProtocolVersion,
  QoS,
} from '../../src/client/client.ts';
import { Random } from '../../src/lib/random.ts';
import type { Timers } from '../../src/lib/timers.ts';
import type { LinkFactory } from '../../src/wire/link.ts';
import { Links } from '../../src/wire/links.ts';
import type { NetworkPath } from '../../src/wire/network-path.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';
import { RecordingClientHandler } from './recording-client-handler.ts';
import { type BrokerSide, ScriptedBroker } from './scripted-broker.ts';

/** What a test of the contract works with. */
interface Stage {
  readonly broker: ScriptedBroker;
  readonly timers: FakeTimers;
  readonly handler: RecordingClientHandler;
  readonly client: Client;
  /** Connects, and is welcomed by the broker. */
  up(options?: Partial<ConnectOptions>, connack?: Parameters<BrokerSide['welcome']>[0]): Promise<BrokerSide>;
  connect(options?: Partial<ConnectOptions>): void;
  /** Loses the connection from the broker's side. */
  lose(side: BrokerSide): Promise<void>;
}

const goodPath: NetworkPath = { profile: {}, localAddress: undefined };
const versions: readonly ProtocolVersion[] = [3, 4, 5];
/** Versions that tell whether a session is present. */
const tellingVersions: readonly ProtocolVersion[] = [4, 5];

/** A message named by its token. */
function message(token: number, qos: QoS, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { topicName: `t/${token}`, payload: Buffer.from(`payload ${token}`), qos, retain: false, token, ...more };
}

function optionsOf(options: Partial<ConnectOptions> = {}): ConnectOptions {
  return {
    clientId: 'device-1',
    version: 4,
    cleanStart: false,
    sessionExpirySeconds: 3600,
    keepAliveSeconds: 0,
    ...options,
  };
}

/** The contract of clients, run on one kind of them. */
export function describeClient(name: string, makeFactory: (timers: Timers, links: LinkFactory) => ClientFactory): void {
  const cleanUps: (() => Promise<void>)[] = [];

  async function stage(window = 10): Promise<Stage> {
    const broker = await ScriptedBroker.start();
    const timers = new FakeTimers();
    const links = new Links(timers, new Random(1));
    const handler = new RecordingClientHandler();
    const client = makeFactory(timers, links).create(handler, { window });
    cleanUps.push(async () => {
      client.crash();
      links.close();
      await broker.stop();
    });
    const connect = (options?: Partial<ConnectOptions>): void =>
      client.connect(broker.endpoint, goodPath, optionsOf(options));
    return {
      broker,
      timers,
      handler,
      client,
      connect,
      async up(options, connack) {
        connect(options);
        const side = await broker.accept();
        const told = handler.connections.length;
        await side.welcome(connack);
        while (handler.connections.length === told) await new Promise((resolve) => setImmediate(resolve));
        return side;
      },
      async lose(side) {
        const ended = handler.ends.length;
        side.cut();
        while (handler.ends.length === ended) await new Promise((resolve) => setImmediate(resolve));
      },
    };
  }

  describe(`${name} as a client`, () => {
    let s: Stage;

    beforeEach(async () => {
      s = await stage();
    });

    afterEach(async () => {
      for (const cleanUp of cleanUps.splice(0)) await cleanUp();
    });

    describe('connecting', () => {
      it.each(versions)('says in CONNECT of version %i who it is', async (version) => {
        s.connect({ version, username: 'user', password: 'secret', keepAliveSeconds: 77, cleanStart: true });
        expect(s.client.state).toBe('connecting');
        const connect = await (await s.broker.accept()).expect('connect');
        expect(connect).toMatchObject({
          protocolVersion: version,
          protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
          clientId: 'device-1',
          clean: true,
          keepalive: 77,
          username: 'user',
          password: Buffer.from('secret'),
        });
        expect(connect.properties?.sessionExpiryInterval).toBe(version === 5 ? 3600 : undefined);
      });

      it.each(versions)('sends its will with CONNECT of version %i', async (version) => {
        const will = { topicName: 'w', payload: Buffer.from('gone'), qos: 1, retain: true, delaySeconds: 5 } as const;
        s.connect({ version, will });
        const connect = await (await s.broker.accept()).expect('connect');
        expect(connect.will).toMatchObject({ topic: 'w', payload: Buffer.from('gone'), qos: 1, retain: true });
        expect(connect.will?.properties).toEqual(version === 5 ? { willDelayInterval: 5 } : undefined);
      });

      it('is connected with CONNACK and tells what it says', async () => {
        await s.up({ version: 5, keepAliveSeconds: 60 }, { properties: { receiveMaximum: 7, serverKeepAlive: 30 } });
        expect(s.client.state).toBe('connected');
        expect(s.handler.connections).toEqual([{ sessionPresent: false, receiveMaximum: 7, keepAliveSeconds: 30 }]);
      });

      it('asks for the receive maximum it was given', async () => {
        s.connect({ version: 5, receiveMaximum: 3 });
        const connect = await (await s.broker.accept()).expect('connect');
        expect(connect.properties?.receiveMaximum).toBe(3);
      });

      it.each([
        [3, 4, 'bad user name or password'],
        [4, 5, 'not authorized'],
        [5, 0x87, 'Not authorized'],
        [5, 0x97, 'Quota exceeded'],
      ] as const)('ends with version %i refused by code %i, and its name', async (version, code, text) => {
        s.connect({ version });
        const side = await s.broker.accept();
        await side.expect('connect');
        side.send({ cmd: 'connack', returnCode: code, reasonCode: code, sessionPresent: false });
        await s.handler.until('end refused-by-broker');
        expect(s.handler.ends).toEqual([
          { cause: 'refused-by-broker', reasonCode: code, text: expect.stringContaining(text) as string },
        ]);
        expect(s.client.state).toBe('idle');
        await side.expectClosed();
      });

      it('knows the refusal of a broker that does not speak MQTT 5', async () => {
        s.connect({ version: 5 });
        const side = await s.broker.accept();
        await side.expect('connect');
        side.sendBytes(0x20, 2, 0, 1);
        await s.handler.until('end refused-by-broker');
        expect(s.handler.ends[0]).toMatchObject({
          reasonCode: 1,
          text: expect.stringContaining('unacceptable protocol version') as string,
        });
      });

      it('ends when nobody listens', async () => {
        const { endpoint } = s.broker;
        await s.broker.stop();
        cleanUps.length = 0;
        s.client.connect(endpoint, goodPath, optionsOf());
        await s.handler.until('end refused');
        expect(s.client.state).toBe('idle');
      });

      it('ends when CONNACK does not come in 30 s', async () => {
        s.connect();
        const side = await s.broker.accept();
        await side.expect('connect');
        s.timers.advance(29_999);
        expect(s.handler.ends).toEqual([]);
        s.timers.advance(1);
        expect(s.handler.ends).toEqual([{ cause: 'timeout', text: 'no CONNACK within 30 s' }]);
        await side.expectClosed();
      });

      it('connects again after the end of a connection', async () => {
        await s.lose(await s.up());
        expect(s.client.state).toBe('idle');
        await s.up();
        expect(s.handler.events).toEqual(['connected', expect.stringMatching(/^end (peer|error)$/), 'connected']);
      });

      it('may connect again from within onEnd', async () => {
        for (const event of ['end peer', 'end error']) s.handler.reactions.set(event, () => s.connect());
        await s.lose(await s.up());
        await (await s.broker.accept()).welcome();
        await s.handler.until('connected', 2);
      });
    });

    describe('publishing', () => {
      it.each(versions)('sends QoS 0 with version %i once, and is done', async (version) => {
        const side = await s.up({ version });
        s.handler.take();
        expect(s.client.publish(message(1, 0, { retain: true }))).toBe(true);
        const publish = await side.expect('publish');
        expect(publish).toMatchObject({ topic: 't/1', payload: Buffer.from('payload 1'), qos: 0, retain: true });
        expect(s.handler.take()).toEqual(['sent 1', 'completed 1']);
      });

      it('does not take QoS 0 without a connection', async () => {
        expect(s.client.publish(message(1, 0))).toBe(false);
        s.connect();
        expect(s.client.publish(message(2, 0))).toBe(false);
        expect(s.handler.events).toEqual([]);
      });

      it.each(versions)('sends QoS 1 with version %i until PUBACK', async (version) => {
        const side = await s.up({ version });
        s.handler.take();
        s.client.publish(message(1, 1));
        const { messageId = 0, dup } = await side.expect('publish');
        expect(messageId).toBeGreaterThan(0);
        expect(dup).toBe(false);
        expect(s.handler.take()).toEqual(['sent 1']);
        expect(s.client.inFlight).toBe(1);
        side.send({ cmd: 'puback', messageId, reasonCode: 0 });
        await s.handler.until('completed 1');
        expect(s.handler.take()).toEqual(['acknowledged 1 0', 'completed 1']);
        expect(s.client.inFlight).toBe(0);
      });

      it.each(versions)('sends QoS 2 with version %i in four steps', async (version) => {
        const side = await s.up({ version });
        s.handler.take();
        s.client.publish(message(1, 2));
        const { messageId = 0 } = await side.expect('publish');
        side.send({ cmd: 'pubrec', messageId, reasonCode: 0 });
        expect((await side.expect('pubrel')).messageId).toBe(messageId);
        expect(s.handler.take()).toEqual(['sent 1', 'acknowledged 1 0']);
        side.send({ cmd: 'pubcomp', messageId, reasonCode: 0 });
        await s.handler.until('completed 1');
        expect(s.handler.take()).toEqual(['completed 1']);
      });

      it.each([
        [1, 'puback', 0x87],
        [2, 'pubrec', 0x97],
      ] as const)('is done with QoS %i when %s refuses it', async (qos, cmd, reasonCode) => {
        const side = await s.up({ version: 5 });
        s.handler.take();
        s.client.publish(message(1, qos));
        const { messageId = 0 } = await side.expect('publish');
        side.send({ cmd, messageId, reasonCode });
        await s.handler.until('completed 1');
        expect(s.handler.take()).toEqual(['sent 1', `acknowledged 1 ${reasonCode}`, 'completed 1']);
        expect(s.client.inFlight).toBe(0);
      });

      it('takes a PUBACK that nobody subscribed (0x10) as acceptance', async () => {
        const side = await s.up({ version: 5 });
        s.client.publish(message(1, 1));
        const { messageId = 0 } = await side.expect('publish');
        side.send({ cmd: 'puback', messageId, reasonCode: 0x10 });
        await s.handler.until('acknowledged 1 16');
        await s.handler.until('completed 1');
      });

      it('sends large payloads whole', async () => {
        const side = await s.up();
        const payload = Buffer.alloc(300_000, 'large ');
        s.client.publish(message(1, 0, { payload }));
        s.client.publish(message(2, 1, { payload }));
        expect((await side.expect('publish')).payload).toEqual(payload);
        expect((await side.expect('publish')).payload).toEqual(payload);
      });

      it('sends properties with version 5, and leaves them out below', async () => {
        const properties = {
          contentType: 'application/json',
          responseTopic: 'answers/1',
          correlationData: Buffer.from([1, 2, 3]),
          messageExpiryInterval: 60,
          userProperties: { a: 'b' },
        };
        const five = await s.up({ version: 5 });
        s.client.publish(message(1, 1, { properties }));
        const publish = await five.expect('publish');
        expect(publish.properties).toEqual({ ...properties, userProperties: expect.anything() as unknown });
        expect({ ...publish.properties?.userProperties }).toEqual({ a: 'b' });
        await s.lose(five);
        const four = await s.up({ version: 4, cleanStart: true });
        s.client.publish(message(2, 0, { properties }));
        expect(await four.expect('publish')).toMatchObject({ topic: 't/2', payload: Buffer.from('payload 2') });
      });

      it('sends what is published without a connection when there is one, in order', async () => {
        expect(s.client.publish(message(1, 1))).toBe(true);
        expect(s.client.publish(message(2, 2))).toBe(true);
        expect(s.client.inFlight).toBe(2);
        const side = await s.up();
        expect((await side.expect('publish')).topic).toBe('t/1');
        expect((await side.expect('publish')).topic).toBe('t/2');
        expect(s.handler.events).toEqual(['connected', 'sent 1', 'sent 2']);
      });

      it('sends what is published from within onConnected after that', async () => {
        s.handler.reactions.set('connected', () => {
          s.client.publish(message(2, 0));
          s.client.publish(message(3, 1));
        });
        s.client.publish(message(1, 1));
        const side = await s.up();
        for (const topic of ['t/1', 't/2', 't/3']) expect((await side.expect('publish')).topic).toBe(topic);
      });
    });

    describe('the window', () => {
      it('of one lets each message wait for the one before', async () => {
        const one = await stage(1);
        const side = await one.up();
        one.handler.take();
        one.client.publish(message(1, 1));
        one.client.publish(message(2, 2));
        one.client.publish(message(3, 1));
        one.client.publish(message(4, 0));
        const first = await side.expect('publish');
        // QoS 0 does not wait for it.
        expect((await side.expect('publish')).topic).toBe('t/4');
        expect(one.handler.take()).toEqual(['sent 1', 'sent 4', 'completed 4']);
        expect(one.client.inFlight).toBe(3);
        side.send({ cmd: 'puback', messageId: first.messageId ?? 0 });
        const second = await side.expect('publish');
        expect(second.topic).toBe('t/2');
        side.send({ cmd: 'pubrec', messageId: second.messageId ?? 0 });
        await side.expect('pubrel');
        // PUBREC frees nothing: the next packet is the PUBLISH that PUBCOMP lets go.
        expect(one.handler.take()).toEqual(['acknowledged 1 0', 'completed 1', 'sent 2', 'acknowledged 2 0']);
        side.send({ cmd: 'pubcomp', messageId: second.messageId ?? 0 });
        expect((await side.expect('publish')).topic).toBe('t/3');
      });

      it('is no larger than the receive maximum of the server', async () => {
        const side = await s.up({ version: 5 }, { properties: { receiveMaximum: 2 } });
        for (const token of [1, 2, 3]) s.client.publish(message(token, 1));
        const first = await side.expect('publish');
        await side.expect('publish');
        s.client.publish(message(4, 0));
        expect((await side.expect('publish')).topic).toBe('t/4');
        side.send({ cmd: 'puback', messageId: first.messageId ?? 0, reasonCode: 0 });
        expect((await side.expect('publish')).topic).toBe('t/3');
      });

      it('applies to what is sent again', async () => {
        const side = await s.up({ version: 5 });
        for (const token of [1, 2, 3]) s.client.publish(message(token, 1));
        for (const _ of [1, 2, 3]) await side.expect('publish');
        await s.lose(side);
        const next = await s.up({ version: 5 }, { sessionPresent: true, properties: { receiveMaximum: 1 } });
        for (const topic of ['t/1', 't/2', 't/3']) {
          const again = await next.expect('publish');
          expect(again).toMatchObject({ topic, dup: true });
          expect(next.queued).toBe(0);
          next.send({ cmd: 'puback', messageId: again.messageId ?? 0, reasonCode: 0 });
        }
      });
    });

    describe('a session that goes on', () => {
      it.each(versions)('sends QoS 1 and 2 of version %i again with DUP, as far as they were', async (version) => {
        const side = await s.up({ version });
        s.client.publish(message(1, 1));
        s.client.publish(message(2, 2));
        s.client.publish(message(3, 2));
        s.client.publish(message(4, 1));
        const ids: number[] = [];
        for (const _ of [1, 2, 3, 4]) ids.push((await side.expect('publish')).messageId ?? 0);
        side.send({ cmd: 'pubrec', messageId: ids[1] as number, reasonCode: 0 });
        await side.expect('pubrel');
        await s.lose(side);
        s.client.publish(message(5, 1));
        s.handler.take();

        const next = await s.up({ version }, { sessionPresent: version > 3 });
        const seen: string[] = [];
        // Four that were sent before, the PUBREL of the third, and the fifth.
        for (let count = 0; count < 6; count++) {
          const packet = await next.expectAny();
          const { messageId = 0 } = packet;
          seen.push(`${packet.cmd} ${messageId} ${packet.cmd === 'publish' && packet.dup}`);
          const answer = packet.cmd === 'pubrel' ? 'pubcomp' : messageId === ids[2] ? 'pubrec' : 'puback';
          next.send({ cmd: answer, messageId, reasonCode: 0 });
        }
        const again = seen.filter((text) => text.startsWith(`pubrel ${ids[1]}`) || text.endsWith('true'));
        expect(again).toEqual([
          `publish ${ids[0]} true`,
          `pubrel ${ids[1]} false`,
          `publish ${ids[2]} true`,
          `publish ${ids[3]} true`,
        ]);
        for (const token of [1, 2, 3, 4, 5]) await s.handler.until(`completed ${token}`);
        const { events } = s.handler;
        expect(events[0]).toBe('connected present');
        expect(events.filter((event) => event.startsWith('sent'))).toEqual(['sent 5']);
        expect(events.filter((event) => event === 'acknowledged 2 0')).toEqual([]);
        expect(events).toContain('completed 2');
        expect(events).toContain('acknowledged 1 0');
      });

      it('tells an acknowledgement once, although the message was sent twice', async () => {
        const side = await s.up();
        s.client.publish(message(1, 1));
        await side.expect('publish');
        await s.lose(side);
        const next = await s.up({}, { sessionPresent: true });
        const { messageId = 0 } = await next.expect('publish');
        next.send({ cmd: 'puback', messageId });
        await s.handler.until('completed 1');
        expect(s.handler.events.filter((event) => /^(sent|acknowledged|completed) /.test(event))).toEqual([
          'sent 1',
          'acknowledged 1 0',
          'completed 1',
        ]);
      });
    });

    describe('a session that is lost', () => {
      it.each(tellingVersions)('abandons in version %i what was sent, and sends what was not', async (version) => {
        const one = await stage(3);
        const side = await one.up({ version });
        for (const [token, qos] of [
          [1, 1],
          [2, 2],
          [3, 2],
          [4, 1],
        ] as const)
          one.client.publish(message(token, qos));
        await side.expect('publish');
        await side.expect('publish');
        const { messageId = 0 } = await side.expect('publish');
        side.send({ cmd: 'pubrec', messageId, reasonCode: 0 });
        await side.expect('pubrel');
        await one.lose(side);
        one.handler.take();
        const next = await one.up({ version }, { sessionPresent: false });
        expect(await next.expect('publish')).toMatchObject({ topic: 't/4', dup: false });
        expect(one.handler.take()).toEqual(['connected', 'abandoned 1', 'abandoned 2', 'completed 3', 'sent 4']);
        expect(one.client.inFlight).toBe(1);
      });

      it.each(versions)('is so with Clean Start of version %i', async (version) => {
        const side = await s.up({ version });
        s.client.publish(message(1, 1));
        await side.expect('publish');
        await s.lose(side);
        s.handler.take();
        const next = await s.up({ version, cleanStart: true });
        s.client.publish(message(2, 0));
        expect((await next.expect('publish')).topic).toBe('t/2');
        expect(s.handler.take()).toEqual(['connected', 'abandoned 1', 'sent 2', 'completed 2']);
      });

      it('abandons after Clean Start even if the broker says that the session is present', async () => {
        const side = await s.up();
        s.client.publish(message(1, 1));
        await side.expect('publish');
        await s.lose(side);
        await s.up({ cleanStart: true }, { sessionPresent: true });
        await s.handler.until('abandoned 1');
        expect(s.handler.connections[1]?.sessionPresent).toBe(true);
      });

      it('is so when the client forgets it', async () => {
        const one = await stage(1);
        const side = await one.up();
        one.client.publish(message(1, 2));
        one.client.publish(message(2, 1));
        await side.expect('publish');
        expect(() => one.client.forget()).toThrow('forget while');
        await one.lose(side);
        one.handler.take();
        one.client.forget();
        expect(one.handler.take()).toEqual(['abandoned 1', 'abandoned 2']);
        expect(one.client.inFlight).toBe(0);
        const next = await one.up({}, { sessionPresent: true });
        one.client.publish(message(3, 0));
        expect((await next.expect('publish')).topic).toBe('t/3');
      });
    });

    describe('receiving', () => {
      const publishOf = (text: string, qos: QoS, messageId?: number, dup = false) =>
        ({
          cmd: 'publish',
          topic: `r/${text}`,
          payload: text,
          qos,
          retain: false,
          dup,
          ...(messageId !== undefined && { messageId }),
        }) as const;

      it.each(versions)('tells messages of each QoS with version %i and acknowledges them', async (version) => {
        const side = await s.up({ version });
        s.handler.take();
        side.send({ ...publishOf('zero', 0), retain: true }, publishOf('one', 1, 7), publishOf('two', 2, 8));
        expect((await side.expect('puback')).messageId).toBe(7);
        expect((await side.expect('pubrec')).messageId).toBe(8);
        side.send({ cmd: 'pubrel', messageId: 8, reasonCode: 0 });
        expect((await side.expect('pubcomp')).messageId).toBe(8);
        expect(s.handler.take()).toEqual(['message zero', 'message one', 'message two']);
        expect(s.handler.messages[0]).toMatchObject({ topicName: 'r/zero', qos: 0, retain: true, dup: false });
        expect(s.handler.messages[2]).toMatchObject({ topicName: 'r/two', qos: 2, retain: false, dup: false });
      });

      it('tells DUP of QoS 1', async () => {
        const side = await s.up();
        side.send(publishOf('one', 1, 7, true));
        await side.expect('puback');
        expect(s.handler.messages[0]?.dup).toBe(true);
      });

      it('tells a QoS 2 message once that is repeated before PUBREL, and a new one with its id after', async () => {
        const side = await s.up();
        side.send(publishOf('two', 2, 8), publishOf('two', 2, 8, true));
        await side.expect('pubrec');
        await side.expect('pubrec');
        side.send({ cmd: 'pubrel', messageId: 8 });
        await side.expect('pubcomp');
        side.send(publishOf('new', 2, 8));
        await side.expect('pubrec');
        side.send({ cmd: 'pubrel', messageId: 8 });
        await side.expect('pubcomp');
        expect(s.handler.messages.map(({ text }) => text)).toEqual(['two', 'new']);
      });

      it.each(versions)('keeps ids of QoS 2 over connections of a session of version %i', async (version) => {
        const side = await s.up({ version });
        side.send(publishOf('two', 2, 8));
        await side.expect('pubrec');
        await s.lose(side);
        const next = await s.up({ version }, { sessionPresent: version > 3 });
        next.send(publishOf('two', 2, 8, true));
        await next.expect('pubrec');
        next.send({ cmd: 'pubrel', messageId: 8, reasonCode: 0 });
        await next.expect('pubcomp');
        await s.lose(next);
        const last = await s.up({ version }, { sessionPresent: version > 3 });
        // The PUBCOMP got lost: PUBREL comes again.
        last.send({ cmd: 'pubrel', messageId: 8, reasonCode: 0 });
        expect((await last.expect('pubcomp')).messageId).toBe(8);
        expect(s.handler.messages.map(({ text }) => text)).toEqual(['two']);
      });

      it('forgets ids of QoS 2 with the session', async () => {
        const side = await s.up();
        side.send(publishOf('old', 2, 8));
        await side.expect('pubrec');
        await s.lose(side);
        const next = await s.up({}, { sessionPresent: false });
        next.send(publishOf('new', 2, 8));
        await next.expect('pubrec');
        next.send({ cmd: 'pubrel', messageId: 8 });
        await next.expect('pubcomp');
        expect(s.handler.messages.at(-1)?.text).toBe('new');
      });

      it('tells properties of version 5', async () => {
        const side = await s.up({ version: 5 });
        const properties = {
          messageExpiryInterval: 9,
          contentType: 'text/plain',
          responseTopic: 'answer/here',
          correlationData: Buffer.from('id'),
          userProperties: { x: 'y' },
        };
        side.send({ ...publishOf('with', 1, 1), properties });
        await side.expect('puback');
        const [kept] = s.handler.messages;
        expect({ ...kept?.properties, userProperties: { ...kept?.properties?.userProperties } }).toEqual(properties);
      });

      it('tells messages that come in pieces', async () => {
        const side = await s.up();
        const text = 'long '.repeat(40_000);
        side.send(publishOf(text.slice(0, 9), 0), {
          cmd: 'publish',
          topic: 'r/long',
          payload: text,
          qos: 1,
          retain: false,
          dup: false,
          messageId: 5,
        });
        await side.expect('puback');
        expect(s.handler.messages[1]?.text).toBe(text);
      });

      it.each(['crash', 'disconnect'] as const)(
        'settles nothing more that came with a message that made it %s',
        async (end) => {
          const side = await s.up();
          side.send(publishOf('two', 2, 8));
          await side.expect('pubrec');
          s.client.publish(message(1, 1));
          const { messageId = 0 } = await side.expect('publish');
          s.handler.reactions.set('message one', () => s.client[end]());
          side.send(publishOf('one', 1, 7), { cmd: 'pubrel', messageId: 8 }, { cmd: 'puback', messageId });
          await s.handler.until(end === 'crash' ? 'end destroyed' : 'end ended');
          const next = await s.up({}, { sessionPresent: true });
          expect(await next.expect('publish')).toMatchObject({ messageId, dup: true });
          next.send({ cmd: 'pubrel', messageId: 8 });
          await next.expect('pubcomp');
          expect(s.handler.messages.map(({ text }) => text).toSorted()).toEqual(['one', 'two']);
        },
      );

      it('tells a QoS 2 message once when the device goes down over it', async () => {
        const side = await s.up();
        s.handler.reactions.set('message two', () => s.client.crash());
        side.send(publishOf('two', 2, 8), { cmd: 'pubrel', messageId: 8 });
        await s.handler.until('end destroyed');
        const next = await s.up({}, { sessionPresent: true });
        next.send({ cmd: 'pubrel', messageId: 8 });
        await next.expect('pubcomp');
        expect(s.handler.messages.map(({ text }) => text)).toEqual(['two']);
      });

      it('acknowledges nothing more when the device goes down over a message', async () => {
        const side = await s.up();
        s.handler.reactions.set('message one', () => s.client.crash());
        side.send(publishOf('one', 1, 7), publishOf('after', 1, 8));
        await side.expectClosed();
        expect(s.handler.messages.map(({ text }) => text)).toEqual(['one']);
        expect(s.handler.events.at(-1)).toBe('end destroyed');
      });
    });

    describe('subscribing', () => {
      it.each(versions)('asks with version %i and tells the answer', async (version) => {
        const side = await s.up({ version });
        s.handler.take();
        s.client.subscribe([
          { topicFilter: 'a/#', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
          { topicFilter: 'b', qos: 2 },
        ]);
        const { messageId = 0, subscriptions } = await side.expect('subscribe');
        const five = version === 5;
        expect(subscriptions).toEqual([
          { topic: 'a/#', qos: 1, ...(five && { nl: true, rap: true, rh: 2 }) },
          { topic: 'b', qos: 2, ...(five && { nl: false, rap: false, rh: 0 }) },
        ]);
        side.send({ cmd: 'suback', messageId, granted: [1, 0x80] });
        await s.handler.until('subscribed a/# b 1 128');
        s.client.unsubscribe(['a/#', 'b']);
        const unsubscribe = await side.expect('unsubscribe');
        expect(unsubscribe.unsubscriptions).toEqual(['a/#', 'b']);
        side.send({ cmd: 'unsuback', messageId: unsubscribe.messageId ?? 0, granted: five ? [0, 0x11] : [] });
        await s.handler.until(`unsubscribed a/# b 0 ${five ? 17 : 0}`);
      });

      it('may be done from within onConnected', async () => {
        s.handler.reactions.set('connected', () => s.client.subscribe([{ topicFilter: 'x', qos: 0 }]));
        const side = await s.up();
        expect((await side.expect('subscribe')).subscriptions[0]?.topic).toBe('x');
      });

      it('is not asked for again on the next connection', async () => {
        const side = await s.up();
        s.client.subscribe([{ topicFilter: 'x', qos: 0 }]);
        await side.expect('subscribe');
        await s.lose(side);
        const next = await s.up();
        s.client.publish(message(1, 0));
        await next.expect('publish');
      });
    });

    describe('ending', () => {
      it.each(versions)('says DISCONNECT with version %i and closes', async (version) => {
        const side = await s.up({ version });
        s.client.publish(message(1, 0));
        s.client.disconnect();
        expect(s.client.state).toBe('closing');
        expect(s.client.publish(message(2, 0))).toBe(false);
        await side.expect('publish');
        await side.expect('disconnect');
        await side.expectClosed();
        await s.handler.until('end ended');
        expect(s.client.state).toBe('idle');
      });

      it('says with MQTT 5 how long the session shall live, or that the will shall come', async () => {
        const side = await s.up({ version: 5 });
        s.client.disconnect({ sessionExpirySeconds: 17 });
        expect(await side.expect('disconnect')).toMatchObject({
          reasonCode: 0,
          properties: { sessionExpiryInterval: 17 },
        });
        await s.handler.until('end ended');
        const next = await s.up({ version: 5 });
        s.client.disconnect({ withWill: true });
        expect(await next.expect('disconnect')).toMatchObject({ reasonCode: 4 });
      });

      it('keeps what is not acknowledged when it disconnects', async () => {
        const side = await s.up();
        s.client.publish(message(1, 1));
        await side.expect('publish');
        s.client.disconnect();
        await side.expect('disconnect');
        await s.handler.until('end ended');
        const next = await s.up({}, { sessionPresent: true });
        expect(await next.expect('publish')).toMatchObject({ topic: 't/1', dup: true });
      });

      it('crashes without DISCONNECT, and has told it by then', async () => {
        const side = await s.up();
        s.client.crash();
        expect(s.handler.events.at(-1)).toBe('end destroyed');
        expect(s.client.state).toBe('idle');
        await side.expectClosed();
      });

      it('does nothing when there is nothing to end', () => {
        s.client.crash();
        s.client.disconnect();
        s.client.freeze(10);
        expect(s.handler.events).toEqual([]);
      });

      it('freezes without a word to either side', async () => {
        const side = await s.up();
        s.client.publish(message(1, 1));
        await side.expect('publish');
        s.handler.take();
        s.client.freeze(1000);
        expect(s.client.state).toBe('idle');
        side.send({ cmd: 'puback', messageId: 1 });
        const next = await s.up({}, { sessionPresent: true });
        expect(await next.expect('publish')).toMatchObject({ topic: 't/1', dup: true });
        s.timers.advance(1000);
        await side.expectClosed();
        expect(s.handler.take()).toEqual(['connected present']);
      });

      it('tells why the broker disconnected it', async () => {
        const side = await s.up({ version: 5 });
        side.send({ cmd: 'disconnect', reasonCode: 0x8e, properties: { reasonString: 'it is back' } });
        await s.handler.until('end disconnected-by-broker');
        expect(s.handler.ends[0]).toMatchObject({
          reasonCode: 0x8e,
          text: expect.stringMatching(/Session taken over.*it is back/) as string,
        });
      });
    });

    describe('keep alive', () => {
      it('pings while nothing else is sent, and goes on as long as there are answers', async () => {
        const side = await s.up({ keepAliveSeconds: 10 });
        for (let count = 0; count < 3; count++) {
          s.timers.advance(10_000);
          await side.expect('pingreq');
          side.send({ cmd: 'pingresp' }, publishAt(count));
          await s.handler.until(`message ${count}`);
        }
        expect(s.client.state).toBe('connected');
      });

      it('ends when nothing is heard after a ping', async () => {
        const side = await s.up({ keepAliveSeconds: 10 });
        s.timers.advance(10_000);
        await side.expect('pingreq');
        s.timers.advance(20_000);
        await s.handler.until('end timeout');
        expect(s.client.state).toBe('idle');
      });

      it('does not ping when it is off', async () => {
        const side = await s.up({ keepAliveSeconds: 0 });
        s.timers.advance(1e9);
        s.client.publish(message(1, 0));
        await side.expect('publish');
      });

      it('leaves no timer behind', async () => {
        await s.lose(await s.up({ keepAliveSeconds: 10 }));
        expect(s.timers.pending).toBe(0);
      });

      const publishAt = (count: number) =>
        ({ cmd: 'publish', topic: 'x', payload: `${count}`, qos: 0, retain: false, dup: false }) as const;
    });

    describe('a broker that breaks the protocol', () => {
      it.each<[string, readonly number[]]>([
        ['PUBACK of nothing', [0x40, 2, 0, 99]],
        ['PUBREC of nothing', [0x50, 2, 0, 99]],
        ['PUBCOMP of nothing', [0x70, 2, 0, 99]],
        ['SUBACK of nothing', [0x90, 3, 0, 99, 0]],
        ['UNSUBACK of nothing', [0xb0, 2, 0, 99]],
        ['a second CONNACK', [0x20, 2, 0, 0]],
        ['PUBLISH with QoS 3', [0x36, 6, 0, 1, 0x61, 0, 1, 0]],
        ['PUBLISH with packet id 0', [0x32, 5, 0, 1, 0x61, 0, 0]],
        ['DISCONNECT below MQTT 5', [0xe0, 0]],
        ['a packet of clients', [0x82, 6, 0, 1, 0, 1, 0x61, 0]],
        ['a length without end', [0x30, 0xff, 0xff, 0xff, 0xff, 0x01]],
      ])('is left after %s', async (_what, bytes) => {
        const side = await s.up();
        side.sendBytes(...bytes);
        await s.handler.until('end malformed');
        expect(s.handler.ends[0]?.text).toMatch(/^the broker sent /);
        await side.expectClosed();
      });

      it.each([
        [1, 'pubrec'],
        [1, 'pubcomp'],
        [2, 'puback'],
        [2, 'pubcomp'],
      ] as const)('is left when it answers QoS %i with %s', async (qos, cmd) => {
        const side = await s.up();
        s.client.publish(message(1, qos));
        const { messageId = 0 } = await side.expect('publish');
        side.send({ cmd, messageId });
        await s.handler.until('end malformed');
        expect(s.client.inFlight).toBe(1);
      });

      it('is left after a SUBACK with too few codes', async () => {
        const side = await s.up();
        s.client.subscribe([
          { topicFilter: 'a', qos: 0 },
          { topicFilter: 'b', qos: 0 },
        ]);
        const { messageId = 0 } = await side.expect('subscribe');
        side.send({ cmd: 'suback', messageId, granted: [0] });
        await s.handler.until('end malformed');
      });

      it('is left when it begins with anything but CONNACK', async () => {
        s.connect();
        const side = await s.broker.accept();
        await side.expect('connect');
        side.send({ cmd: 'publish', topic: 'a', payload: 'early', qos: 0, retain: false, dup: false });
        await s.handler.until('end malformed');
        expect(s.handler.messages).toEqual([]);
      });
    });
  });
}
