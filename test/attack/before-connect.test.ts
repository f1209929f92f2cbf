import type { Socket } from 'node:net';
import { describe, expect } from 'vitest';
import { hashPassword } from '../../src/auth/password-hash.ts';
import { SecurityFiles } from '../security/security-files.ts';
import { connectBytes, isFullScale, scaled, test } from './attack.ts';
import { CANARY_PASSWORD } from './canary-password.ts';

/** A CONNECT of 256 MiB, as far as its header. */
const LARGEST = Buffer.from('10ffffff7f00044d51545405', 'hex');
const BYTE_EVERY_MS = scaled(100, 1_000);

describe('before CONNECT', () => {
  test('1,000 sockets that announce 256 MB are refused from the header', async ({ attack }) => {
    const scene = await attack();
    await scene.open(1000, (socket) => socket.write(LARGEST));
    await scene.untilCounters('all refused', ({ connections }) => connections.ended['packet-too-large'] === 1000);
    expect(scene.grownMiB).toBeLessThan(20);
  });

  test('1,000 sockets that announce 256 MB and may cost less than 20 MB', async ({ attack }) => {
    const scene = await attack({ config: { limits: { connectBytesMax: 268_435_460, connectTimeoutMs: 600_000 } } });
    await scene.open(1000, (socket) => socket.write(LARGEST));
    await scene.untilCounters('all open', ({ connections }) => connections.open === 1002);
    // Behind them all, so that what they sent has been read.
    await (await scene.client('last')).disconnect();
    await scene.untilCounters('all open still', ({ connections }) => connections.open === 1002);
    expect(scene.grownMiB).toBeLessThan(20);
  });

  test('10,000 sockets that send a byte now and then are closed at their deadline', async ({ attack }) => {
    const count = scaled(500, 10_000);
    const scene = await attack({
      config: { limits: { connectTimeoutMs: scaled(2_000, 10_000), pendingConnectionsMax: 20_000 } },
    });
    const connect = connectBytes('x'.repeat(5_000));
    let closed = 0;
    const sockets = await scene.open(count, (socket) => socket.on('close', () => (closed += 1)));
    let sent = 0;
    const drip = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write(connect.subarray(sent, sent + 1));
      sent += 1;
    }, BYTE_EVERY_MS);
    try {
      await scene.untilCounters('all closed', ({ connections }) => connections.open === 2 && closed === count);
    } finally {
      clearInterval(drip);
    }
    expect((await scene.counters()).connections.ended['connect-timeout']).toBe(count);
  });

  test('connections above those that one address may have pending are closed at once', async ({ attack }) => {
    const scene = await attack({
      config: { limits: { pendingConnectionsPerAddressMax: 100, addressesExempt: [], connectTimeoutMs: 600_000 } },
    });
    let closed = 0;
    await scene.open(scaled(1_000, 10_000), (socket) => socket.on('close', () => (closed += 1)));
    const { connections } = await scene.untilCounters('100 left', ({ connections: { open } }) => open === 102);
    expect(connections.clients).toBe(2);
  });

  test.for([
    ['one address', (): string => '127.0.0.2'],
    ['many addresses', (index: number): string => `127.1.${index % 200}.${1 + (index % 250)}`],
  ] as const)(
    'more sockets that stall than there may be, from %s, keep nobody out',
    async ([, addressOf], { attack }) => {
      const pendingConnectionsMax = scaled(400, 8_000);
      const limits = { pendingConnectionsMax, pendingConnectionsPerAddressMax: 100, connectTimeoutMs: 600_000 };
      const scene = await attack({ config: { limits: { ...limits, addressesExempt: [] } } });
      const count = scaled(500, 10_000);
      await scene.open(count, () => {}, addressOf);
      const client = await scene.client('who is right');
      await client.publish('a', 'x', { qos: 1 });
      const { limits: counted, connections } = await scene.counters();
      const isOne = addressOf(0) === addressOf(1);
      expect(counted[isOne ? 'pending-connections-per-address' : 'pending-connections']).toBeGreaterThan(0);
      expect(connections.open - connections.clients).toBeLessThanOrEqual(isOne ? 100 : pendingConnectionsMax);
    },
  );

  test('10,000 idle connections cost little each', async ({ attack }) => {
    const count = scaled(500, 10_000);
    const scene = await attack();
    await scene.connect(count);
    expect(scene.grownMiB / count).toBeLessThan(0.03);
  });

  test('CONNECTs over and over with one client id, from many at once', async ({ attack }) => {
    const scene = await attack();
    const wanted = scaled(500, 20_000);
    let connects = 0;
    let isOver = false;
    const war = async (): Promise<void> => {
      while (!isOver) {
        connects += 1;
        const [socket] = (await scene.open(1, (opened) =>
          opened.write(connectBytes('fought-over', { cleanStart: connects % 2 === 0 })),
        )) as [Socket];
        socket.on('data', () => socket.destroy());
        await new Promise((resolve) => socket.once('close', resolve));
        if (connects >= wanted) isOver = true;
      }
    };
    await Promise.all(Array.from({ length: 20 }, war));
    await scene.untilCounters('peace', ({ connections }) => connections.open === 2);
  });
});

describe('wrong passwords', () => {
  test('200 CONNECTs a second, each of another user at another address', async ({ attack }) => {
    using files = new SecurityFiles();
    const hash = await hashPassword(Buffer.from(CANARY_PASSWORD));
    const auth = { passwordFile: files.write('passwords', `canary:${hash}\n`) };
    const acl = {
      file: files.write('rules.yaml', "everyone: [all]\nroles: { all: [{ allow: all, topics: ['#'] }] }\n"),
    };
    const scene = await attack({ config: { auth, acl } });
    const wanted = scaled(200, 6_000);
    let opened = 0;
    const flood: Promise<Socket[]>[] = [];
    await scene.loopP99Ms();
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const login = { username: `user-${opened}`, password: 'wrong' };
        const bytes = connectBytes('attacker', login);
        const address = `127.1.${opened >> 8}.${opened & 255}`;
        flood.push(
          scene.open(
            1,
            (socket) => socket.write(bytes),
            () => address,
          ),
        );
        opened += 1;
        if (opened < wanted) return;
        clearInterval(timer);
        resolve();
      }, 5);
    });
    const loopP99Ms = await scene.loopP99Ms();
    await Promise.all(flood);
    const { connections } = await scene.untilCounters('all refused', ({ connections: { open } }) => open === 2);
    const { ended } = connections;
    // Those that found the queue for the check too long were told so, or closed at their deadline.
    expect(ended.refused + ended['server-busy'] + ended['connect-timeout']).toBe(wanted);
    if (isFullScale) {
      const { refused, 'server-busy': busy, 'connect-timeout': late } = ended;
      console.log(`${refused} refused, ${busy} told that the broker is busy, ${late} closed at their deadline`);
      console.log(`event loop late by ${loopP99Ms.toFixed(1)} ms (p99) while ${wanted} passwords were wrong`);
      expect(loopP99Ms).toBeLessThan(50);
    }
  });
});
