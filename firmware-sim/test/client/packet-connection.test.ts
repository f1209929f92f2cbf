import { generate } from 'mqtt-packet';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Client, ConnectOptions } from '../../src/client/client.ts';
import { PacketClients } from '../../src/client/packet-client.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';
import { FakeLinks } from './fake-links.ts';
import { RecordingClientHandler } from './recording-client-handler.ts';

const nowhere = { transport: 'tcp', host: 'nowhere', port: 1, path: '/mqtt' } as const;
const pingreq = 'c000';
const pingresp = Buffer.from([0xd0, 0]);

describe('PacketConnection', () => {
  let timers: FakeTimers;
  let links: FakeLinks;
  let handler: RecordingClientHandler;
  let client: Client;

  beforeEach(() => {
    timers = new FakeTimers();
    links = new FakeLinks();
    handler = new RecordingClientHandler();
    client = new PacketClients(timers, links).create(handler, { window: 10 });
  });

  function open(options: Partial<ConnectOptions> = {}): void {
    client.connect(
      nowhere,
      { profile: {}, localAddress: undefined },
      {
        clientId: 'x',
        version: 4,
        cleanStart: false,
        sessionExpirySeconds: 60,
        keepAliveSeconds: 0,
        ...options,
      },
    );
    links.last.handler.onOpen();
  }

  function up(options: Partial<ConnectOptions> = {}, sessionPresent = false): void {
    open(options);
    const { version = 4 } = options;
    read(generate({ cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent }, { protocolVersion: version }));
    links.last.take();
    handler.take();
  }

  function read(...chunks: readonly Buffer[]): void {
    links.last.handler.onBytes(Buffer.concat(chunks));
  }

  const publish = (messageId: number, qos: 1 | 2): Buffer =>
    generate({ cmd: 'publish', topic: 't', payload: `${messageId}`, qos, messageId, dup: false, retain: false });

  it('writes nothing before the link is open', () => {
    client.connect(
      nowhere,
      { profile: {}, localAddress: undefined },
      {
        clientId: 'x',
        version: 4,
        cleanStart: true,
        sessionExpirySeconds: 0,
        keepAliveSeconds: 0,
      },
    );
    expect(links.last.writes).toEqual([]);
    client.disconnect();
    expect(links.last.calls).toEqual(['destroy']);
    expect(handler.take()).toEqual(['end destroyed']);
  });

  it('acknowledges what it read at once with one write', () => {
    up();
    read(publish(1, 1), publish(2, 2), publish(3, 1));
    expect(links.last.take()).toEqual(['400200015002000240020003']);
  });

  it('acknowledges any number of messages read at once', () => {
    up();
    read(...Array.from({ length: 3000 }, (_, at) => publish(at + 1, 1)));
    const expected = Array.from({ length: 3000 }, (_, at) => `4002${(at + 1).toString(16).padStart(4, '0')}`);
    expect(links.last.take().join('')).toBe(expected.join(''));
  });

  it('acknowledges before DISCONNECT what it was told before', () => {
    up();
    handler.reactions.set('message 2', () => client.disconnect());
    read(publish(1, 1), publish(2, 1), publish(3, 1));
    expect(links.last.take()).toEqual(['40020001', 'e000']);
    expect(links.last.calls).toEqual(['end']);
    expect(handler.take()).toEqual(['message 1', 'message 2']);
  });

  it('reads nothing more behind its DISCONNECT', () => {
    up();
    client.disconnect();
    read(publish(1, 1));
    expect(handler.take()).toEqual([]);
  });

  it.each([
    [4, '70020007'],
    [5, '7003000792'],
  ] as const)('answers a PUBREL of version %i that it does not know', (version, hex) => {
    up({ version });
    read(generate({ cmd: 'pubrel', messageId: 7 }));
    expect(links.last.take()).toEqual([hex]);
  });

  it('forgets ids of QoS 2 when it says Clean Start, whatever the broker thinks', () => {
    up();
    read(publish(1, 2));
    links.last.handler.onEnd({ cause: 'peer', text: '' });
    open({ cleanStart: true });
    links.last.handler.onEnd({ cause: 'peer', text: '' });
    up({}, true);
    read(publish(1, 2));
    expect(handler.take()).toEqual(['message 1']);
  });

  it('tells what the link says of the broker not knowing', () => {
    up();
    links.last.handler.onEnd({ cause: 'cut', text: 'handed over', silent: true });
    expect(handler.ends).toEqual([{ cause: 'cut', text: 'handed over', silent: true }]);
    links.destroyed = { cause: 'destroyed', text: 'dropped', silent: true };
    up();
    client.crash();
    expect(handler.ends[1]).toMatchObject({ cause: 'destroyed', silent: true });
  });

  it('hands a freeze on to the link and hears nothing of it again', () => {
    up();
    client.freeze(55);
    expect(links.last.calls).toEqual(['freeze 55']);
    links.last.handler.onBytes(publish(1, 1));
    links.last.handler.onEnd({ cause: 'peer', text: '' });
    expect(handler.take()).toEqual([]);
  });

  it('gives up on a broker that does not close after DISCONNECT', () => {
    up();
    client.disconnect();
    timers.advance(9_999);
    expect(client.state).toBe('closing');
    timers.advance(1);
    expect(handler.take()).toEqual(['end ended']);
    expect(client.state).toBe('idle');
    expect(timers.pending).toBe(0);
  });

  it('leaves a broker that answers a PINGREQ it did not send', () => {
    up();
    read(pingresp);
    expect(handler.ends[0]).toEqual({ cause: 'malformed', text: 'the broker sent PINGRESP without a PINGREQ' });
  });

  describe('keep alive', () => {
    const stepMs = 100;
    const aliveMs = 10_000;
    const publishQos0 = (): void => {
      const payload = Buffer.from('x');
      client.publish({ topicName: 't', payload, qos: 0, retain: false, token: 1 });
    };
    const fromBroker = Buffer.from([0x30, 3, 0, 1, 0x74]);

    /** Lets time pass; the client writes and hears as it is told, and the longest it wrote nothing is measured. */
    function pass(ms: number, writes: (at: number) => boolean, hears: (at: number) => boolean) {
      let pings = 0;
      let longestMs = 0;
      let quietMs = 0;
      for (let at = 0; at < ms; at += stepMs) {
        timers.advance(stepMs);
        quietMs += stepMs;
        const pinged = links.last.take().filter((hex) => hex === pingreq).length;
        pings += pinged;
        for (let count = 0; count < pinged; count++) read(pingresp);
        if (hears(at)) read(fromBroker);
        longestMs = Math.max(longestMs, quietMs);
        if (writes(at)) publishQos0();
        if (pinged > 0 || links.last.take().length > 0) quietMs = 0;
      }
      return { pings, longestMs };
    }

    it('is never longer than promised without a packet, and not much shorter', () => {
      up({ keepAliveSeconds: aliveMs / 1000 });
      const idle = pass(
        200_000,
        () => false,
        () => false,
      );
      expect(idle.longestMs).toBeLessThanOrEqual(aliveMs);
      expect(idle.pings).toBeLessThanOrEqual(23);
      for (const every of [3_000, 4_600, 9_100, 13_000]) {
        const { longestMs } = pass(
          200_000,
          (at) => at % every === 0,
          () => true,
        );
        expect(longestMs, `a packet every ${every} ms`).toBeLessThanOrEqual(aliveMs);
      }
    });

    it('costs no packet while both sides send', () => {
      up({ keepAliveSeconds: aliveMs / 1000 });
      expect(
        pass(
          100_000,
          () => true,
          () => true,
        ).pings,
      ).toBe(0);
    });

    it('asks a broker that says nothing, however much is sent to it', () => {
      up({ keepAliveSeconds: aliveMs / 1000 });
      expect(
        pass(
          100_000,
          () => true,
          () => false,
        ).pings,
      ).toBeGreaterThan(5);
    });

    it('is lost when a broker is sent to and says nothing', () => {
      up({ keepAliveSeconds: aliveMs / 1000 });
      for (let at = 0; at < 40_000 && client.state === 'connected'; at += stepMs) {
        publishQos0();
        timers.advance(stepMs);
      }
      expect(handler.ends).toEqual([{ cause: 'timeout', text: 'nothing heard for 10 s after PINGREQ' }]);
    });

    it('is not lost over a slow answer while the broker sends something else', () => {
      up({ keepAliveSeconds: aliveMs / 1000 });
      for (let at = 0; at < 100_000; at += stepMs) {
        timers.advance(stepMs);
        read(fromBroker);
      }
      expect(client.state).toBe('connected');
    });
  });
});
