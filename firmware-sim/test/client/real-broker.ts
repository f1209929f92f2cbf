import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OwnBroker } from '../../src/run/own-broker.ts';

/** A broker that was written by somebody, on a port of this machine. */
export interface RealBroker {
  readonly port: number;
  stop(): Promise<void>;
}

const mosquittoPath = '/usr/sbin/mosquitto';

/** Whether Mosquitto is installed here. */
export const hasMosquitto: boolean = existsSync(mosquittoPath);

/** Trellis. */
export async function startTrellis(): Promise<RealBroker> {
  const broker = await OwnBroker.start();
  return { port: broker.ports.mqtt, stop: () => broker.stop() };
}

/**
 * Mosquitto, with queues that have no limit.
 * @param files written into its folder first. @param settings for its listener, `{folder}` replaced; open to all unless given.
 */
export async function startMosquitto(
  files: Readonly<Record<string, string>> = {},
  settings: readonly string[] = ['allow_anonymous true'],
): Promise<RealBroker> {
  const folder = await mkdtemp(join(tmpdir(), 'firmware-sim-mosquitto-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const port = await freePort();
  const lines = ['max_queued_messages 0', 'persistence false', 'user root', `listener ${port} 127.0.0.1`, ...settings];
  await writeFile(join(folder, 'mosquitto.conf'), `${lines.join('\n').replaceAll('{folder}', folder)}\n`);
  const child = spawn(mosquittoPath, ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
  await untilListening(port, child);
  return {
    port,
    async stop() {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A port that nobody uses at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    const socket = connect(port, '127.0.0.1');
    const isThere = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isThere) return;
  }
  throw new Error(`mosquitto ended with ${child.exitCode}`);
}
