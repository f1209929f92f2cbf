import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Random } from '../../src/lib/random.ts';
import { SystemTimers } from '../../src/lib/timers.ts';
import type { Endpoint } from '../../src/wire/endpoint.ts';
import type { Link } from '../../src/wire/link.ts';
import { Links } from '../../src/wire/links.ts';
import type { NetworkProfile } from '../../src/wire/network-path.ts';
import { DevicePath } from '../../src/wire/paths.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { type Accepted, LoopbackServer } from '../support/loopback-server.ts';
import { RecordingHandler } from '../support/recording-handler.ts';

const transports = ['tcp', 'tls', 'ws', 'wss'] as const;

let certificates: Certificates;
let timers: FakeTimers;
let links: Links;
let server: LoopbackServer;

beforeAll(() => {
  certificates = makeCertificates();
});

beforeEach(() => {
  timers = new FakeTimers();
  links = new Links(timers, new Random(1));
});

afterEach(async () => {
  links.close();
  await server.close();
});

/** A connection with both its ends. */
interface Ends {
  readonly handler: RecordingHandler;
  readonly link: Link;
  readonly accepted: Accepted;
}

interface PathEnds extends Ends {
  readonly path: DevicePath;
}

async function serve(transport: Endpoint['transport']): Promise<void> {
  const tls = transport === 'tls' || transport === 'wss' ? certificates.server : undefined;
  const isWebSocket = transport === 'ws' || transport === 'wss';
  server = isWebSocket ? await LoopbackServer.webSocket('/mqtt', tls) : await LoopbackServer.tcp(tls);
}

function open(
  transport: Endpoint['transport'],
  path: DevicePath,
  handler: RecordingHandler,
  from: Links = links,
): Link {
  const tls = { ca: certificates.ca, verify: true };
  return from.open({ transport, host: '127.0.0.1', port: server.port, path: '/mqtt', tls }, path, handler);
}

async function connect(transport: Endpoint['transport'], profile: NetworkProfile): Promise<PathEnds> {
  await serve(transport);
  const path = new DevicePath(profile, new Random(3));
  const handler = new RecordingHandler();
  const link = open(transport, path, handler);
  await handler.opened;
  return { path, handler, link, accepted: await server.accepted() };
}

/** Bytes that went there and back since: whatever was to arrive before has arrived. */
async function roundTrip({ link, accepted, handler }: Ends): Promise<void> {
  const there = accepted.received().length + 1;
  const back = handler.received.length + 1;
  link.write(Buffer.from('?'));
  await accepted.untilReceived(there);
  accepted.send(Buffer.from('!'));
  await handler.untilReceived(back);
}

describe.each(transports)('a cut over %s', (transport) => {
  it('ends the connection for both sides when its time has come, and not before', async () => {
    const ends = await connect(transport, { cutEverySeconds: 30 });
    const dueAt = ends.path.nextEvent(timers.now())?.at ?? Number.NaN;
    timers.advance(dueAt - timers.now() - 1);
    await roundTrip(ends);
    timers.advance(1);
    expect(await ends.handler.ended).toEqual({ cause: 'cut', text: 'cut by the network' });
    await ends.accepted.closed;
    expect(timers.pending).toBe(0);
    expect(links.lingering).toBe(0);
  });

  it('that nobody is told of leaves both sides in the dark until the socket goes', async () => {
    const ends = await connect(transport, { cutEverySeconds: 30, halfOpen: 1, halfOpenSeconds: 20 });
    const { handler, accepted, link } = ends;
    await roundTrip(ends);
    timers.advance((ends.path.nextEvent(timers.now())?.at ?? Number.NaN) - timers.now());
    const received = accepted.received().length;
    link.write(Buffer.from('lost'));
    accepted.send(Buffer.from('lost'));
    expect(link.bufferedBytes).toBe(0);
    timers.advance(19_999);
    expect(handler.events.filter((event) => event.startsWith('end'))).toEqual([]);
    expect(accepted.socket.closed).toBe(false);
    timers.advance(1);
    expect(await handler.ended).toMatchObject({ cause: 'cut', text: expect.stringContaining('half open') });
    expect((await accepted.closed).length).toBe(received);
    expect(handler.received.length).toBe(1);
  });

  it('that nobody is told of keeps the socket even when the device gives up', async () => {
    const { handler, accepted, link, path } = await connect(transport, { cutEverySeconds: 30, halfOpen: 1 });
    timers.advance((path.nextEvent(timers.now())?.at ?? Number.NaN) - timers.now());
    link.destroy();
    expect(await handler.ended).toMatchObject({ cause: 'destroyed', silent: true });
    expect(links.lingering).toBe(1);
    expect(accepted.socket.closed).toBe(false);
    link.destroy();
    timers.advance(60_000);
    await accepted.closed;
    expect(links.lingering).toBe(0);
    expect(handler.events).toEqual(['open', 'end destroyed']);
  });
});

describe('a cut', () => {
  it('may come before the connection is open', async () => {
    await serve('tcp');
    const handler = new RecordingHandler();
    open('tcp', new DevicePath({ cutEverySeconds: 1 }, new Random(1)), handler);
    timers.advance(100_000);
    expect((await handler.ended).cause).toBe('cut');
    expect(handler.events).toEqual(['end cut']);
  });

  it('comes for networks without a memory as well', async () => {
    await serve('tcp');
    const handler = new RecordingHandler();
    const endpoint: Endpoint = { transport: 'tcp', host: '127.0.0.1', port: server.port, path: '/mqtt' };
    links.open(endpoint, { profile: { cutEverySeconds: 1 }, localAddress: undefined }, handler);
    await handler.opened;
    timers.advance(100_000);
    expect((await handler.ended).cause).toBe('cut');
  });

  it('does not come any more once the networks are healed, on connections old and new', async () => {
    const old = await connect('tcp', { cutEverySeconds: 30, handOverEverySeconds: 40 });
    links.heal();
    timers.advance(1_000_000);
    await roundTrip(old);
    const handler = new RecordingHandler();
    open('tcp', new DevicePath({ cutEverySeconds: 1 }, new Random(1)), handler);
    await handler.opened;
    timers.advance(1_000_000);
    expect([...old.handler.events, ...handler.events].filter((event) => event.startsWith('end'))).toEqual([]);
  });

  it('does not come any more for a connection that was ended or dropped', async () => {
    const { link, handler } = await connect('tcp', { cutEverySeconds: 1 });
    link.destroy();
    expect(timers.pending).toBe(0);
    expect(handler.events).toEqual(['open', 'end destroyed']);
  });
});

describe('a cut at a byte', () => {
  it('lets exactly that many bytes out, be it amid what was written', async () => {
    for (const cutAtByte of [1, 7, 10, 13, 25]) {
      const { link, handler, accepted } = await connect('tcp', { cutAtByte });
      for (const text of ['0123456789', 'abcdefghij', 'ABCDEFGHIJ']) link.write(Buffer.from(text));
      expect(await handler.ended).toEqual({ cause: 'cut', text: `cut by the network after ${cutAtByte} bytes` });
      expect(String(await accepted.closed)).toBe('0123456789abcdefghijABCDEFGHIJ'.slice(0, cutAtByte));
      await server.close();
    }
    await serve('tcp');
  });

  it('lets exactly that many bytes in', async () => {
    const { handler, accepted } = await connect('tcp', { cutAtByte: 12 });
    accepted.send(Buffer.from('0123456789abcdefghij'));
    expect((await handler.ended).cause).toBe('cut');
    expect(String(handler.received)).toBe('0123456789ab');
    expect(handler.events).toEqual(['open', 'bytes 12', 'end cut']);
  });

  it('counts both directions together', async () => {
    const ends = await connect('tcp', { cutAtByte: 10 });
    await roundTrip(ends);
    await roundTrip(ends);
    ends.link.write(Buffer.from('abcdefghij'));
    await ends.handler.ended;
    expect(String(await ends.accepted.closed)).toBe('??abcdef');
  });

  it('carries large amounts up to that byte', async () => {
    const cutAtByte = 5_000_001;
    const { link, accepted } = await connect('tcp', { cutAtByte });
    link.write(Buffer.alloc(8_000_000));
    expect((await accepted.closed).length).toBe(cutAtByte);
  });

  it('may be one that nobody is told of', async () => {
    const { link, handler, accepted } = await connect('tcp', { cutAtByte: 5, halfOpen: 1, halfOpenSeconds: 9 });
    link.write(Buffer.from('0123456789'));
    await accepted.untilReceived(5);
    while (links.lingering === 0) await new Promise(setImmediate);
    expect(handler.events).toEqual(['open']);
    timers.advance(9000);
    expect((await handler.ended).cause).toBe('cut');
    expect(String(await accepted.closed)).toBe('01234');
  });

  it.each(['tls', 'ws', 'wss'] as const)('counts the handshakes of %s, and cuts amid them', async (transport) => {
    await serve(transport);
    const handler = new RecordingHandler();
    open(transport, new DevicePath({ cutAtByte: 100 }, new Random(1)), handler);
    expect((await handler.ended).cause).toBe('cut');
    expect(handler.events).toEqual(['end cut']);
  });

  it.each(['tls', 'ws', 'wss'] as const)('leaves part of a record or frame behind over %s', async (transport) => {
    const { link, handler, accepted } = await connect(transport, { cutAtByte: 100_000 });
    link.write(Buffer.alloc(1_000_000));
    expect((await handler.ended).cause).toBe('cut');
    expect((await accepted.closed).length).toBeLessThan(100_000);
  });
});

describe.each(transports)('a hand-over over %s', (transport) => {
  it('tells the device and not the broker, and goes on from another address', async () => {
    const ends = await connect(transport, { handOverEverySeconds: 60, halfOpenSeconds: 15 });
    const { handler, accepted, path, link } = ends;
    await roundTrip(ends);
    expect(path.localAddress).toBeUndefined();
    timers.advance((path.nextEvent(timers.now())?.at ?? Number.NaN) - timers.now());
    const { localAddress } = path;
    expect(localAddress).toMatch(/^127\./);
    expect(await handler.ended).toEqual({ cause: 'cut', text: `handed over to ${localAddress}`, silent: true });
    link.destroy();

    const next = new RecordingHandler();
    open(transport, path, next);
    await next.opened;
    expect((await server.accepted()).socket.remoteAddress).toBe(localAddress);
    expect(accepted.socket.closed).toBe(false);
    expect(links.lingering).toBe(1);
    timers.advance(15_000);
    await accepted.closed;
    expect(handler.events).toEqual(['open', 'bytes 1', 'end cut']);
  });
});

describe.each(transports.flatMap((transport) => [{}, { latencyMs: 0 }].map((profile) => ({ transport, profile }))))(
  'freezing over $transport with $profile',
  ({ transport, profile }) => {
    it('lets nothing in or out, tells nobody, and drops the socket in the end', async () => {
      await serve(transport);
      // Latencies have to pass by themselves here; only the factory's own time is moved.
      const real = new SystemTimers();
      const own = new Links(real, new Random(1));
      const handler = new RecordingHandler();
      const link = open(transport, new DevicePath(profile, new Random(1)), handler, own);
      await handler.opened;
      const ends = { link, handler, accepted: await server.accepted() };
      await roundTrip(ends);
      link.write(Buffer.from('written and not sent'));
      link.freeze(50);
      link.write(Buffer.from('not written'));
      ends.accepted.send(Buffer.from('not read'));
      expect(own.lingering).toBe(1);
      expect(String(await ends.accepted.closed)).toBe('?');
      expect(handler.events).toEqual(['open', 'bytes 1']);
      expect(own.lingering).toBe(0);
    });
  },
);

describe('freezing', () => {
  it('keeps the socket for its time, whatever the broker does, and is not ended by dropping the link', async () => {
    const { link, handler, accepted } = await connect('tcp', {});
    link.freeze(1000);
    link.destroy();
    link.end();
    accepted.socket.end();
    // What the broker did has arrived by the time that others have talked.
    const other = new RecordingHandler();
    const otherLink = open('tcp', new DevicePath({}, new Random(1)), other);
    await other.opened;
    const ends = { link: otherLink, handler: other, accepted: await server.accepted() };
    for (let count = 0; count < 5; count++) await roundTrip(ends);
    timers.advance(999);
    expect(links.lingering).toBe(1);
    expect(accepted.socket.closed).toBe(false);
    timers.advance(1);
    expect(links.lingering).toBe(0);
    await accepted.closed;
    expect(handler.events).toEqual(['open']);
  });

  it('holds before the connection is open', async () => {
    await serve('tcp');
    const handler = new RecordingHandler();
    const link = open('tcp', new DevicePath({}, new Random(1)), handler);
    link.write(Buffer.from('never sent'));
    link.freeze(1000);
    const accepted = await server.accepted();
    timers.advance(1000);
    expect(await accepted.closed).toHaveLength(0);
    expect(handler.events).toEqual([]);
  });

  it('ends with the factory', async () => {
    const { link, accepted } = await connect('tcp', {});
    link.freeze(1_000_000);
    links.close();
    await accepted.closed;
    expect(timers.pending).toBe(0);
  });
});

describe('latency', () => {
  it('holds bytes back in both directions, and the handshake for a round trip', async () => {
    await serve('tcp');
    const handler = new RecordingHandler();
    const link = open('tcp', new DevicePath({ latencyMs: 100 }, new Random(1)), handler);
    const accepted = await server.accepted();
    while (timers.pending === 0) await new Promise(setImmediate);
    timers.advance(199);
    expect(handler.events).toEqual([]);
    timers.advance(1);
    expect(handler.events).toEqual(['open']);
    link.write(Buffer.from('there'));
    while (timers.pending === 0) await new Promise(setImmediate);
    timers.advance(99);
    expect(link.bufferedBytes).toBe(5);
    timers.advance(1);
    expect(String(await accepted.untilReceived(5))).toBe('there');
    accepted.send(Buffer.from('back'));
    while (timers.pending === 0) await new Promise(setImmediate);
    timers.advance(99);
    expect(handler.received).toHaveLength(0);
    timers.advance(1);
    expect(String(handler.received)).toBe('back');
    link.destroy();
  });
});

describe('a slow reader', () => {
  it.each(transports)('takes no more than its rate over %s, so that the broker cannot send on', async (transport) => {
    await serve(transport);
    const path = new DevicePath({ readRate: 10_000 }, new Random(1));
    const handler = new RecordingHandler();
    const link = open(transport, path, handler);
    await readSlowly(handler.opened);
    const accepted = await server.accepted();
    for (let count = 0; count < 1000; count++) await moveOn(); // what it does not read now it may not read later
    const before = timers.now();
    const bytes = Buffer.alloc(4096, 1);
    for (let count = 0; count < 8192; count++) accepted.send(bytes);
    while (handler.received.length < 20_000) await moveOn();
    const seconds = (timers.now() - before) / 1000;
    expect(handler.received.length / seconds).toBeLessThanOrEqual(10_000 * 1.06);
    // What the system takes in on its own is a few MB; the rest waits at the broker.
    expect(accepted.socket.writableLength).toBeGreaterThan(8 << 20);
    link.destroy();
  });
});

/** Lets sockets work, then the clock by a little. */
async function moveOn(): Promise<void> {
  await new Promise(setImmediate);
  timers.advance(5);
}

/** Moves the clock on until the promise is kept. */
async function readSlowly(promise: Promise<void>): Promise<void> {
  let isKept = false;
  void promise.then(() => {
    isKept = true;
  });
  while (!isKept) await moveOn();
}
