import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { validity } from '../support/certificates.ts';
import { directory, type Fault, garbage, holding, loop, missing, open, pipe, put, zeros } from './faults.ts';
import { type Materials, RULES, SECRET, user } from './materials.ts';

/** The sections of a configuration that name a file. */
type Naming = (file: string, materials: Materials) => Readonly<Record<string, unknown>>;

/** A broken file, how a configuration names it, and what is said of it, FILE being its path. */
export interface BrokenFile {
  /** Name of the file. */
  readonly name: string;
  readonly what: string;
  readonly naming: Naming;
  readonly fault: Fault;
  readonly sentence: string;
}

const passwords: Naming = (file) => ({ auth: { passwordFile: file } });
const rules: Naming = (file) => ({ acl: { file } });
const secret: Naming = (file) => ({ auth: { jwt: { secretFile: file } } });
const publicKey: Naming = (file) => ({ auth: { jwt: { publicKeyFile: file } } });
const keySet: Naming = (file) => ({ auth: { jwt: { keySetFile: file } } });
const token: Naming = (file) => ({ auth: { webhook: { url: 'http://127.0.0.1:9/', tokenFile: file } } });

function secure(tls: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { listeners: { tls: { port: 0 }, secureWebsocket: { port: 0 } }, tls };
}

const certificate: Naming = (file, { authority }) =>
  secure({ certFiles: [file], keyFiles: [authority.file('server.key')] });
const expired: Naming = (file, { authority }) =>
  secure({ certFiles: [file], keyFiles: [authority.file('expired.key')] });
const key: Naming = (file, { authority }) => secure({ certFiles: [authority.file('server.crt')], keyFiles: [file] });
const authorities: Naming = (file, { authority }) =>
  secure({
    certFiles: [authority.file('server.crt')],
    keyFiles: [authority.file('server.key')],
    caFile: file,
    clientCertificates: 'required',
  });
const revoked: Naming = (file, materials) => {
  const { tls } = authorities(materials.authority.file('ca.crt'), materials) as { tls: object };
  return secure({ ...tls, crlFile: file });
};
const redisPassword: Naming = (file) => ({ store: { type: 'redis' }, redis: { passwordFile: file } });
const bans: Naming = (file) => ({ limits: { banFile: file } });
const psk: Naming = (file) => ({ listeners: { tls: { port: 0 } }, tls: { pskFile: file } });

function pem(made: KeyObject, type: 'spki' | 'pkcs8'): string {
  return made.export({ format: 'pem', type: type as 'spki' });
}

const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KOBLITZ = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
const SHORT_RSA = generateKeyPairSync('rsa', { modulusLength: 1024 });
const ENCRYPTED = EC.privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' });

function group(
  naming: Naming,
  name: string,
  faults: readonly (readonly [what: string, fault: Fault, sentence: string])[],
): BrokenFile[] {
  return faults.map(([what, fault, sentence]) => ({ name, what, naming, fault, sentence }));
}

/** Every one of them keeps a broker from starting. */
export const brokenFiles: readonly BrokenFile[] = [
  // Root may read everything.
  ...(process.getuid?.() === 0
    ? []
    : group(passwords, 'users', [
        ['locked', open(user('alice'), 0o000), 'Cannot read FILE: no permission to read it.'],
      ])),
  ...group(passwords, 'password file', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    ['directory', directory, 'Cannot read FILE: it is a directory.'],
    [
      'for its group to read',
      open(`${user('alice')}\n`, 0o640),
      'FILE holds secrets, but others than its owner have rights to it (mode 640): chmod 600 FILE.',
    ],
    [
      'for all to read',
      open(`${user('alice')}\n`),
      'FILE holds secrets, but others than its owner have rights to it (mode 644): chmod 600 FILE.',
    ],
    ['no text', garbage, 'FILE:2: this is not UTF-8 text.'],
    ['a link to itself', loop, "Cannot read FILE: ELOOP: too many symbolic links encountered, open 'FILE'."],
    ['a pipe', pipe, 'Cannot read FILE: it is not a regular file.'],
    ['too large', zeros(64 * 1024 * 1024 + 1), 'FILE is larger than 67108864 bytes.'],
    [
      'without a colon',
      holding(`${user('alice')}\nbob\n`),
      'FILE:2: there is no colon between a user name and a hash: write user:hash.',
    ],
    [
      'a password in the clear',
      holding('alice:wonderland\n'),
      'FILE:1: the hash of user "alice" is of no kind that is known, which are $scrypt$, $7$ and $6$ of Mosquitto, SCRAM-SHA-256$ and SCRAM-SHA-512$: set the password with trellis user passwd.',
    ],
    [
      'a user twice',
      holding(`${user('alice')}\n# again\n${user('alice')}\n`),
      'FILE:3: user "alice" has a line of this kind (password) at line 1 already: remove one of them.',
    ],
    [
      'a damaged hash',
      holding('alice:$scrypt$ln=15,r=8,p=1$AAEC\n'),
      'FILE:1: the hash of user "alice" is not of the form $scrypt$ln=15,r=8,p=1$salt$hash: set the password with trellis user passwd.',
    ],
    [
      'an unknown hash',
      holding('alice:$9$101$salt$hash\n'),
      'FILE:1: the hash of user "alice" is of no kind that is known, which are $scrypt$, $7$ and $6$ of Mosquitto, SCRAM-SHA-256$ and SCRAM-SHA-512$: set the password with trellis user passwd.',
    ],
    [
      'a hash that costs too much',
      holding(`${user('alice').replace('ln=15', 'ln=30')}\n`),
      'FILE:1: the hash of user "alice" asks scrypt for more than 128 MiB of memory: lower ln or r: set the password with trellis user passwd.',
    ],
    ['without a name', holding(user('')), 'FILE:1: the user name must not be empty.'],
    ['a control character', holding(user('al\u0007ice')), 'FILE:1: the user name must not hold control characters.'],
    [
      'a damaged secret for SCRAM',
      holding('alice:SCRAM-SHA-256$4096:x\n'),
      'FILE:1: the hash of user "alice" is not of the form SCRAM-SHA-256$4096:salt$StoredKey:ServerKey: set the password with trellis user passwd.',
    ],
  ]),
  ...group(rules, 'rules.yaml', [
    ['missing', missing, 'Cannot read the access rules FILE: there is no such file.'],
    ['directory', directory, 'Cannot read the access rules FILE: it is a directory.'],
    ['no text', garbage, 'Cannot read the access rules FILE: it is not UTF-8 text.'],
    ['a pipe', pipe, 'Cannot read the access rules FILE: it is not a regular file.'],
    ['too large', zeros(16 * 1024 * 1024 + 1), 'Cannot read the access rules FILE: it is larger than 16777216 bytes.'],
    ['empty', holding(''), 'FILE:1: the file must be sections such as "roles:", not nothing.'],
    [
      'no YAML',
      holding('roles:\n  reader: [\n'),
      'FILE:3:1: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ].',
    ],
    ['an unknown section', holding(`${RULES}rolls: {}\n`), 'FILE:5: there is no section rolls; did you mean roles?'],
    [
      'an unknown role',
      holding(RULES.replace('[reader]', '[writer]')),
      'FILE:4: there is no role writer; roles are defined below "roles:".',
    ],
    [
      'a filter that is none',
      holding(RULES.replace('[a]', '[a/#/b]')),
      'FILE:3: topic filter "a/#/b": it is no topic filter: + and # stand alone in a level, # in the last one.',
    ],
    [
      'an unknown placeholder',
      holding(RULES.replace('[a]', "['${user}/a']")),
      'FILE:3: topic filter "${user}/a": there is no placeholder ${user}; there are ${clientId}, ${username}, ${cert.cn}, ${claim.NAME}.',
    ],
    [
      'allow and deny at once',
      holding(RULES.replace('allow: subscribe', 'allow: subscribe, deny: publish')),
      'FILE:3: a rule of role reader needs either "allow:" or "deny:".',
    ],
    ['a role twice', holding(RULES.replace('users:', '  reader: []\nusers:')), 'FILE:4: reader stands twice in roles.'],
    [
      'a list of nothing',
      holding(RULES.replace('[a]', '[]')),
      'FILE:3: topics is empty: a rule needs at least one topic filter.',
    ],
  ]),
  ...group(rules, 'acl', [
    ['missing', missing, 'Cannot read the access rules FILE: there is no such file.'],
    [
      'an unknown word',
      holding('topic read a\ntopics read a\n'),
      'FILE:2: a line cannot begin with topics; did you mean topic?',
    ],
    [
      'an unknown access',
      holding('topic reed a\n'),
      'FILE:1: access is read, write, readwrite or deny, not reed; did you mean read?',
    ],
    ['a user without a name', holding('user\n'), 'FILE:1: user needs a name.'],
    [
      'a filter that is none',
      holding('pattern write a/#/b\n'),
      'FILE:1: topic filter "a/#/b": it is no topic filter: + and # stand alone in a level, # in the last one.',
    ],
    [
      'YAML',
      holding('roles: {}\n'),
      'FILE:1: a line begins with user, topic or pattern, which this one does not; a file in YAML has a name that ends in .yaml.',
    ],
  ]),
  ...group(secret, 'secret', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    ['directory', directory, 'Cannot read FILE: it is a directory.'],
    [
      'for all to read',
      open(SECRET),
      'FILE holds secrets, but others than its owner have rights to it (mode 644): chmod 600 FILE.',
    ],
    ['too short', holding('short'), 'FILE holds a secret of less than the 32 bytes that HS256 needs.'],
    ['empty', holding(''), 'FILE holds a secret of less than the 32 bytes that HS256 needs.'],
    ['a key in PEM', holding(pem(EC.privateKey, 'pkcs8')), 'FILE holds a key in PEM, which is no secret.'],
    ['too large', zeros(1024 * 1024 + 1), 'FILE is larger than 1048576 bytes.'],
  ]),
  ...group(publicKey, 'public.pem', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    ['no text', garbage, 'Cannot read FILE: it is not UTF-8 text.'],
    [
      'a private key',
      holding(pem(EC.privateKey, 'pkcs8')),
      'FILE holds a private key where only the public one belongs.',
    ],
    ['no PEM', holding('key'), 'FILE holds no public key in PEM.'],
    [
      'a short RSA key',
      holding(pem(SHORT_RSA.publicKey, 'spki')),
      'FILE holds an RSA key of 1024 bits, where 2048 to 8192 are taken.',
    ],
    [
      'another curve',
      holding(pem(KOBLITZ.publicKey, 'spki')),
      'FILE holds a key that is neither RSA nor of the curves P-256, P-384, P-521 and Ed25519.',
    ],
  ]),
  ...group(keySet, 'keys.json', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    ['no JSON', holding('{'), 'FILE holds no JSON.'],
    ['no set', holding('[]'), 'FILE holds no key set such as {"keys": [...]}.'],
    ['no keys', holding('{"keys": []}'), 'FILE holds no key to check tokens with.'],
    [
      'a private key',
      holding(JSON.stringify({ keys: [EC.privateKey.export({ format: 'jwk' })] })),
      'FILE holds a secret or private key (key 1) where only public ones belong.',
    ],
    [
      'keys of no use',
      holding(JSON.stringify({ keys: [KOBLITZ.publicKey.export({ format: 'jwk' })] })),
      'FILE holds no key to check tokens with: key 1 holds a key that is neither RSA nor of the curves P-256, P-384, P-521 and Ed25519.',
    ],
  ]),
  ...group(token, 'token', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    [
      'for its group to read',
      open('a-token', 0o640),
      'FILE holds secrets, but others than its owner have rights to it (mode 640): chmod 600 FILE.',
    ],
    ['empty', holding(''), 'FILE holds no token: it must be one line of visible ASCII characters without spaces.'],
    [
      'two lines',
      holding('a\nb\n'),
      'FILE holds no token: it must be one line of visible ASCII characters without spaces.',
    ],
    ['too large', zeros(8193), 'FILE is larger than 8192 bytes.'],
  ]),
  ...group(certificate, 'server.pem', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    ['directory', directory, 'Cannot read FILE: it is a directory.'],
    ['empty', holding(''), 'There is no certificate in FILE; it must hold "-----BEGIN CERTIFICATE-----" (PEM).'],
    ['no text', garbage, 'Cannot read FILE: it is not UTF-8 text.'],
    [
      'damaged',
      holding('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
      'Certificate 1 in FILE is damaged; make it anew.',
    ],
    [
      'of another pair',
      (file, { other }) => put(file, readFileSync(other.file('server.crt'), 'utf8')),
      'The key in pki/server.key does not fit the certificate in FILE; give the two that were made together.',
    ],
  ]),
  ...group(expired, 'expired.pem', [
    [
      'expired',
      (file, { authority }) => put(file, readFileSync(authority.file('expired.crt'))),
      'The certificate in FILE expired on DATE; renew it.',
    ],
  ]),
  ...group(key, 'key.pem', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    [
      'for its group to read',
      (file, { authority }) => put(file, readFileSync(authority.file('server.key')), 0o640),
      'FILE holds secrets, but others than its owner have rights to it (mode 640): chmod 600 FILE.',
    ],
    [
      'for all to read',
      (file, { authority }) => put(file, readFileSync(authority.file('server.key')), 0o644),
      'FILE holds secrets, but others than its owner have rights to it (mode 644): chmod 600 FILE.',
    ],
    ['empty', holding(''), 'There is no private key in FILE; it must hold "-----BEGIN PRIVATE KEY-----" (PEM).'],
    [
      'damaged',
      holding('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'),
      'The private key in FILE is damaged; make it anew.',
    ],
    [
      'of another pair',
      holding(pem(EC.privateKey, 'pkcs8')),
      'The key in FILE does not fit the certificate in pki/server.crt; give the two that were made together.',
    ],
    [
      'encrypted',
      holding(ENCRYPTED),
      'The private key in FILE is encrypted, which would need its passphrase at each start; decrypt it: openssl pkey -in FILE -out FILE, and chmod 600 FILE.',
    ],
  ]),
  ...group(authorities, 'authorities.pem', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    ['empty', holding(''), 'There is no certificate in FILE; it must hold "-----BEGIN CERTIFICATE-----" (PEM).'],
    [
      'a key',
      holding(pem(EC.publicKey, 'spki')),
      'There is no certificate in FILE; it must hold "-----BEGIN CERTIFICATE-----" (PEM).',
    ],
  ]),
  ...group(revoked, 'revoked.pem', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    [
      'empty',
      holding(''),
      'There is no list of revoked certificates in FILE; it must hold "-----BEGIN X509 CRL-----" (PEM).',
    ],
    [
      'damaged',
      holding('-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n'),
      'The list of revoked certificates in FILE is damaged; make it anew.',
    ],
    [
      'of another authority',
      (file, { other }) => put(file, other.list()),
      'The list of revoked certificates in FILE is of another authority than those of the listener; give the list that they made.',
    ],
    [
      'out of date',
      (file, { authority }) => put(file, authority.list([], validity(-3, -2))),
      'The list of revoked certificates in FILE was good until DATE only; get a newer one.',
    ],
  ]),
  ...group(redisPassword, 'redis-password', [
    ['missing', missing, 'redis.passwordFile: Cannot read FILE: there is no such file.'],
    [
      'for all to read',
      open('secret'),
      'redis.passwordFile: FILE holds secrets, but others than its owner have rights to it (mode 644): chmod 600 FILE.',
    ],
  ]),
  ...group(bans, 'bans', [
    ['missing', missing, 'FILE: there is no such file; an empty one bans nobody.'],
    ['a directory', directory, 'Cannot read FILE: it is a directory.'],
    [
      'an unknown kind',
      holding('adress 192.0.2.1\n'),
      'FILE:1: a line must begin with address, client or user, as in "address 10.0.0.0/8 until DATE # why".',
    ],
    ['a client twice', holding('client a\nclient a\n'), 'FILE:2: client a is on line 1 already; keep one of them.'],
  ]),
  ...group(psk, 'psk', [
    ['missing', missing, 'Cannot read FILE: there is no such file.'],
    [
      'for all to read',
      open(`sensor:${'0f'.repeat(16)}\n`),
      'FILE holds secrets, but others than its owner have rights to it (mode 644): chmod 600 FILE.',
    ],
    ['empty', holding('# nobody\n'), 'FILE: there is no pre-shared key in it; add a line identity:key.'],
    [
      'a short key',
      holding('sensor:0f0f\n'),
      'FILE:1: must be identity:key, the key being 16 to 64 bytes in hexadecimal (openssl rand -hex 32 makes one).',
    ],
    [
      'no hexadecimal',
      holding(`sensor:${'xy'.repeat(16)}\n`),
      'FILE:1: must be identity:key, the key being 16 to 64 bytes in hexadecimal (openssl rand -hex 32 makes one).',
    ],
    [
      'an identity twice',
      holding(`sensor:${'0f'.repeat(16)}\n`.repeat(2)),
      'FILE:2: the identity "sensor" is there twice; keep one.',
    ],
  ]),
];
