import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBroker } from '../../src/broker.ts';
import { type Config, createConfig, type DeepPartial } from '../../src/config.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { boundCommand } from '../support/bound-command.ts';
import { until } from '../support/polling.ts';

/** A broker that sequences are played to. */
export interface ComparedBroker {
  readonly port: number;
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
/** What both are told, where both can be told. */
const RECEIVE_MAXIMUM = 20;
const TOPIC_ALIAS_MAXIMUM = 10;
const QUEUE_MESSAGES_MAX = 1_000;

/** Trellis in this process, set up as the other is. @param overrides what is to be otherwise. */
export async function startTrellis({ limits }: DeepPartial<Config> = {}): Promise<ComparedBroker> {
  const config = createConfig({
    listeners: { tcp: { host: HOST, port: 0 }, websocket: { port: 'off' } },
    limits: {
      receiveMaximum: RECEIVE_MAXIMUM,
      topicAliasMaximum: TOPIC_ALIAS_MAXIMUM,
      writeDelayMs: 0,
      lingerMs: 200,
      ...limits,
    },
    session: {
      inFlightMessagesMax: RECEIVE_MAXIMUM,
      queueMessagesMax: QUEUE_MESSAGES_MAX,
      overlap: 'per-subscription',
    },
    store: { type: 'memory' },
    admin: { sysIntervalSeconds: 0 },
  });
  const broker = await startBroker(config, { store: new MemoryStore() });
  const { port } = broker.listeners[0] as { port: number };
  return { port, stop: () => broker.close() };
}

/** Mosquitto, with nothing of the machine's own configuration. @param program its path. */
export async function startMosquitto(program: string): Promise<ComparedBroker> {
  const directory = mkdtempSync(join(tmpdir(), 'trellis-differential-'));
  const port = await freePort();
  const lines = [
    `listener ${port} ${HOST}`,
    'allow_anonymous true',
    'persistence false',
    'sys_interval 0',
    'set_tcp_nodelay true',
    `max_inflight_messages ${RECEIVE_MAXIMUM}`,
    `max_queued_messages ${QUEUE_MESSAGES_MAX}`,
    'allow_duplicate_messages true',
    'log_dest none',
  ];
  const file = join(directory, 'mosquitto.conf');
  writeFileSync(file, `${lines.join('\n')}\n`);
  const [command, args] = boundCommand(program, ['-c', file]);
  const child = spawn(command, args, { stdio: 'ignore' });
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(directory, { recursive: true });
  };
  try {
    await until('mosquitto to listen', () => (child.exitCode === null ? isListening(port) : undefined));
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, stop };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

async function isListening(port: number): Promise<true | undefined> {
  const socket = connect({ host: HOST, port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
