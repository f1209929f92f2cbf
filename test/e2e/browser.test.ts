import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { endAll } from '../cli/trellis.ts';
import { findTool } from '../tools.ts';
import { type BrokerProcess, startBrokerProcess } from './broker-process.ts';
import { root } from './checkout.ts';
import { MqttJs } from './mqttjs-client.ts';

const chromium = findTool('chromium');
const missing = chromium === undefined ? 'chromium is not installed' : '';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

let directory: string;
let broker: BrokerProcess;
let server: ChildProcess;
/** `http://127.0.0.1:PORT` of examples/browser/serve.ts */
let site: string;
const browsers: ChildProcess[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-browser-'));
  broker = await startBrokerProcess({ directory, args: ['--store', 'memory'] });
  server = spawn(process.execPath, [join(root, 'examples/browser/serve.ts'), '0', String(broker.webSocketPort)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(server.stdout!.setEncoding('utf8'), 'data')) as [string];
  site = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0] ?? line;
});

afterEach(async () => {
  await Promise.all(
    browsers.splice(0).map(async (browser) => {
      const gone = browser.exitCode ?? browser.signalCode;
      if (gone === null) {
        const exited = once(browser, 'exit');
        process.kill(-browser.pid!, 'SIGKILL');
        await exited;
      }
    }),
  );
});

afterAll(async () => {
  server.kill('SIGTERM');
  await endAll();
  rmSync(directory, { recursive: true, maxRetries: 10, retryDelay: 100 });
});

/** Opens a page in a browser of its own profile. */
function open(url: string): void {
  const profile = mkdtempSync(join(directory, 'profile-'));
  // A debugging port of its own choice keeps the page open.
  const args = [...FLAGS, '--remote-debugging-port=0', `--user-data-dir=${profile}`, url];
  browsers.push(spawn(chromium!, args, { stdio: 'ignore', detached: true }));
}

test('the example server serves the page and MQTT.js', async () => {
  const page = await fetch(`${site}/`);
  expect(page.headers.get('content-type')).toContain('text/html');
  expect(await page.text()).toContain('<title>Trellis in a browser</title>');
  const script = await fetch(`${site}/mqtt.min.js`);
  expect(script.status).toBe(200);
  expect((await script.arrayBuffer()).byteLength).toBeGreaterThan(100_000);
  expect((await fetch(`${site}/other`)).status).toBe(404);
});

test('the example server passes WebSockets on to the broker, whose origin rule lets them in', async () => {
  const client = new MqttJs(`${site.replace('http', 'ws')}/mqtt`, {
    protocolVersion: 5,
    wsOptions: { origin: site },
  });
  await client.connect();
  await client.client.subscribeAsync('through', { qos: 1 });
  await client.client.publishAsync('through', 'x', { qos: 1 });
  expect((await client.until(1)).map(({ text }) => text)).toEqual(['x']);
  await client.abandon();
});

/** How the broker answers a page of the example's origin: `open`, or why not. */
function answerToPage(url: string): Promise<string> {
  const socket = new WebSocket(url, ['mqtt'], { origin: site });
  return new Promise((resolve) => {
    socket.once('open', () => {
      socket.terminate();
      resolve('open');
    });
    socket.once('error', (error) => resolve(error.message));
  });
}

test('a page of another origin is not let in unless it is listed', async () => {
  expect(await answerToPage(broker.webSocketUrl)).toContain('403');
  const args = ['--store', 'memory', '--set', `listeners.websocket.origins=${site}`];
  const listing = await startBrokerProcess({ directory, args });
  expect(await answerToPage(listing.webSocketUrl)).toBe('open');
});

test.skipIf(missing)('the page in a browser connects, subscribes and publishes', async () => {
  const witness = new MqttJs(broker.url, { protocolVersion: 5 });
  await witness.connect();
  await witness.client.subscribeAsync('demo/#', { qos: 1 });
  open(`${site}/`);
  // It publishes once its subscription is acknowledged.
  const [first] = await witness.until(1);
  expect(first).toMatchObject({ topic: 'demo/browser', text: 'The page is here' });
  await witness.abandon();
});

test.skipIf(missing)('the page connects to a broker of another origin that lists it', async () => {
  const args = ['--store', 'memory', '--set', `listeners.websocket.origins=${site}`];
  const listing = await startBrokerProcess({ directory, args });
  const witness = new MqttJs(listing.url, { protocolVersion: 4 });
  await witness.connect();
  await witness.client.subscribeAsync('demo/browser', { qos: 1 });
  open(`${site}/?broker=${encodeURIComponent(listing.webSocketUrl)}`);
  expect((await witness.until(1)).map(({ text }) => text)).toEqual(['The page is here']);
  await witness.abandon();
});
