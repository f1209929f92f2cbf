import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import type { Report } from '../../bench/load/run.ts';

/** What a broker did to the messages it forwarded. */
interface Misdeeds {
  dropped: number;
  duplicated: number;
  swapped: number;
}

/** Of so many messages one is dropped, one sent twice and one sent after its successor. */
const CYCLE = 500;

/**
 * A broker for one subscriber that forwards badly, and remembers how badly. A swapped message waits for the next one of the
 * same publisher.
 */
class BadBroker {
  readonly misdeeds: Misdeeds = { dropped: 0, duplicated: 0, swapped: 0 };
  #subscriber: Socket | undefined;
  #forwarded = 0;
  #held: { packet: IPublishPacket; topic: string } | undefined;

  /** What was not forwarded; a message that still waits for its successor is among it. */
  get missing(): number {
    return this.misdeeds.dropped + (this.#held === undefined ? 0 : 1);
  }

  readonly accept = (socket: Socket): void => {
    const packets = parser({ protocolVersion: 4 });
    packets.on('packet', (packet: Packet) => this.#onPacket(socket, packet));
    socket.on('data', (chunk) => packets.parse(Buffer.from(chunk)));
    socket.on('error', () => socket.destroy());
  };

  #onPacket(socket: Socket, packet: Packet): void {
    if (packet.cmd === 'connect') socket.write(generate({ cmd: 'connack', returnCode: 0, sessionPresent: false }));
    if (packet.cmd === 'subscribe') {
      this.#subscriber = socket;
      socket.write(generate({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [0] }));
    }
    if (packet.cmd === 'publish') this.#forward(packet);
  }

  #forward(packet: IPublishPacket): void {
    const held = this.#held;
    if (held?.topic === packet.topic) {
      this.#held = undefined;
      this.misdeeds.swapped++;
      this.#send(packet);
      this.#send(held.packet);
      return;
    }
    this.#forwarded++;
    const place = this.#forwarded % CYCLE;
    if (place === 1) this.misdeeds.dropped++;
    else if (place === 2 && held === undefined) this.#held = { packet, topic: packet.topic };
    else {
      this.#send(packet);
      if (place !== 3) return;
      this.misdeeds.duplicated++;
      this.#send(packet);
    }
  }

  #send(packet: IPublishPacket): void {
    this.#subscriber?.write(generate(packet));
  }
}

const GENERATOR = fileURLToPath(new URL('../../bench/load.ts', import.meta.url));

async function runGenerator(
  flags: readonly string[],
): Promise<{ output: string; errors: string; exitCode: number | null }> {
  const child = spawn(process.execPath, [GENERATOR, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { output, errors, exitCode: child.exitCode };
}

describe('the load generator', () => {
  test('counts exactly what a broker loses, duplicates and swaps', async () => {
    const broker = new BadBroker();
    const server = createServer(broker.accept).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const target = ['--port', String(port), '--broker-pid', String(process.pid)];
    const scenario = ['--scenario', 'fanin', '--pubs', '3', '--window', '50', '--warmup', '0.2', '--duration', '1'];
    const { output, errors } = await runGenerator([...target, ...scenario]);
    expect(errors).toBe('');
    const report: Report = JSON.parse(output);
    const { dropped, duplicated, swapped } = broker.misdeeds;
    expect(Math.min(dropped, duplicated, swapped)).toBeGreaterThan(0);
    expect([report.lost, report.duplicates, report.reordered]).toEqual([broker.missing, duplicated, swapped]);
    expect(report.invalid).toBe(0);
    server.close();
  });

  test.each([
    [['--scenario', 'nothing', '--port', '1', '--broker-pid', '1'], '--scenario must be one of'],
    [['--scenario', 'fanin', '--port', 'x', '--broker-pid', '1'], '--port must be given and be a number'],
    [['--what'], "Unknown option '--what'"],
  ])('says what is wrong with the flags %j', async (flags, reason) => {
    const { errors, exitCode } = await runGenerator(flags);
    expect(errors).toContain(reason);
    expect(exitCode).toBe(2);
  });

  test('says so when the broker cannot be reached', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const target = ['--port', String(port), '--broker-pid', String(process.pid)];
    const { errors, exitCode } = await runGenerator([...target, '--scenario', 'fanin']);
    expect(errors).toContain('ECONNREFUSED');
    expect(exitCode).toBe(1);
  });
});
