import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { endAll, type Trellis, trellis } from '../cli/trellis.ts';
import { validity } from '../support/certificates.ts';
import { READ, untilAfter } from './log-lines.ts';
import { Materials, SECRET, user } from './materials.ts';

let directory: string;
let materials: Materials;

beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'trellis-reload-')));
  materials = new Materials(directory);
});

afterEach(endAll);
afterAll(() => rmSync(directory, { recursive: true }));

async function started(sections: Record<string, unknown>): Promise<[broker: Trellis, url: string]> {
  const config = materials.write('broker.json', JSON.stringify({ ...sections, store: { type: 'memory' } }));
  const broker = trellis(['start', '--config', config, '--port', '0', '--ws-port', 'off'], { directory });
  const [, url = ''] = await broker.until('stdout', /^ready .*?((?:mqtts?):\/\/\S+)$/m);
  return [broker, url];
}

/** A log line that names this sentence, with FILE for the file. */
function saying(sentence: string, file: string): RegExp {
  const text = JSON.stringify(sentence.replaceAll('FILE', file)).slice(1, -1);
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
}

const broken: readonly (readonly [name: string, content: string, sentence: string, mode?: number])[] = [
  ['users', 'alice:wonderland\n', 'FILE:1: the hash of user "alice" is of no kind that is known'],
  [
    'users',
    `${user('alice')}\n${user('alice')}\n`,
    'FILE:2: user "alice" has a line of this kind (password) at line 1',
  ],
  ['users', `${user('alice')}\n`, 'FILE holds secrets, but others than its owner have rights to it (mode 644)', 0o644],
  ['rules.yaml', 'roles: [\n', 'FILE:2:1: not valid YAML'],
  [
    'rules.yaml',
    'roles: {reader: []}\nusers: {alice: [writer]}\n',
    'FILE:2: there is no role writer; roles are defined',
  ],
  ['rules.yaml', '', 'FILE:1: the file must be sections such as "roles:", not nothing.'],
  ['secret', 'short', 'FILE holds a secret of less than the 32 bytes that HS256 needs.'],
  ['secret', SECRET, 'FILE holds secrets, but others than its owner have rights to it (mode 640)', 0o640],
  ['token', 'two\nlines\n', 'FILE holds no token'],
];

test('users, rules, secrets and tokens that are broken while it runs leave what was in force', async () => {
  const [broker, url] = await started({
    auth: {
      passwordFile: materials.file('users'),
      jwt: { secretFile: materials.file('secret') },
      // Where nobody listens: who is known before is not asked about there.
      webhook: { url: 'http://127.0.0.1:9/', tokenFile: materials.file('token') },
      allowAnonymous: 'nowhere',
    },
    acl: { file: materials.file('rules.yaml') },
  });
  const login = { username: 'alice', password: 'wonderland', protocolVersion: 5, reconnectPeriod: 0 } as const;
  const stays = await mqtt.connectAsync(url, login);
  for (const [name, content, sentence, mode] of broken) {
    const file = materials.file(name);
    const before = readFileSync(file);
    let logged = untilAfter(broker);
    materials.write(name, content, mode);
    await logged(saying(sentence, file));
    const other = await mqtt.connectAsync(url, login);
    expect(await other.subscribeAsync(['a', 'b']).catch(() => 'refused')).toBe('refused');
    expect(await stays.subscribeAsync('a')).toMatchObject([{ qos: 0 }]);
    await other.endAsync();
    logged = untilAfter(broker);
    materials.write(name, before);
    await logged(READ);
  }
  await stays.endAsync();
});

const brokenTls: readonly (readonly [
  name: string,
  make: (of: Materials) => string,
  sentence: string,
  mode?: number,
])[] = [
  ['pki/server.crt', () => '', 'There is no certificate in FILE'],
  [
    'pki/server.crt',
    ({ other }) => readFileSync(other.file('server.crt'), 'utf8'),
    'does not fit the certificate in FILE',
  ],
  ['pki/server.key', () => 'key', 'There is no private key in FILE'],
  [
    'pki/server.key',
    ({ authority }) => readFileSync(authority.file('server.key'), 'utf8'),
    'FILE holds secrets, but others than its owner have rights to it (mode 604)',
    0o604,
  ],
  ['pki/ca.crt', () => 'none', 'There is no certificate in FILE'],
  ['pki/empty.crl', ({ other }) => other.list(), 'The list of revoked certificates in FILE is of another authority'],
  [
    'pki/empty.crl',
    ({ authority }) => authority.list([], validity(-3, -2)),
    'The list of revoked certificates in FILE was',
  ],
  ['psk', () => 'sensor:0f\n', 'FILE:1: must be identity:key'],
];

test('certificates, keys, authorities and lists that are broken while it runs leave what was in force', async () => {
  const { authority } = materials;
  authority.client('alice');
  const [broker, url] = await started({
    listeners: { tcp: { port: 'off' }, tls: { port: 0 } },
    tls: {
      certFiles: [authority.file('server.crt')],
      keyFiles: [authority.file('server.key')],
      caFile: authority.file('ca.crt'),
      crlFile: authority.file('empty.crl'),
      clientCertificates: 'required',
      pskFile: materials.file('psk'),
    },
    auth: { certificateIdentity: 'common-name' },
  });
  const options = {
    ca: authority.certificate,
    cert: readFileSync(authority.file('alice.crt')),
    key: readFileSync(authority.file('alice.key')),
    reconnectPeriod: 0,
  };
  const stays = await mqtt.connectAsync(url, options);
  for (const [name, make, sentence, mode] of brokenTls) {
    const file = materials.file(name);
    const before = readFileSync(file);
    let logged = untilAfter(broker);
    materials.write(name, make(materials), mode);
    await logged(saying(sentence, file));
    await (await mqtt.connectAsync(url, options)).endAsync();
    logged = untilAfter(broker);
    materials.write(name, before);
    await logged(READ);
  }
  expect(stays.connected).toBe(true);
  await stays.endAsync();
});
