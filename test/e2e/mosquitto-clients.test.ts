import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { endAll } from '../cli/trellis.ts';
import { findTool } from '../tools.ts';
import { type BrokerProcess, crashAndRestart, startBrokerProcess } from './broker-process.ts';

const pub = findTool('mosquitto_pub');
const sub = findTool('mosquitto_sub');
/** Makes programs print line by line: into a pipe they would print block by block. */
const stdbuf = findTool('stdbuf');
const missing =
  pub === undefined || sub === undefined || stdbuf === undefined
    ? 'mosquitto_pub, mosquitto_sub or stdbuf is not installed'
    : '';

let directory: string;
let broker: BrokerProcess;
const running = new Set<Client>();

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-mosquitto-'));
  broker = await startBrokerProcess({ directory });
});

afterEach(async () => {
  for (const client of running) client.process.kill('SIGKILL');
  await Promise.all([...running].map((client) => client.exited));
});

afterAll(async () => {
  await endAll();
  rmSync(directory, { recursive: true });
});

/** A process of one of the two programs; with -d it tells on stdout what it sends and receives. */
class Client {
  readonly process: ChildProcess;
  readonly exited: Promise<number | string>;
  stdout = '';
  stderr = '';

  constructor(program: string, args: readonly string[], input: string | undefined) {
    this.process = spawn(stdbuf!, ['-oL', program, '-h', '127.0.0.1', '-p', String(broker.port), ...args]);
    running.add(this);
    this.process.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stdout += chunk;
    });
    this.process.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stderr += chunk;
    });
    if (input !== undefined) this.process.stdin?.end(input);
    this.exited = once(this.process, 'close').then(([code, signal]: (number | string | null)[]) => {
      running.delete(this);
      return code ?? signal ?? '';
    });
  }

  /** Waits until stdout matches. @throws Error when the program ends before. */
  async until(pattern: RegExp): Promise<void> {
    const ended = this.exited.then(() => 'ended' as const);
    while (!pattern.test(this.stdout)) {
      const event = await Promise.race([once(this.process.stdout!, 'data'), ended]);
      if (event === 'ended' && !pattern.test(this.stdout)) throw new Error(`ended: ${this.stdout}${this.stderr}`);
    }
  }

  /** The lines printed for messages, those of -d left out. */
  get messages(): string[] {
    return this.stdout.split('\n').filter((line) => line.startsWith('> '));
  }
}

/** Runs mosquitto_pub to its end. */
async function publish(args: readonly string[], input?: string): Promise<void> {
  const client = new Client(pub!, args, input);
  expect({ code: await client.exited, stderr: client.stderr }).toEqual({ code: 0, stderr: '' });
}

/** Starts mosquitto_sub and waits until it is subscribed; it prints messages as `> TOPIC QOS RETAIN PAYLOAD`. */
async function subscribed(args: readonly string[]): Promise<Client> {
  const client = new Client(sub!, ['-d', '-F', '> %t %q %r %p', ...args], undefined);
  await client.until(/Subscribed|received SUBACK/);
  return client;
}

/** Runs mosquitto_sub to its end; -C or -E has to end it. */
async function received(args: readonly string[]): Promise<string[]> {
  const client = new Client(sub!, ['-F', '> %t %q %r %p', ...args], undefined);
  expect({ code: await client.exited, stderr: client.stderr }).toEqual({ code: 0, stderr: '' });
  return client.messages;
}

for (const version of ['31', '311', '5']) {
  describe.skipIf(missing)(`mosquitto_pub and mosquitto_sub -V ${version}`, () => {
    const v = ['-V', version];
    const prefix = `m/${version}`;

    test('messages of each QoS arrive with their QoS', async () => {
      const subscriber = await subscribed([...v, '-t', `${prefix}/qos/#`, '-q', '2', '-C', '6']);
      for (const qos of ['0', '1', '2']) {
        await publish([...v, '-t', `${prefix}/qos/${qos}`, '-q', qos, '-l'], 'first\nsecond Grüße\n');
      }
      expect(await subscriber.exited).toBe(0);
      expect(subscriber.messages).toEqual(
        [0, 1, 2].flatMap((qos) => [
          `> ${prefix}/qos/${qos} ${qos} 0 first`,
          `> ${prefix}/qos/${qos} ${qos} 0 second Grüße`,
        ]),
      );
    });

    test('a retained message is kept, replaced and removed', async () => {
      const topic = `${prefix}/retained`;
      await publish([...v, '-t', topic, '-m', 'one', '-r', '-q', '1']);
      await publish([...v, '-t', topic, '-m', 'two', '-r', '-q', '2']);
      expect(await received([...v, '-t', topic, '-q', '1', '-C', '1'])).toEqual([`> ${topic} 1 1 two`]);
      await publish([...v, '-t', topic, '-n', '-r', '-q', '1']);
      const late = await subscribed([...v, '-t', topic, '-C', '1']);
      await publish([...v, '-t', topic, '-m', 'live']);
      expect(await late.exited).toBe(0);
      expect(late.messages).toEqual([`> ${topic} 0 0 live`]);
    });

    test('a will is published when the client is killed, and not when it ends in order', async () => {
      const will = (name: string): string[] => [
        '--will-topic',
        `${prefix}/will/${name}`,
        '--will-payload',
        'gone',
        '--will-qos',
        '1',
      ];
      const witness = await subscribed([...v, '-t', `${prefix}/will/#`, '-q', '1', '-C', '2']);
      // A signal would not do: with MQTT 5.0 mosquitto_sub then asks for its will (reason code 0x04).
      await received([...v, '-t', 'none', '-i', `${version}-ordered`, '-E', ...will('ordered')]);
      const lost = await subscribed([...v, '-t', 'none', '-i', `${version}-lost`, ...will('lost')]);
      lost.process.kill('SIGKILL');
      await witness.until(/will\/lost/);
      await publish([...v, '-t', `${prefix}/will/end`, '-m', '.', '-q', '1']);
      expect(await witness.exited).toBe(0);
      expect(witness.messages).toEqual([`> ${prefix}/will/lost 1 0 gone`, `> ${prefix}/will/end 1 0 .`]);
    });

    test('a session of a client that was away keeps its messages over kill -9 of the broker, in order and once', async () => {
      const topic = `${prefix}/away`;
      const session = [...v, '-c', '-i', `away-${version}`, '-t', topic, '-q', '2'];
      expect(await received([...session, '-E'])).toEqual([]);
      const texts = Array.from({ length: 200 }, (_, i) => `message ${i}`);
      await publish([...v, '-t', topic, '-q', '1', '-l'], `${texts.slice(0, 100).join('\n')}\n`);
      broker = await crashAndRestart(broker, directory);
      await publish([...v, '-t', topic, '-q', '2', '-l'], `${texts.slice(100).join('\n')}\n`);
      broker = await crashAndRestart(broker, directory);
      const messages = await received([...session, '-C', '200']);
      expect(messages).toEqual(texts.map((text, i) => `> ${topic} ${i < 100 ? 1 : 2} 0 ${text}`));
    });

    test('a retained message and its absence outlive kill -9 of the broker', async () => {
      await publish([...v, '-t', `${prefix}/kept/on`, '-m', 'on', '-r', '-q', '1']);
      await publish([...v, '-t', `${prefix}/kept/off`, '-m', 'off', '-r', '-q', '1']);
      await publish([...v, '-t', `${prefix}/kept/off`, '-n', '-r', '-q', '1']);
      broker = await crashAndRestart(broker, directory);
      const late = await subscribed([...v, '-t', `${prefix}/kept/#`, '-q', '1', '-C', '2']);
      await late.until(/kept\/on/);
      await publish([...v, '-t', `${prefix}/kept/end`, '-m', '.', '-q', '1']);
      expect(await late.exited).toBe(0);
      expect(late.messages).toEqual([`> ${prefix}/kept/on 1 1 on`, `> ${prefix}/kept/end 1 0 .`]);
    });
  });
}

test.skipIf(missing)(
  'a publisher under way when the broker is killed lost nothing it had an acknowledgement for',
  async () => {
    const session = ['-V', '5', '-c', '-i', 'crash-witness', '-t', 'crash', '-q', '1'];
    expect(await received([...session, '-E'])).toEqual([]);
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i}`);
    const publisher = new Client(pub!, ['-V', '5', '-t', 'crash', '-q', '1', '-l', '-d'], `${lines.join('\n')}\n`);
    await publisher.until(/received PUBACK \(Mid: 300,/);
    broker.command.process.kill('SIGKILL');
    await broker.command.exited;
    publisher.process.kill('SIGKILL');
    await publisher.exited;
    const acknowledged = [...publisher.stdout.matchAll(/received PUBACK \(Mid: (\d+), RC:0\)/g)].map(([, id]) => id);
    expect(acknowledged.length).toBeGreaterThanOrEqual(300);
    broker = await startBrokerProcess({ directory, port: broker.port, webSocketPort: broker.webSocketPort });
    await publish(['-V', '5', '-t', 'crash', '-q', '1', '-m', 'end']);
    const subscriber = await subscribed(session);
    await subscriber.until(/^> crash 1 0 end$/m);
    const texts = new Set(subscriber.messages.map((line) => line.slice('> crash 1 0 '.length)));
    // The packet id counts up from 1 with each line.
    expect(acknowledged.filter((id) => !texts.has(String(Number(id) - 1)))).toEqual([]);
  },
);
