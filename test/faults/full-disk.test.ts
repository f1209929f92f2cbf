import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, type TestContext, test, vi } from 'vitest';
import { PacketType, type ProtocolVersion } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { BrokerProcess } from '../crash/broker-process.ts';
import { openTcp } from '../support/client-socket.ts';
import { RawClient } from '../support/raw-client.ts';

const DISK = '12m';
const PAYLOAD = 'x'.repeat(8_000);
const TOPIC = 'durable/1';

let directory: string;
let disk: string;
let data: string;
let undo: (() => void)[];
let processes: BrokerProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-full-disk-'));
  disk = join(directory, 'disk');
  mkdirSync(disk);
  data = join(disk, 'data');
  undo = [];
  processes = [];
});

afterEach(async () => {
  for (const broker of processes) broker.kill();
  await Promise.all(processes.map((broker) => broker.ended));
  for (const step of undo.toReversed()) step();
  rmSync(directory, { recursive: true });
});

/** Runs a command of the system. @returns what went wrong; empty for nothing. */
function run(command: string, ...args: string[]): string {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? '' : `${stderr}${error === undefined ? '' : String(error)}` || `exit code ${status}`;
}

/** Does what only root may, on some systems; skips the test with the reason where it cannot be done. */
function needs(context: TestContext, command: string, ...args: string[]): void {
  const problem = run(command, ...args);
  if (problem === '') return;
  const reason = `${command} ${args.join(' ')} is not possible here: ${problem}`;
  console.log(`Skipped: ${reason}`);
  context.skip(reason);
}

function mountDisk(context: TestContext): void {
  needs(context, 'mount', '-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', disk);
  undo.push(() => run('umount', '-l', disk));
}

async function start(): Promise<{ broker: BrokerProcess; port: number }> {
  const settings = ['store.minFreeBytes=0', 'admin.sysIntervalSeconds=0'];
  const broker = new BrokerProcess({ storeFlags: ['--data', data], compileCache: join(directory, 'cache'), settings });
  processes.push(broker);
  const port = await broker.ready;
  if (port === undefined) throw new Error(`the broker does not start: ${(await broker.ended).stderr}`);
  return { broker, port };
}

/** A client with a session that never expires, which costs the store nothing when it comes and goes. */
async function connect(port: number, name: string, version: ProtocolVersion = 4): Promise<RawClient> {
  const client = new RawClient(name, version);
  client.attach(await openTcp('127.0.0.1', port, client));
  const properties = version === 5 ? { sessionExpiryInterval: 0xffff_ffff } : {};
  await client.connect({ cleanStart: false, properties });
  return client;
}

/** Publishes with QoS 1. @returns the reason code of PUBACK. */
async function publish(client: RawClient, payload: string): Promise<number> {
  const packetId = client.sendPublish(TOPIC, payload, { qos: 1 });
  const { reasonCode } = await client.expect(PacketType.puback, { packetId });
  return reasonCode;
}

/** Publishes until it is refused. @returns what was taken. */
async function publishUntilFull(client: RawClient): Promise<string[]> {
  const taken: string[] = [];
  for (let count = 0; count < 10_000; count++) {
    const payload = `${count} ${PAYLOAD}`;
    const reasonCode = await publish(client, payload);
    if (reasonCode === ReasonCode.quotaExceeded) return taken;
    expect(reasonCode).toBe(ReasonCode.success);
    taken.push(payload);
  }
  throw new Error('the disk does not fill');
}

/** Publishes the same until it is taken, as a client does that is refused. */
async function publishUntilTaken(client: RawClient, payload: string): Promise<void> {
  while ((await publish(client, payload)) !== ReasonCode.success) await client.ping();
}

async function expectMessages(client: RawClient, payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) await client.expectMessage({ payload, qos: 1 });
  await client.expectNothing();
}

/** An offline session that gets everything published to `TOPIC`. */
async function makeSubscriber(port: number): Promise<void> {
  const subscriber = await connect(port, 'subscriber');
  await subscriber.subscribe(TOPIC, 1);
  await subscriber.disconnect();
}

// Each step may wait for the broker's next look at the disk, and processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

describe('a broker on a full disk', () => {
  test('refuses, keeps what it took, and goes on by itself once somebody else made room', async (context) => {
    mountDisk(context);
    const { broker, port } = await start();
    await makeSubscriber(port);
    const publisher = await connect(port, 'publisher', 5);
    const old = await connect(port, 'old');
    const first = 'first';
    await publishUntilTaken(publisher, first);
    const { bavail, bsize } = statfsSync(disk);
    const filler = join(disk, 'filler');
    writeFileSync(filler, Buffer.alloc(bavail * bsize));
    const taken = await publishUntilFull(publisher);
    old.sendPublish(TOPIC, PAYLOAD, { qos: 1 });
    await old.expectNothing();
    rmSync(filler);
    await publishUntilTaken(publisher, 'last');
    broker.kill('SIGTERM');
    expect((await broker.ended).code).toBe(0);
    const again = await start();
    await expectMessages(await connect(again.port, 'subscriber'), [first, ...taken, 'last']);
  });

  test('gives out what is queued, and has room again when that is acknowledged', async (context) => {
    mountDisk(context);
    const { broker, port } = await start();
    await makeSubscriber(port);
    const publisher = await connect(port, 'publisher', 5);
    const taken = await publishUntilFull(publisher);
    expect(taken.length).toBeGreaterThan(100);
    const subscriber = await connect(port, 'subscriber');
    await expectMessages(subscriber, taken);
    await publishUntilTaken(publisher, 'after');
    await subscriber.expectMessage({ payload: 'after' });
    await subscriber.expectNothing();
    broker.kill();
    await broker.ended;
    const again = await start();
    // The last acknowledgement needs no flush: it may have been forgotten, with that one message.
    const back = await connect(again.port, 'subscriber');
    const publisherAgain = await connect(again.port, 'publisher', 5);
    await publishUntilTaken(publisherAgain, 'end');
    const next = await back.expectMessage();
    if (Buffer.from(next.payload).toString() === 'after') await back.expectMessage({ payload: 'end' });
    await back.expectNothing();
  });
});

describe('a broker whose disk fails', () => {
  test('acknowledges nothing any more, exits with 1, and has all it took when it is started again', async (context) => {
    const { broker, port } = await start();
    await makeSubscriber(port);
    const publisher = await connect(port, 'publisher', 5);
    const taken = ['one', 'two', 'three'];
    for (const payload of taken) expect(await publish(publisher, payload)).toBe(ReasonCode.success);
    const file = join(data, 'data.mdb');
    needs(context, 'chattr', '+i', file);
    undo.push(() => run('chattr', '-i', file));
    publisher.sendPublish(TOPIC, 'never', { qos: 1 });
    const end = await broker.ended;
    expect(end.signal).toBeNull();
    expect(end.code).toBe(1);
    expect(end.stderr).toContain('Writing to');
    // No acknowledgement, and no DISCONNECT that could be taken for an orderly end.
    expect((await publisher.expectClose()).disconnect).toBeUndefined();
    run('chattr', '-i', file);
    const again = await start();
    await expectMessages(await connect(again.port, 'subscriber'), taken);
  });
});
