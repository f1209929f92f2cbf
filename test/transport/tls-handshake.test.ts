import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { TlsOptions } from '../../src/transport/tls-credentials.ts';
import { TestAuthority, valid, validity } from '../support/certificates.ts';
import { until } from '../support/polling.ts';
import { findTool } from '../tools.ts';
import { type Greeting, greeting, sClient, type SecureKind, secureKinds, WELCOME } from './secure-listeners.ts';

const openssl = findTool('openssl');
const missing = openssl === undefined ? 'openssl is not installed' : '';

const directory = mkdtempSync(join(tmpdir(), 'trellis-handshake-'));
const authority = new TestAuthority(join(directory, 'own'));
const stranger = new TestAuthority(join(directory, 'stranger'));
const server = authority.server('server');

afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function withListener(
  kind: SecureKind,
  tls: Partial<TlsOptions>,
  run: (greeted: Greeting) => Promise<void>,
): Promise<void> {
  const greeted = await greeting(kind, { certificates: [server], ...tls });
  try {
    await run(greeted);
  } finally {
    await greeted.close();
  }
}

const trusted = ['-CAfile', authority.file('ca.crt'), '-verify_return_error'];

describe.skipIf(missing)(`openssl s_client ${missing}`, () => {
  test.each(secureKinds.flatMap((kind) => ['-tls1_2', '-tls1_3'].map((version) => [kind, version] as const)))(
    'comes by %s with %s',
    async (kind, version) => {
      await withListener(kind, {}, async ({ listener, streams, refused }) => {
        const output = await sClient(kind, listener.port, [version, ...trusted]);
        expect(output).toContain(WELCOME);
        expect(output).toContain('Verification: OK');
        expect(streams.map(({ transport, certificate }) => [transport, certificate])).toEqual([[kind, undefined]]);
        expect(refused).toEqual([]);
      });
    },
  );

  test.each<[string, string[], Partial<TlsOptions>, RegExp]>([
    ['TLS 1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], {}, /unsupported protocol/],
    ['TLS 1.2 where 1.3 is asked for', ['-tls1_2'], { minVersion: 'TLSv1.3' }, /unsupported protocol/],
    ['a cipher without forward secrecy', ['-tls1_2', '-cipher', 'AES128-GCM-SHA256'], {}, /no shared cipher/],
    ['a cipher in CBC', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256'], {}, /no shared cipher/],
  ])('is refused with %s', async (_, args, tls, reason) => {
    for (const kind of secureKinds) {
      await withListener(kind, tls, async ({ listener, streams, refused }) => {
        expect(await sClient(kind, listener.port, args)).not.toContain(WELCOME);
        await until('a refusal', () => refused[0]);
        expect(refused).toEqual([expect.stringMatching(reason)]);
        expect(streams).toEqual([]);
      });
    }
  });

  test.each<[SecureKind, string, boolean]>([
    ['tls', 'mqtt', true],
    ['tls', 'h2,mqtt', true],
    ['tls', 'http/1.1', false],
    ['secure-websocket', 'h2,http/1.1', true],
    ['secure-websocket', 'mqtt', false],
  ])('on %s may offer the protocols %s by ALPN: %s', async (kind, protocols, isAccepted) => {
    await withListener(kind, {}, async ({ listener }) => {
      const output = await sClient(kind, listener.port, [...trusted, '-alpn', protocols]);
      expect(output.includes(WELCOME)).toBe(isAccepted);
      expect(output).toContain(
        isAccepted ? `ALPN protocol: ${kind === 'tls' ? 'mqtt' : 'http/1.1'}` : 'alert no application protocol',
      );
    });
  });

  test('may not renegotiate', async () => {
    for (const kind of secureKinds) {
      await withListener(kind, {}, async ({ listener }) => {
        const args = ['s_client', '-connect', `127.0.0.1:${listener.port}`, '-tls1_2', ...trusted];
        const client = spawn(openssl!, args, { stdio: 'pipe' });
        let output = '';
        const exited = once(client, 'close');
        for (const stream of [client.stdout, client.stderr]) {
          stream.setEncoding('latin1').on('data', (text: string) => {
            const hadCome = output.includes('Verify return code');
            output += text;
            if (!hadCome && output.includes('Verify return code')) client.stdin.write('R\n');
            if (output.includes('no renegotiation')) client.kill('SIGKILL');
          });
        }
        await exited;
        expect(output).toContain('RENEGOTIATING');
        expect(output).toContain('no renegotiation');
      });
    }
  });

  test('gets the certificate of the server it names, or the first', async () => {
    const certificates = [
      authority.server('first', ['first.example']),
      authority.server('second', ['Second.example', '*.dev.example']),
    ];
    for (const kind of secureKinds) {
      await withListener(kind, { certificates }, async ({ listener }) => {
        for (const [name, subject] of [
          ['first.example', 'first.example'],
          ['second.example', 'Second.example'],
          ['SECOND.EXAMPLE', 'Second.example'],
          ['a.dev.example', 'Second.example'],
          ['a.b.dev.example', 'first.example'],
          ['dev.example', 'first.example'],
          ['__proto__', 'first.example'],
        ] as const) {
          const output = await sClient(kind, listener.port, [...trusted, '-servername', name]);
          expect([name, /^subject=(?:CN ?= ?)(.*)$/m.exec(output)?.[1]]).toEqual([name, subject]);
          expect(output).toContain(WELCOME);
        }
        expect(await sClient(kind, listener.port, [...trusted, '-noservername'])).toContain('first.example');
      });
    }
  });
});

test.skipIf(missing)('who offers an identity and goes on with certificates has not proven it', async () => {
  const pskFile = authority.write('psk', `sensor-1:${'0f'.repeat(32)}\n`);
  await withListener('tls', { pskFile }, async ({ listener, streams }) => {
    // A session with another hash than that of pre-shared keys, so that OpenSSL asks for the key and then leaves it aside.
    const suite = ['-tls1_3', '-ciphersuites', 'TLS_AES_256_GCM_SHA384', ...trusted];
    const session = authority.file('session');
    expect(await sClient('tls', listener.port, [...suite, '-sess_out', session])).toContain(WELCOME);
    const offered = [...suite, '-psk_session', session, '-psk_identity', 'sensor-1'];
    expect(await sClient('tls', listener.port, offered)).toContain(WELCOME);
    expect(streams.map(({ pskIdentity }) => pskIdentity)).toEqual([undefined, undefined]);
  });
});

const revoked = authority.client('revoked');
const crlFile = authority.write('ca.crl', authority.list([revoked]));
authority.client('good', valid, ['good.example', '192.0.2.1']);
authority.client('expired', validity(-30, -1));
authority.client('early', validity(1, 30));
stranger.client('stranger');

const clientFaults: readonly (readonly [string, string, TestAuthority, RegExp])[] = [
  ['that has expired', 'expired', authority, /^its certificate has expired$/],
  ['that is not valid yet', 'early', authority, /^its certificate is not valid yet$/],
  ['that is revoked', 'revoked', authority, /^its certificate is revoked$/],
  ['of another authority', 'stranger', stranger, /^its certificate is of an authority that is not trusted here$/],
  ['for servers', 'server', authority, /^its certificate is not one for clients$/],
];

describe.skipIf(missing)(`client certificates ${missing}`, () => {
  const withClients: Partial<TlsOptions> = {
    authorities: [{ file: authority.file('ca.crt') }],
    revocationLists: [{ file: crlFile }],
  };

  function certificateOf(owner: TestAuthority, name: string): string[] {
    return ['-cert', owner.file(`${name}.crt`), '-key', owner.file(`${name}.key`)];
  }

  const modes = ['optional', 'required'] as const;

  test.each(
    modes.flatMap((clientCertificates) =>
      ['-tls1_2', '-tls1_3'].flatMap((version) =>
        clientFaults.map(([what, name, owner, reason]) => ({ clientCertificates, version, what, name, owner, reason })),
      ),
    ),
  )('one $what is refused where they are $clientCertificates ($version)', async ({ name, owner, reason, ...rest }) => {
    const outputs: boolean[] = [];
    for (const kind of secureKinds) {
      const { clientCertificates } = rest;
      await withListener(kind, { ...withClients, clientCertificates }, async ({ listener, streams, refused }) => {
        const args = [rest.version, ...trusted, ...certificateOf(owner, name)];
        outputs.push((await sClient(kind, listener.port, args)).includes(WELCOME));
        await until('a refusal', () => refused[0]);
        expect(refused).toEqual([expect.stringMatching(reason)]);
        expect(streams).toEqual([]);
      });
    }
    expect(outputs).toEqual([false, false]);
  });

  test('one that its holder signed is refused', async () => {
    const self = new TestAuthority(join(directory, 'self-signed'), 'self');
    const key = self.file('key.pem');
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      '/CN=self',
    ];
    execFileSync(openssl!, [...request, '-keyout', key, '-out', self.file('self.crt')], { stdio: 'ignore' });
    for (const clientCertificates of modes) {
      for (const kind of secureKinds) {
        await withListener(kind, { ...withClients, clientCertificates }, async ({ listener, streams, refused }) => {
          const output = await sClient(kind, listener.port, [...trusted, '-cert', self.file('self.crt'), '-key', key]);
          expect(output).not.toContain(WELCOME);
          await until('a refusal', () => refused[0]);
          expect([refused, streams]).toEqual([['it signed its certificate itself'], []]);
        });
      }
    }
  });

  test('a good one says who the client is', async () => {
    for (const kind of secureKinds) {
      for (const clientCertificates of modes) {
        await withListener(kind, { ...withClients, clientCertificates }, async ({ listener, streams }) => {
          for (const version of ['-tls1_2', '-tls1_3']) {
            const args = [version, ...trusted, ...certificateOf(authority, 'good')];
            expect(await sClient(kind, listener.port, args)).toContain(WELCOME);
          }
          expect(streams.map(({ certificate }) => certificate)).toEqual(
            Array.from({ length: 2 }, () => ({
              commonName: 'good',
              alternativeNames: ['DNS:good.example', 'IP Address:192.0.2.1'],
              fingerprint: expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
            })),
          );
        });
      }
    }
  });

  test('none is refused only where they are required', async () => {
    for (const kind of secureKinds) {
      for (const version of ['-tls1_2', '-tls1_3']) {
        await withListener(kind, { ...withClients, clientCertificates: 'optional' }, async ({ listener, streams }) => {
          expect(await sClient(kind, listener.port, [version, ...trusted])).toContain(WELCOME);
          expect(streams.map(({ certificate }) => certificate)).toEqual([undefined]);
        });
        await withListener(kind, { ...withClients, clientCertificates: 'required' }, async ({ listener, refused }) => {
          expect(await sClient(kind, listener.port, [version, ...trusted])).not.toContain(WELCOME);
          await until('a refusal', () => refused[0]);
          expect(refused).toEqual(['it has no certificate']);
        });
      }
    }
  });

  test('one that is revoked meanwhile does not come back by resuming its session', async () => {
    const own = new TestAuthority(join(directory, 'resuming'));
    const holder = own.client('holder');
    const list = own.write('ca.crl', own.list());
    const tls: TlsOptions = {
      certificates: [own.server('server')],
      clientCertificates: 'required',
      authorities: [{ file: own.file('ca.crt') }],
      revocationLists: [{ file: list }],
    };
    for (const version of ['-tls1_2', '-tls1_3']) {
      own.write('ca.crl', own.list());
      const greeted = await greeting('tls', tls);
      const session = own.file(`session${version}`);
      const args = [version, '-CAfile', own.file('ca.crt'), ...certificateOf(own, 'holder')];
      expect(await sClient('tls', greeted.listener.port, [...args, '-sess_out', session])).toContain(WELCOME);
      const resumed = await sClient('tls', greeted.listener.port, [...args, '-sess_in', session]);
      expect(resumed).toContain(WELCOME);
      expect(resumed).toMatch(/^Reused, /m);
      expect(greeted.streams.map(({ certificate }) => certificate?.commonName)).toEqual(['holder', 'holder']);

      own.write('ca.crl', own.list([holder]));
      await greeted.listener.reload();
      expect(await sClient('tls', greeted.listener.port, [...args, '-sess_in', session])).not.toContain(WELCOME);
      await until('a refusal', () => greeted.refused[0]);
      expect(greeted.refused).toEqual(['its certificate is revoked']);
      await greeted.close();
    }
  });
});
