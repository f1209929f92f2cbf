import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/lib/random.ts';
import { SystemTimers } from '../../src/lib/timers.ts';
import type { Endpoint, TlsOptions } from '../../src/wire/endpoint.ts';
import { Links } from '../../src/wire/links.ts';
import type { NetworkProfile } from '../../src/wire/network-path.ts';
import { DevicePath } from '../../src/wire/paths.ts';
import { FakeTimers } from '../fakes/fake-timers.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { LoopbackServer } from '../support/loopback-server.ts';
import { RecordingHandler } from '../support/recording-handler.ts';

const transports = ['tcp', 'tls', 'ws', 'wss'] as const;
type Transport = Endpoint['transport'];

const networks: readonly (readonly [name: string, profile: NetworkProfile])[] = [
  ['a good network', {}],
  ['latency', { latencyMs: [1, 3] }],
  ['little bandwidth', { bandwidth: 1_000_000 }],
  ['a slow reader', { readRate: 2_000_000 }],
  ['everything at once', { latencyMs: 2, bandwidth: 1_000_000, readRate: 2_000_000, cutAtByte: 10_000_000 }],
];

const timers = new SystemTimers();
const links = new Links(timers, new Random(1));
const servers: LoopbackServer[] = [];
let certificates: Certificates;
let trusted: TlsOptions;

beforeAll(() => {
  certificates = makeCertificates();
  trusted = { ca: certificates.ca, verify: true };
});

afterEach(async () => {
  links.close();
  for (const server of servers.splice(0)) await server.close();
});

async function serve(transport: Transport): Promise<LoopbackServer> {
  const tls = transport === 'tls' || transport === 'wss' ? certificates.server : undefined;
  const isWebSocket = transport === 'ws' || transport === 'wss';
  const server = isWebSocket ? await LoopbackServer.webSocket('/mqtt', tls) : await LoopbackServer.tcp(tls);
  servers.push(server);
  return server;
}

function endpointOf(transport: Transport, port: number): Endpoint {
  return { transport, host: '127.0.0.1', port, path: '/mqtt', tls: trusted };
}

function pathOf(profile: NetworkProfile): DevicePath {
  return new DevicePath(profile, new Random(3));
}

const combinations = transports.flatMap((transport) =>
  networks.map(([name, profile]) => ({ transport, name, profile })),
);

describe.each(combinations)('a link over $transport with $name', ({ transport, profile }) => {
  it('carries bytes in both directions, unchanged, and ends in order', async () => {
    const server = await serve(transport);
    const handler = new RecordingHandler();
    const link = links.open(endpointOf(transport, server.port), pathOf(profile), handler);
    const random = new Random(2);
    const sent = Array.from({ length: 40 }, () => Buffer.alloc(random.below(4000), random.below(256)));
    link.write(sent[0] as Buffer); // before it is open
    expect(handler.events).toEqual([]);
    await handler.opened;
    for (const chunk of sent.slice(1)) link.write(chunk);
    expect(link.bufferedBytes).toBeGreaterThan(0);
    const all = Buffer.concat(sent);
    const accepted = await server.accepted();
    expect((await accepted.untilReceived(all.length)).equals(all)).toBe(true);
    accepted.send(all);
    expect((await handler.untilReceived(all.length)).equals(all)).toBe(true);
    expect(link.bufferedBytes).toBe(0);

    link.write(Buffer.from('last words'));
    link.end();
    expect(await handler.ended).toEqual({ cause: 'ended', text: 'ended by the device' });
    expect((await accepted.closed).subarray(all.length).toString()).toBe('last words');
    expect(handler.events.filter((event) => !event.startsWith('bytes'))).toEqual(['open', 'end ended']);
  });

  it('tells that the broker closed, behind the last bytes', async () => {
    const server = await serve(transport);
    const handler = new RecordingHandler();
    links.open(endpointOf(transport, server.port), pathOf(profile), handler);
    const accepted = await server.accepted();
    await handler.opened;
    accepted.send(Buffer.alloc(3000, 7));
    accepted.close();
    expect((await handler.ended).cause).toBe('peer');
    expect(handler.received.length).toBe(3000);
  });

  it('drops the connection at once, and tells it before destroy() returns', async () => {
    const server = await serve(transport);
    const handler = new RecordingHandler();
    const link = links.open(endpointOf(transport, server.port), pathOf(profile), handler);
    await handler.opened;
    const accepted = await server.accepted();
    link.destroy();
    expect(handler.events).toEqual(['open', 'end destroyed']);
    link.write(Buffer.from('too late'));
    link.destroy();
    link.end();
    expect(await accepted.closed).toHaveLength(0);
    expect(handler.events).toEqual(['open', 'end destroyed']);
  });

  it('can be dropped before it is open', async () => {
    const server = await serve(transport);
    const handler = new RecordingHandler();
    links.open(endpointOf(transport, server.port), pathOf(profile), handler).destroy();
    expect(handler.events).toEqual(['end destroyed']);
    const next = new RecordingHandler();
    links.open(endpointOf(transport, server.port), pathOf(profile), next).end();
    expect(next.events).toEqual(['end ended']);
  });

  it('says that nobody listens', async () => {
    const server = await LoopbackServer.tcp();
    const { port } = server;
    await server.close();
    const handler = new RecordingHandler();
    links.open(endpointOf(transport, port), pathOf(profile), handler);
    expect(await handler.ended).toEqual({ cause: 'refused', text: `connect ECONNREFUSED 127.0.0.1:${port}` });
    expect(handler.events).toEqual(['end refused']);
  });

  it('survives a reset', async () => {
    const server = await serve(transport);
    const handler = new RecordingHandler();
    const link = links.open(endpointOf(transport, server.port), pathOf(profile), handler);
    await handler.opened;
    const accepted = await server.accepted();
    accepted.reset();
    const ended = await handler.ended;
    expect(ended.cause).toBe('error');
    expect(ended.text).toContain('ECONNRESET');
    link.write(Buffer.from('nobody is there'));
    expect(link.bufferedBytes).toBe(0);
  });
});

describe('a link', () => {
  it('sends what was written in one turn as one piece', async () => {
    const server = await serve('ws');
    const handler = new RecordingHandler();
    const link = links.open(endpointOf('ws', server.port), pathOf({}), handler);
    await handler.opened;
    const accepted = await server.accepted();
    for (const text of ['a', 'b', 'c']) link.write(Buffer.from(text));
    await accepted.untilReceived(3);
    link.write(Buffer.from('d'));
    await accepted.untilReceived(4);
    expect(accepted.chunks().map(String)).toEqual(['abc', 'd']);
  });

  it('sends all links of a turn, those written to meanwhile included', async () => {
    const server = await serve('tcp');
    const handlers = Array.from({ length: 20 }, () => new RecordingHandler());
    const opened = handlers.map((handler) => links.open(endpointOf('tcp', server.port), pathOf({}), handler));
    await Promise.all(handlers.map((handler) => handler.opened));
    for (const link of opened) link.write(Buffer.from('x'));
    setImmediate(() => {
      for (const link of opened) link.write(Buffer.from('y'));
    });
    for (let count = 0; count < opened.length; count++) {
      const accepted = await server.accepted();
      expect(String(await accepted.untilReceived(2))).toBe('xy');
    }
  });

  it('counts what the broker does not take', async () => {
    const server = await serve('tcp');
    const handler = new RecordingHandler();
    const link = links.open(endpointOf('tcp', server.port), pathOf({}), handler);
    await handler.opened;
    const accepted = await server.accepted();
    accepted.socket.pause();
    const bytes = Buffer.alloc(16 << 20);
    link.write(bytes);
    expect(link.bufferedBytes).toBe(bytes.length);
    accepted.socket.resume();
    await accepted.untilReceived(bytes.length);
    expect(link.bufferedBytes).toBe(0);
  });

  it('ends when the broker never closes its side', async () => {
    const server = await serve('tcp');
    const handler = new RecordingHandler();
    const time = new FakeTimers();
    const link = new Links(time, new Random(1)).open(endpointOf('tcp', server.port), pathOf({}), handler);
    await handler.opened;
    const accepted = await server.accepted();
    accepted.socket.allowHalfOpen = true;
    link.end();
    await once(accepted.socket, 'end');
    expect(handler.events).toEqual(['open']);
    time.advance(60_000);
    expect(handler.events).toEqual(['open', 'end ended']);
  });

  it('ends with one clause where the system cannot even try', async () => {
    const handler = new RecordingHandler();
    const path = new DevicePath({}, new Random(1), '127.0.0.1.5');
    links.open(endpointOf('tcp', 1), path, handler);
    expect(handler.events).toEqual([]);
    expect((await handler.ended).cause).toBe('refused');
    const broken = new RecordingHandler();
    links.open({ ...endpointOf('tls', 1), tls: { cert: 'no PEM', key: 'none', verify: true } }, pathOf({}), broken);
    expect((await broken.ended).text).toMatch(/^TLS: |PEM/);
  });

  it('connects from where its device is, and within this machine from the address of its factory', async () => {
    const server = await serve('tcp');
    const spread = new Links(timers, new Random(1), '127.0.0.7');
    const handler = new RecordingHandler();
    spread.open(endpointOf('tcp', server.port), pathOf({}), handler);
    expect((await server.accepted()).socket.remoteAddress).toBe('127.0.0.7');
    spread.open(endpointOf('tcp', server.port), new DevicePath({}, new Random(1), '127.1.2.3'), new RecordingHandler());
    expect((await server.accepted()).socket.remoteAddress).toBe('127.1.2.3');
  });
});

describe('TLS', () => {
  it.each(['tls', 'wss'] as const)('refuses a broker that nobody vouches for, over %s', async (transport) => {
    const server = await serve(transport);
    for (const profile of [{}, { latencyMs: 1 }]) {
      const handler = new RecordingHandler();
      links.open({ ...endpointOf(transport, server.port), tls: { verify: true } }, pathOf(profile), handler);
      expect(await handler.ended).toMatchObject({ cause: 'refused', text: expect.stringMatching(/certificate/) });
    }
  });

  it('accepts any broker where the scenario says so', async () => {
    const server = await serve('tls');
    for (const profile of [{}, { latencyMs: 1 }]) {
      const handler = new RecordingHandler();
      links.open({ ...endpointOf('tls', server.port), tls: { verify: false } }, pathOf(profile), handler);
      await handler.opened;
    }
  });

  it('names the host, and checks that the certificate is for it', async () => {
    const server = await serve('tls');
    const handler = new RecordingHandler();
    links.open({ ...endpointOf('tls', server.port), host: 'localhost' }, pathOf({}), handler);
    await handler.opened;
    expect(((await server.accepted()).socket as TLSSocket & { servername: string }).servername).toBe('localhost');
    const elsewhere = new RecordingHandler();
    links.open({ ...endpointOf('tls', server.port), host: '127.0.0.2' }, pathOf({}), elsewhere);
    expect((await elsewhere.ended).text).toMatch(/127\.0\.0\.2/);
  });

  it('shows the certificate of the device, and says what the broker holds against one that has none', async () => {
    const { server: own, ca, client } = certificates;
    const server = await LoopbackServer.tcp({ ...own, ca, requestCert: true, rejectUnauthorized: true });
    servers.push(server);
    const handler = new RecordingHandler();
    links.open({ ...endpointOf('tls', server.port), tls: { ...trusted, ...client } }, pathOf({}), handler);
    await handler.opened;
    const accepted = (await server.accepted()).socket as TLSSocket;
    expect(accepted.getPeerCertificate().subject.CN).toBe('a client');
    const nameless = new RecordingHandler();
    links.open(endpointOf('tls', server.port), pathOf({}), nameless);
    expect(await nameless.ended).toEqual({ cause: 'error', text: 'TLS: tlsv13 alert certificate required' });
  });
});

describe('WebSocket', () => {
  it('tells a refused handshake by its status', async () => {
    const server = await serve('ws');
    const handler = new RecordingHandler();
    links.open({ ...endpointOf('ws', server.port), path: '/elsewhere' }, pathOf({}), handler);
    const text = 'the WebSocket handshake was answered with HTTP status 400';
    expect(await handler.ended).toEqual({ cause: 'refused', text });
  });

  it('refuses text frames', async () => {
    const server = await serve('ws');
    const handler = new RecordingHandler();
    links.open(endpointOf('ws', server.port), pathOf({}), handler);
    await handler.opened;
    (await server.accepted()).sendText('hello');
    expect((await handler.ended).text).toContain('text frame');
  });
});
