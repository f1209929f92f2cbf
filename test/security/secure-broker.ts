import { once } from 'node:events';
import { mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { generate } from 'mqtt-packet';
import { CertificateAuthority, type KeyedCertificate } from '../../src/cli/certificate-authority.ts';
import { finished, type Trellis, trellis, type TrellisOptions } from '../cli/trellis.ts';
import { type Until, untilAfter } from './log-lines.ts';

/** A directory with what `trellis cert` makes in it: an authority, the broker, and clients. */
export class Certificates {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Makes it below the system's folder for temporary files. */
  static async make(clients: readonly string[]): Promise<Certificates> {
    const made = new Certificates(realpathSync(mkdtempSync(join(tmpdir(), 'trellis-secure-'))));
    await made.cert(...clients.flatMap((name) => ['--client', name]));
    return made;
  }

  /** Runs `trellis cert`. */
  async cert(...args: string[]): Promise<void> {
    const { code, stderr } = await finished(['cert', ...args], { directory: this.directory });
    if (code !== 0) throw new Error(stderr);
  }

  /** Path of a file of `trellis cert`. */
  file(name: string): string {
    return join(this.directory, 'certs', name);
  }

  read(name: string): string {
    return readFileSync(this.file(name), 'utf8');
  }

  /** Writes a file for its owner alone; returns its path. */
  write(name: string, text: string): string {
    const file = join(this.directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }

  /** The authority, for certificates that the command does not make. */
  get authority(): CertificateAuthority {
    return new CertificateAuthority({ certificate: this.read('ca.crt'), key: this.read('ca.key') });
  }

  /** What `trellis cert` made for a client. */
  client(name: string): KeyedCertificate {
    return { certificate: this.read(`clients/${name}.crt`), key: this.read(`clients/${name}.key`) };
  }
}

/** A broker with a listener for TLS and one for secure WebSocket. */
export interface SecureBroker {
  readonly command: Trellis;
  /** `mqtts://127.0.0.1:PORT` and `wss://127.0.0.1:PORT/mqtt`. */
  readonly urls: readonly [mqtts: string, wss: string];
  readonly port: string;
  /** Waits for a line of its log, from where it is now. */
  readonly log: () => Until;
}

/** Starts one with these sections beside those of its listeners. */
export async function startSecure(
  certificates: Certificates,
  sections: { readonly tls?: object; readonly listeners?: object } & Readonly<Record<string, unknown>>,
  args: readonly string[] = ['--store', 'memory'],
  options: TrellisOptions = {},
): Promise<SecureBroker> {
  const config = {
    ...sections,
    listeners: {
      tcp: { port: 'off' },
      websocket: { port: 'off' },
      tls: { port: 0 },
      secureWebsocket: { port: 0 },
      ...sections.listeners,
    },
    tls: {
      certFiles: [certificates.file('server.crt')],
      keyFiles: [certificates.file('server.key')],
      ...sections.tls,
    },
  };
  const file = certificates.write(`broker-${args.length}.json`, JSON.stringify(config));
  const { directory } = certificates;
  const command = trellis(['start', '--config', file, '--log-level', 'info', ...args], { directory, ...options });
  const [, mqtts = '', port = '', wss = ''] = await command.until('stdout', /^ready (mqtts:\S+:(\d+)) (wss:\S+)$/m);
  return { command, urls: [mqtts, wss], port, log: () => untilAfter(command) };
}

/** A connection that speaks TLS, behind a header of a balancer where there is one, and says CONNECT. */
export async function connectRaw(
  port: string,
  clientId: string,
  { ca, header }: { readonly ca: string; readonly header?: string },
): Promise<TLSSocket> {
  const plain = connectTcp(Number(port), '127.0.0.1');
  plain.on('error', () => {});
  if (header !== undefined) plain.write(header);
  const socket = connectTls({ socket: plain, ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  const packet = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as const;
  socket.write(generate({ ...packet, clientId }));
  await once(socket, 'data');
  return socket;
}
