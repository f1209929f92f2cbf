import { type Trellis, trellis } from '../cli/trellis.ts';

/** A broker in a process of its own. */
export interface BrokerProcess {
  readonly command: Trellis;
  readonly port: number;
  readonly webSocketPort: number;
  /** `mqtt://127.0.0.1:PORT` */
  readonly url: string;
  /** `ws://127.0.0.1:PORT/mqtt` */
  readonly webSocketUrl: string;
}

/** Where it listens, and its data directory; any free ports by default. */
export interface BrokerProcessOptions {
  directory: string;
  port?: number;
  webSocketPort?: number;
  args?: readonly string[];
}

/** Starts `trellis start` and waits until it is ready. */
export async function startBrokerProcess(options: BrokerProcessOptions): Promise<BrokerProcess> {
  const { directory, port = 0, webSocketPort = 0, args = [] } = options;
  const ports = ['--port', String(port), '--ws-port', String(webSocketPort)];
  const command = trellis(['start', ...ports, ...args], { directory });
  return ready(command);
}

/** The same broker process once its ready line is there. */
export async function ready(command: Trellis): Promise<BrokerProcess> {
  const [, url = '', port, webSocketUrl = '', webSocketPort] = await command.until(
    'stdout',
    /^ready (mqtt:\/\/127\.0\.0\.1:(\d+)) (ws:\/\/127\.0\.0\.1:(\d+)\/mqtt)\n/m,
  );
  return { command, port: Number(port), webSocketPort: Number(webSocketPort), url, webSocketUrl };
}

/** Kills the broker as a crash would, and starts it again on the same ports and data. */
export async function crashAndRestart(broker: BrokerProcess, directory: string): Promise<BrokerProcess> {
  broker.command.process.kill('SIGKILL');
  await broker.command.exited;
  return startBrokerProcess({ directory, port: broker.port, webSocketPort: broker.webSocketPort });
}
