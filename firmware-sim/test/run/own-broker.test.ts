import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { isListening } from '../../src/run/broker-killer.ts';
import { OwnBroker } from '../../src/run/own-broker.ts';
import { RunError } from '../../src/run/run.ts';

const scratch = mkdtempSync(join(tmpdir(), 'own-broker-'));
beforeEach(() => void vi.stubEnv('TMPDIR', scratch));
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const listens = (port: number): Promise<boolean> => isListening({ host: '127.0.0.1', port });

/** Folders of data that are still there. */
const leftBehind = (): string[] => readdirSync(scratch).filter((name) => name.startsWith('firmware-sim-'));

test('a broker comes up on free ports, survives kill -9 with what it acknowledged, and leaves nothing behind', async () => {
  const before = process.listenerCount('exit');
  const broker = await OwnBroker.start();
  try {
    const { mqtt, websocket } = broker.ports;
    expect([await listens(mqtt), await listens(websocket)]).toEqual([true, true]);
    const writer = await connectAsync(`mqtt://127.0.0.1:${mqtt}`, { reconnectPeriod: 0 });
    writer.on('error', () => {});
    await writer.publishAsync('kept', 'what was acknowledged', { qos: 1, retain: true });

    await broker.kill();
    expect([await listens(mqtt), await listens(websocket)]).toEqual([false, false]);
    await broker.start();
    expect(broker.ports).toEqual({ mqtt, websocket });

    const reader = await connectAsync(`ws://127.0.0.1:${websocket}/mqtt`, { reconnectPeriod: 0 });
    const arrived = new Promise<string>((resolve) =>
      reader.on('message', (topicName, payload, { retain }) => resolve(`${topicName} ${payload.toString()} ${retain}`)),
    );
    await reader.subscribeAsync('kept', { qos: 1 });
    expect(await arrived).toBe('kept what was acknowledged true');
    await Promise.all([writer.endAsync(true), reader.endAsync(true)]);
  } finally {
    await broker.stop();
  }
  expect([await listens(broker.ports.mqtt), leftBehind(), process.listenerCount('exit')]).toEqual([false, [], before]);
});

test('a broker that does not come up is told of in its own words, and leaves nothing behind', async () => {
  vi.stubEnv('TRELLIS_LIMITS__NONSENSE', '1');
  const failed = OwnBroker.start();
  await expect(failed).rejects.toThrow(RunError);
  await expect(failed).rejects.toThrow(/^The broker did not start: TRELLIS_LIMITS__NONSENSE/);
  expect(leftBehind()).toEqual([]);
});

test('stopping and killing twice does no harm', async () => {
  const broker = await OwnBroker.start();
  await broker.kill();
  await broker.kill();
  await broker.stop();
  await broker.stop();
  expect(leftBehind()).toEqual([]);
});
