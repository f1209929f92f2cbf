import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { endAll, finished, type Trellis, trellis } from './trellis.ts';

let directory: string;
let broker: Trellis;
/** Where the broker listens. */
let tcp: string[];
let webSocket: string[];
let unix: string[];
/** A topic of each test's own. */
let topic: string;
let testNumber = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-pub-sub-'));
  const socket = join(directory, 'mqtt.sock');
  broker = trellis(
    ['start', '--port', '0', '--ws-port', '0', '--store', 'memory', '--set', `listeners.unix.path=${socket}`],
    { directory },
  );
  const [, mqttPort = ''] = await broker.until('stdout', /^ready .*\bmqtt:\/\/127\.0\.0\.1:(\d+)/m);
  const [, webSocketPort = ''] = await broker.until('stdout', /^ready .*\bws:\/\/127\.0\.0\.1:(\d+)\/mqtt/m);
  tcp = ['-p', mqttPort];
  webSocket = ['--ws', '-p', webSocketPort];
  unix = ['--unix', socket];
});

beforeEach(() => {
  testNumber += 1;
  topic = `test/${testNumber}`;
});

afterAll(async () => {
  await endAll();
  rmSync(directory, { recursive: true });
});

let subscribers: Trellis[] = [];
afterEach(async () => {
  for (const subscriber of subscribers) subscriber.process.kill('SIGKILL');
  await Promise.all(subscribers.map((subscriber) => subscriber.exited));
  subscribers = [];
});

/** Starts `trellis sub` and waits until its subscription is acknowledged. */
async function subscribed(args: readonly string[], where: readonly string[] = tcp): Promise<Trellis> {
  const subscriber = trellis(['sub', '-d', ...where, ...args]);
  subscribers.push(subscriber);
  await subscriber.until('stderr', /receives suback/);
  return subscriber;
}

/** Runs `trellis pub` and expects it to succeed in silence. */
async function publish(
  args: readonly string[],
  input: string | Buffer = '',
  where: readonly string[] = tcp,
): Promise<void> {
  const { code, stdout, stderr } = await finished(['pub', ...where, ...args], { input });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
}

test.each(['5', '311', '31'])('messages of each QoS arrive with MQTT %s', async (version) => {
  const subscriber = await subscribed(['-V', version, '-q', '2', '-t', topic, '-C', '3', '-F', '%t %q %p']);
  for (const qos of ['0', '1', '2']) await publish(['-V', version, '-q', qos, '-t', topic, '-m', `-Grüße ${qos}`]);
  expect(await subscriber.exited).toBe(0);
  expect(subscriber.stdout).toBe(['0', '1', '2'].map((qos) => `${topic} ${qos} -Grüße ${qos}\n`).join(''));
});

test('WebSocket, Unix socket and URL lead to the same broker', async () => {
  const [, port] = tcp;
  const subscriber = await subscribed(['-t', `${topic}/#`, '-v', '-C', '3'], webSocket);
  await publish(['-t', `${topic}/unix`, '-m', '1', '-q', '1'], '', unix);
  await publish(['-L', `mqtt://127.0.0.1:${port}/${topic}/url`, '-m', '2', '-q', '1'], '', []);
  await publish(['-L', `ws://127.0.0.1:${webSocket[2]}/mqtt`, '-t', `${topic}/ws`, '-m', '3', '-q', '1'], '', []);
  expect(await subscriber.exited).toBe(0);
  expect(subscriber.stdout).toBe(`${topic}/unix 1\n${topic}/url 2\n${topic}/ws 3\n`);
  const filter = await subscribed(['-v', '-C', '1'], ['-L', `mqtt://127.0.0.1:${port}/${topic}/+/%23`]);
  await publish(['-t', `${topic}/a/b`, '-m', '4']);
  expect(await filter.exited).toBe(0);
});

test('the payload of a file or of all of stdin goes through byte by byte', async () => {
  const bytes = Buffer.concat([randomBytes(200_000), Buffer.from('\n\0\r\n')]);
  const file = join(directory, 'payload');
  writeFileSync(file, bytes);
  const subscriber = await subscribed(['-t', topic, '-C', '2', '-F', '%l %x']);
  await publish(['-t', topic, '-f', file]);
  await publish(['-t', topic, '-s'], bytes);
  expect(await subscriber.exited).toBe(0);
  const line = `${bytes.length} ${bytes.toString('hex')}\n`;
  expect(hash(subscriber.stdout)).toBe(hash(line + line));
});

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

test('each line of stdin is a message, in order, the last one also without an end', async () => {
  const lines = Array.from({ length: 3_000 }, (_, index) => (index % 7 === 0 ? '' : `line ${index} ü\t`));
  const subscriber = await subscribed(['-t', topic, '-q', '2', '-C', '3000']);
  await publish(['-t', topic, '-l', '-q', '2'], lines.join('\n') + 'end');
  expect(await subscriber.exited).toBe(0);
  expect(subscriber.stdout).toBe(`${lines.join('\n')}end\n`);
});

test('a message can be repeated, with time between', async () => {
  const subscriber = await subscribed(['-t', topic, '-C', '3', '-N']);
  await publish(['-t', topic, '-m', 'x', '--repeat', '3', '--repeat-delay', '0.01']);
  expect(await subscriber.exited).toBe(0);
  expect(subscriber.stdout).toBe('xxx');
});

test('retained messages are kept, shown, left out, asked for alone, and removed', async () => {
  await publish(['-t', `${topic}/kept`, '-m', 'on', '-r', '-q', '1']);
  expect((await finished(['sub', ...tcp, '-t', `${topic}/#`, '-C', '1', '-F', '%r %p'])).stdout).toBe('1 on\n');
  const without = await subscribed(['-t', `${topic}/#`, '-R', '-C', '1', '-F', '%r %p']);
  const only = await subscribed(['-t', `${topic}/#`, '--retained-only', '-F', '%r %p']);
  await publish(['-t', `${topic}/live`, '-m', 'now']);
  expect(await without.exited).toBe(0);
  expect(await only.exited).toBe(0);
  expect([without.stdout, only.stdout]).toEqual(['0 now\n', '1 on\n']);
  await publish(['-t', `${topic}/kept`, '-n', '-r', '-q', '1']);
  const after = await finished(['sub', ...tcp, '-t', `${topic}/#`, '-W', '0.3']);
  expect({ code: after.code, stdout: after.stdout }).toEqual({ code: 27, stdout: '' });
});

for (const [version, qos] of [
  ['5', '1'],
  ['5', '2'],
  ['311', '1'],
  ['311', '2'],
] as const) {
  test(`a subscriber that was away gets what it missed, and -C takes no more than it prints (MQTT ${version}, QoS ${qos})`, async () => {
    const id = ['-V', version, '-q', qos, '-c', '-i', `away-${version}-${qos}`, '-t', topic];
    expect((await finished(['sub', ...tcp, ...id, '-E'])).code).toBe(0);
    await publish(['-t', topic, '-l', '-q', '2'], '1\n2\n3\n4\n5\n');
    expect((await finished(['sub', ...tcp, ...id, '-C', '1'])).stdout).toBe('1\n');
    expect((await finished(['sub', ...tcp, ...id, '-C', '3'])).stdout).toBe('2\n3\n4\n');
    expect((await finished(['sub', ...tcp, ...id, '-C', '1'])).stdout).toBe('5\n');
  });
}

test('-U ends a subscription of a session', async () => {
  const id = ['-c', '-i', 'unsubscriber'];
  expect((await finished(['sub', ...tcp, ...id, '-t', `${topic}/a`, '-t', `${topic}/b`, '-q', '1', '-E'])).code).toBe(
    0,
  );
  expect((await finished(['sub', ...tcp, ...id, '-U', `${topic}/a`])).code).toBe(0);
  await publish(['-t', `${topic}/a`, '-m', 'a', '-q', '1']);
  await publish(['-t', `${topic}/b`, '-m', 'b', '-q', '1']);
  expect((await finished(['sub', ...tcp, ...id, '-t', `${topic}/b`, '-q', '1', '-C', '1'])).stdout).toBe('b\n');
});

test('a will is published when the client is lost, and not when it ends in order', async () => {
  const witness = await subscribed(['-t', `${topic}/will/#`, '-v', '-C', '2', '-q', '1']);
  const will = (name: string): string[] => [
    '--will-topic',
    `${topic}/will/${name}`,
    '--will-payload',
    'gone',
    '--will-qos',
    '1',
  ];
  const ordered = await subscribed(['-t', topic, ...will('ordered')]);
  ordered.process.kill('SIGINT');
  expect(await ordered.exited).toBe(0);
  const lost = await subscribed(['-t', topic, ...will('lost')]);
  lost.process.kill('SIGKILL');
  expect(await lost.exited).toBe('SIGKILL');
  await witness.until('stdout', /gone/);
  await publish(['-t', `${topic}/will/end`, '-m', '.', '-q', '1']);
  expect(await witness.exited).toBe(0);
  expect(witness.stdout).toBe(`${topic}/will/lost gone\n${topic}/will/end .\n`);
});

test('-v prints the topic name, -T leaves topics out, an empty payload is (null)', async () => {
  const subscriber = await subscribed(['-t', `${topic}/#`, '-v', '-T', `${topic}/+/noise`, '-C', '2']);
  await publish(['-t', `${topic}/a/noise`, '-m', 'x']);
  await publish(['-t', `${topic}/a`, '-n']);
  await publish(['-t', `${topic}/b`, '-m', 'y']);
  expect(await subscriber.exited).toBe(0);
  expect(subscriber.stdout).toBe(`${topic}/a (null)\n${topic}/b y\n`);
});

test('-F shows properties, and -D sends them', async () => {
  const format = '%C|%R|%D|%E|%F|%P|%S|%m|%X\\t%%';
  const subscriber = await subscribed([
    '-t',
    topic,
    '-q',
    '1',
    '-C',
    '1',
    '-F',
    format,
    '-D',
    'subscribe',
    'subscription-identifier',
    '77',
  ]);
  const properties = [
    ['content-type', 'text/plain'],
    ['response-topic', 'answers/here'],
    ['correlation-data', '42'],
    ['message-expiry-interval', '3600'],
    ['payload-format-indicator', '1'],
    ['user-property', 'key', 'one'],
    ['user-property', 'key', 'two'],
    ['user-property', '__proto__', 'three'],
  ].flatMap((property) => ['-D', 'publish', ...property]);
  await publish(['-t', topic, '-q', '1', '-m', 'AZ', ...properties]);
  expect(await subscriber.exited).toBe(0);
  expect(subscriber.stdout).toMatch(
    /^text\/plain\|answers\/here\|42\|3(600|599)\|1\|key:one key:two __proto__:three\|77\|\d+\|415A\t%\n$/,
  );
});

test('-F %j is a JSON object per message, %J has a JSON payload in it', async () => {
  const subscriber = await subscribed(['-t', topic, '-q', '1', '-C', '2', '-F', '%j\\n%J']);
  await publish(['-t', topic, '-q', '1', '-m', '{"a":1}', '-D', 'publish', 'correlation-data', 'c']);
  await publish(['-t', topic, '-m', 'no json']);
  expect(await subscriber.exited).toBe(0);
  const objects = subscriber.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const first = {
    topic,
    qos: 1,
    retain: 0,
    payloadlen: 7,
    mid: expect.any(Number),
    properties: { correlationData: 'c' },
  };
  expect(objects).toMatchObject([
    { ...first, payload: '{"a":1}' },
    { ...first, payload: { a: 1 } },
    { topic, qos: 0, payloadlen: 7, payload: 'no json' },
    { topic, qos: 0, payloadlen: 7, payload: 'no json' },
  ]);
  for (const { tst } of objects) expect(new Date(String(tst)).toISOString()).toBe(tst);
});

test('-W ends with exit code 27, --quiet without a word', async () => {
  const loud = await finished(['sub', ...tcp, '-t', topic, '-W', '0.2']);
  expect({ code: loud.code, stderr: loud.stderr }).toEqual({ code: 27, stderr: 'trellis: Time ran out.\n' });
  const quiet = await finished(['sub', ...tcp, '-t', topic, '-W', '0.2', '--quiet']);
  expect({ code: quiet.code, stderr: quiet.stderr }).toEqual({ code: 27, stderr: '' });
});

test('a reader that goes away ends sub in silence', async () => {
  const subscriber = await subscribed(['-t', topic]);
  subscriber.process.stdout!.destroy();
  await publish(['-t', topic, '-m', 'x']);
  await publish(['-t', topic, '-m', 'y']);
  expect(await subscriber.exited).toBe(0);
  expect(subscriber.stderr.replaceAll(/^trellis: (sends|receives) .*\n/gm, '')).toBe('');
});

test('a slow reader of sub loses nothing', async () => {
  const subscriber = await subscribed(['-t', topic, '-q', '1', '-C', '200']);
  subscriber.process.stdout!.pause();
  const line = 'x'.repeat(5_000);
  const publisher = publish(['-t', topic, '-l', '-q', '1'], `${line}\n`.repeat(200));
  await publisher;
  subscriber.process.stdout!.resume();
  expect(await subscriber.exited).toBe(0);
  expect(hash(subscriber.stdout)).toBe(hash(`${line}\n`.repeat(200)));
});
