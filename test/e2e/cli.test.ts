import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { endAll, finished, trellis } from '../cli/trellis.ts';
import { type BrokerProcess, crashAndRestart, ready, startBrokerProcess } from './broker-process.ts';
import { root } from './checkout.ts';
import { MqttJs } from './mqttjs-client.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-process-'));
});

afterEach(endAll);
afterAll(() => rmSync(directory, { recursive: true }));

/** Opens a TCP connection, writes, and resolves to all that came back when the broker closed it. */
async function answerTo(port: number, bytes: string | Buffer): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  let answer = '';
  socket.on('error', () => {});
  socket.setEncoding('latin1').on('data', (text: string) => {
    answer += text;
  });
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return answer;
}

async function publishOk(broker: BrokerProcess, topic: string, text: string): Promise<void> {
  const { code, stderr } = await finished(['pub', '-p', String(broker.port), '-t', topic, '-m', text, '-q', '1']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

test('SIGTERM tells MQTT 5.0 clients 0x8B, closes 3.1.1 ones, keeps what is due, and ends with exit code 0', async () => {
  const broker = await startBrokerProcess({ directory, args: ['--data', 'drain'] });
  const session = { clean: false, clientId: 'drained', properties: { sessionExpiryInterval: 600 } };
  const five = new MqttJs(broker.url, { ...session, protocolVersion: 5 });
  await five.connect();
  await five.client.subscribeAsync('drain', { qos: 1 });
  await five.client.publishAsync('drain/retained', 'kept', { qos: 1, retain: true });
  const four = new MqttJs(broker.url, { protocolVersion: 4 });
  await four.connect();
  const told = new Promise<number | undefined>((resolve) => {
    five.client.once('disconnect', ({ reasonCode }) => resolve(reasonCode));
  });
  const closed = new Promise<void>((resolve) => {
    four.client.once('close', resolve);
  });
  broker.command.process.kill('SIGTERM');
  expect(await told).toBe(0x8b);
  await closed;
  expect(await broker.command.exited).toBe(0);
  await Promise.all([five.abandon(), four.abandon()]);

  const again = await startBrokerProcess({ directory, args: ['--data', 'drain'] });
  await publishOk(again, 'drain', 'after');
  const back = new MqttJs(again.url, { ...session, protocolVersion: 5 });
  expect((await back.connect()).sessionPresent).toBe(true);
  expect((await back.until(1)).map(({ text }) => text)).toEqual(['after']);
  const retained = await finished(['sub', '-p', String(again.port), '-t', 'drain/retained', '-C', '1']);
  expect(retained.stdout).toBe('kept\n');
  await back.abandon();
});

test('kill -9 loses nothing that was acknowledged, and the same directory is opened again at once', async () => {
  let broker = await startBrokerProcess({ directory });
  const id = ['-c', '-i', 'kill', '-t', 'kill', '-q', '2'];
  expect((await finished(['sub', '-p', String(broker.port), ...id, '-E'])).code).toBe(0);
  for (const text of ['1', '2', '3']) {
    await publishOk(broker, 'kill', text);
    broker = await crashAndRestart(broker, directory);
  }
  const { stdout } = await finished(['sub', '-p', String(broker.port), ...id, '-C', '3']);
  expect(stdout).toBe('1\n2\n3\n');
});

test('a TLS hello and an HTTP request on the MQTT port are closed, and nobody else notices', async () => {
  const args = ['--store', 'memory'];
  const broker = await startBrokerProcess({ directory, args });
  const bystander = new MqttJs(broker.url, { protocolVersion: 5 });
  await bystander.connect();
  const hello = Buffer.from('160301020001000001fc0303', 'hex');
  expect(await answerTo(broker.port, Buffer.concat([hello, Buffer.alloc(200, 7)]))).toBe('');
  expect(await answerTo(broker.port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')).toBe('');
  expect(await answerTo(broker.webSocketPort, 'GET /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 426 /,
  );
  await bystander.client.subscribeAsync('noticed', { qos: 1 });
  await bystander.client.publishAsync('noticed', 'nothing', { qos: 1 });
  expect((await bystander.until(1)).map(({ text }) => text)).toEqual(['nothing']);
  await bystander.abandon();
});

test('too many connections for the open files of the process are survived', async () => {
  const command = `ulimit -n 64; exec '${process.execPath}' '${join(root, 'src/main.ts')}' start --port 0 --ws-port 0 --store memory`;
  const child = spawn('sh', ['-c', command], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'close');
  const sockets: Socket[] = [];
  try {
    let output = '';
    const ended = exited.then(() => 'ended' as const);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    while (!/^ready .*\n/m.test(output)) {
      if ((await Promise.race([once(child.stdout, 'data'), ended])) === 'ended') throw new Error(output);
    }
    const port = Number(/mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(output)?.[1]);
    const opened = Array.from({ length: 200 }, () => {
      const socket = connect({ port, host: '127.0.0.1' });
      sockets.push(socket);
      socket.on('error', () => {});
      return new Promise<void>((resolve) => {
        socket.once('connect', resolve);
        socket.once('close', () => resolve());
      });
    });
    await Promise.all(opened);
    const closed = sockets.map(
      (socket) => new Promise((resolve) => (socket.closed ? resolve(undefined) : socket.once('close', resolve))),
    );
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    // The broker needs a moment to see that they have gone; the client tries until it is let in.
    const late = new MqttJs(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 50 });
    await late.connect();
    await late.client.subscribeAsync('late', { qos: 1 });
    await late.client.publishAsync('late', 'welcome', { qos: 1 });
    expect((await late.until(1)).map(({ text }) => text)).toEqual(['welcome']);
    await late.abandon();
    expect(child.exitCode).toBe(null);
  } finally {
    for (const socket of sockets) socket.destroy();
    child.kill('SIGTERM');
  }
  expect(await exited).toEqual([0, null]);
});

test('a second broker on the same directory is refused while the first one goes on', async () => {
  const broker = await startBrokerProcess({ directory, args: ['--data', 'shared'] });
  const second = await finished(['start', '--port', '0', '--ws-port', '0', '--data', 'shared'], { directory });
  expect({ code: second.code, stdout: second.stdout }).toEqual({ code: 1, stdout: '' });
  expect(second.stderr).toMatch(/^trellis: [^\n]*in use[^\n]*\.\n$/);
  await publishOk(broker, 'still/there', 'x');
});

test('the environment configures it, and a port can be turned off', async () => {
  const command = trellis(['start', '--store', 'memory'], {
    directory,
    environment: { TRELLIS_LISTENERS__TCP__PORT: '0', TRELLIS_LISTENERS__WEBSOCKET__PORT: '0' },
  });
  const broker = await ready(command);
  await publishOk(broker, 'a', 'x');
  command.process.kill('SIGINT');
  expect(await command.exited).toBe(0);
});
