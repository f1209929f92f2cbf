import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import { type Attack, scaled, test } from './attack.ts';

const MIB = 1024 * 1024;

/** A socket after its request for an upgrade, and the answer to that. */
async function upgrade(scene: Attack, ...headers: readonly string[]): Promise<{ socket: Socket; answer: string }> {
  const socket = connect({ host: '127.0.0.1', port: scene.webSocketPort });
  socket.on('error', () => {});
  const request = [
    'GET /mqtt HTTP/1.1',
    `Host: 127.0.0.1:${scene.webSocketPort}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Protocol: mqtt',
    ...headers,
  ];
  socket.write(`${request.join('\r\n')}\r\n\r\n`);
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return { socket, answer: chunk.toString('latin1') };
}

/** A frame of a client, masked with zeros. */
function webSocketFrame(firstByte: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(14);
  head[0] = firstByte;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}

describe('a WebSocket', () => {
  test('with compression is not to be had, and a bomb is not unpacked', async ({ attack }) => {
    const scene = await attack();
    const bomb = webSocketFrame(0xc2, deflateRawSync(Buffer.alloc(256 * MIB), { level: 9 }));
    expect(bomb.length).toBeLessThan(MIB);
    for (let round = 0; round < scaled(5, 50); round++) {
      const { socket, answer } = await upgrade(
        scene,
        'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      );
      expect(answer).toMatch(/^HTTP\/1\.1 101 /);
      expect(answer.toLowerCase()).not.toContain('extensions');
      const closed = once(socket, 'close');
      const said = once(socket, 'data');
      socket.write(bomb);
      const [close] = (await said) as [Buffer];
      // A close frame that says protocol error, 1002.
      expect([close[0], close.readUInt16BE(2)]).toEqual([0x88, 1002]);
      socket.end();
      await closed;
    }
    await scene.untilCounters('all gone', ({ connections }) => connections.open === 2);
    expect(scene.grownMiB).toBeLessThan(60);
  });

  test('is refused to pages of other origins', async ({ attack }) => {
    const scene = await attack();
    const origins = [
      'https://evil.example',
      'null',
      'http://127.0.0.1',
      'http://127.0.0.1.evil.example:80',
      'file://',
      '',
    ];
    for (const origin of origins) {
      const { socket, answer } = await upgrade(scene, `Origin: ${origin}`);
      expect(answer, origin).toMatch(/^HTTP\/1\.1 403 /);
      if (!socket.closed) await once(socket, 'close');
    }
  });

  test('that fragments without end, or announces a frame of 2^62 bytes, is closed', async ({ attack }) => {
    const scene = await attack({ config: { limits: { maximumPacketSize: MIB } } });
    const huge = Buffer.from('82ff4000000000000000', 'hex');
    for (const first of [huge, webSocketFrame(0x02, Buffer.alloc(600_000))]) {
      const { socket } = await upgrade(scene);
      const closed = once(socket, 'close');
      socket.resume();
      socket.on('end', () => socket.end());
      socket.write(first);
      if (first !== huge) socket.write(webSocketFrame(0x00, Buffer.alloc(600_000)));
      await closed;
    }
    expect(scene.grownMiB).toBeLessThan(30);
  });
});
