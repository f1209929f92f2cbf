import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { readBoundedText } from '../lib/bounded-file.ts';
import { errorText } from '../lib/error-text.ts';
import { CertificateAuthority, type KeyedCertificate, type Validity } from './certificate-authority.ts';
import { CommandError, ExitCode, UsageError } from './errors.ts';
import { type Flag, flagInteger, type GivenFlag, helpText, parseFlags } from './flags.ts';

const before = `
Usage: trellis cert [flags]

Makes certificates for trying TLS out: a local authority (ca.crt, ca.key, and ca.crl, its list of revoked certificates), a
certificate of the broker (server.crt, server.key) for localhost, 127.0.0.1, ::1 and the hosts given, and certificates of
clients (clients/NAME.crt, clients/NAME.key). What is there stays, the authority in any case. Keys are on P-256 and not
encrypted; only their owner may read them. Whoever has ca.key can make clients: keep it away from the broker where it counts.`.trimStart();

const after = `
Examples:
  trellis cert
  trellis cert --host broker.example --host 192.0.2.7 --force
  trellis cert --client sensor-1 --client sensor-2
  trellis cert --revoke sensor-2

Exit codes: 0 done, 1 something failed, 2 wrong flags.`;

const flags: readonly Flag[] = [
  { group: 'Flags', names: ['--dir'], values: ['DIR'], help: 'Where the files are (./certs).' },
  {
    group: 'Flags',
    names: ['--host'],
    values: ['NAME'],
    help: 'Name or address clients connect to; a name may begin with *. for one label. May be repeated.',
  },
  {
    group: 'Flags',
    names: ['--client'],
    values: ['NAME'],
    help: 'Makes a certificate for a client of this common name. May be repeated.',
  },
  { group: 'Flags', names: ['--days'], values: ['N'], help: 'How long certificates are valid (365).' },
  { group: 'Flags', names: ['--force'], values: [], help: 'Makes anew what is there already, but not the authority.' },
  {
    group: 'Flags',
    names: ['--revoke'],
    values: ['NAME'],
    help: 'Puts the certificate of a client on ca.crl, and makes nothing. May be repeated.',
  },
  { group: 'Flags', names: ['--help'], values: [], help: 'Prints this.' },
];

const DAY_MS = 86_400_000;
const CA_DAYS = 3_650;
/** Clocks of small devices run late. */
const BACKDATED_MS = 3_600_000;
const OWN_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '::1'];
const FILE_BYTES_MAX = 4 * 1024 * 1024;

interface CertSettings {
  readonly directory: string;
  readonly hosts: readonly string[];
  readonly clients: readonly string[];
  readonly revoked: readonly string[];
  readonly days: number;
  readonly force: boolean;
}

/** Runs `trellis cert`; resolves to the exit code. @throws UsageError, CommandError. */
export async function cert(args: readonly string[]): Promise<number> {
  const given = parseFlags('cert', flags, args);
  if (given.some(({ name }) => name === '--help')) {
    process.stdout.write(helpText(before, flags, after));
    return ExitCode.ok;
  }
  const settings = readSettings(given);
  const now = Date.now();
  const lines = settings.revoked.length > 0 ? await revoke(settings, now) : await make(settings, now);
  process.stdout.write(`${lines.join('\n')}\n`);
  return ExitCode.ok;
}

function readSettings(given: readonly GivenFlag[]): CertSettings {
  const valuesOf = (name: string): string[] =>
    given.filter((one) => one.name === name).map(({ values }) => values[0] ?? '');
  const hosts = valuesOf('--host').map(checkHost);
  const clients = valuesOf('--client').map((name) => checkClient('--client', name));
  const revoked = valuesOf('--revoke').map((name) => checkClient('--revoke', name));
  const force = given.some(({ name }) => name === '--force');
  const days = given.findLast(({ name }) => name === '--days');
  if (revoked.length > 0 && (hosts.length > 0 || clients.length > 0 || force || days !== undefined)) {
    throw new UsageError('--revoke makes nothing: give it alone or with --dir.');
  }
  const directory = valuesOf('--dir').at(-1) ?? 'certs';
  if (directory === '') throw new UsageError('--dir needs the path of a directory.');
  return { directory, hosts, clients, revoked, force, days: days === undefined ? 365 : flagInteger(days, 1, 36_500) };
}

function checkHost(host: string): string {
  const isName = host.length <= 253 && /^(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/i.test(host);
  if (isName || (isIP(host) > 0 && !host.includes('%'))) return host;
  throw new UsageError(`--host needs a name such as broker.example or an address, not ${JSON.stringify(host)}.`);
}

/** It becomes the name of a file, and 64 characters are all that a common name may have. */
function checkClient(flag: string, name: string): string {
  if (/^[A-Za-z0-9_@-][A-Za-z0-9_@.-]{0,63}$/.test(name)) return name;
  throw new UsageError(
    `${flag} needs a name of 1 to 64 letters, digits, and _ - @ . (not in front), not ${JSON.stringify(name)}.`,
  );
}

function validityOf(now: number, days: number): Validity {
  return { notBefore: new Date(now - BACKDATED_MS), notAfter: new Date(now + days * DAY_MS) };
}

/** Nothing outlives the authority. */
function validityUnder(authority: CertificateAuthority, now: number, days: number): Validity {
  const { notBefore, notAfter } = validityOf(now, days);
  return { notBefore, notAfter: notAfter > authority.notAfter ? authority.notAfter : notAfter };
}

async function make(settings: CertSettings, now: number): Promise<string[]> {
  const { directory, hosts, clients, force, days } = settings;
  const server = join(directory, 'server');
  const pairs = clients.map((name) => ({ name, path: join(directory, 'clients', name) }));
  if (!force) {
    for (const { path } of pairs) await refuseExisting(path);
    if (hosts.length > 0) await refuseExisting(server);
  }
  await mkdir(join(directory, 'clients'), { recursive: true });
  const lines: string[] = [];
  const authority = await openAuthority(directory, now, lines);
  const validity = validityUnder(authority, now, days);
  if (force || !(await exists(`${server}.crt`))) {
    const own = [...new Set([...OWN_HOSTS, ...hosts])];
    await writePair(
      server,
      authority.issue({ ...validity, commonName: hosts[0] ?? 'localhost', use: 'server', hosts: own }),
    );
    lines.push(`${server}.crt, ${server}.key: the broker as ${own.join(', ')}, until ${dayOf(validity.notAfter)}.`);
  }
  for (const { name, path } of pairs) {
    await writePair(path, authority.issue({ ...validity, commonName: name, use: 'client' }));
    lines.push(`${path}.crt, ${path}.key: the client ${name}, until ${dayOf(validity.notAfter)}.`);
  }
  if (lines.length === 0) lines.push(`Everything is in ${directory} already; --force makes it anew.`);
  return [...lines, ...nextCommands(directory, pairs[0]?.path)];
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function nextCommands(directory: string, client: string | undefined): string[] {
  const file = (name: string): string => join(directory, name);
  const start = `trellis start --set listeners.tls.port=8883 --set tls.certFiles=${file('server.crt')} --set tls.keyFiles=${file('server.key')}`;
  const pub = `trellis pub --cafile ${file('ca.crt')} -t demo -m Hello`;
  if (client === undefined) return ['', 'Next:', `  ${start}`, `  ${pub}`];
  const trust = `--set tls.clientCertificates=required --set tls.caFile=${file('ca.crt')} --set tls.crlFile=${file('ca.crl')}`;
  return ['', 'Next:', `  ${start} ${trust}`, `  ${pub} --cert ${client}.crt --key ${client}.key`];
}

async function revoke({ directory, revoked }: CertSettings, now: number): Promise<string[]> {
  const authority = await readAuthority(directory);
  const list = join(directory, 'ca.crl');
  const certificates: X509Certificate[] = [];
  for (const name of new Set(revoked)) {
    const file = join(directory, 'clients', `${name}.crt`);
    const certificate = parseCertificate(await read(file, false), file);
    if (!authority.hasIssued(certificate)) throw new CommandError(`${file} is not of the authority in ${directory}.`);
    certificates.push(certificate);
  }
  const validity = { notBefore: new Date(now), notAfter: authority.notAfter };
  await writeFileWhole(list, authority.revoke(await read(list, false), certificates, validity), 0o644);
  return [
    ...[...new Set(revoked)].map((name) => `${list}: ${name} is revoked.`),
    '',
    'A broker with tls.crlFile takes the list at once; connections that are there stay until they end.',
  ];
}

function parseCertificate(text: string, file: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (error) {
    throw new CommandError(`There is no certificate in ${file}: ${errorText(error)}.`);
  }
}

/** The authority of the directory; a new one, where there is none. */
async function openAuthority(directory: string, now: number, lines: string[]): Promise<CertificateAuthority> {
  const path = join(directory, 'ca');
  const [hasCertificate, hasKey] = [await exists(`${path}.crt`), await exists(`${path}.key`)];
  if (hasCertificate !== hasKey) {
    const [there, missing] = hasKey ? ['key', 'crt'] : ['crt', 'key'];
    throw new CommandError(
      `There is ${path}.${there} but no ${path}.${missing}; bring it back, or take another --dir.`,
    );
  }
  if (hasCertificate) return readAuthority(directory);
  const validity = validityOf(now, CA_DAYS);
  // A name of its own, so that nobody mistakes it for another one.
  const made = CertificateAuthority.make(`Trellis local authority ${now.toString(36)}`, validity);
  const authority = new CertificateAuthority(made);
  await writePair(path, made);
  await writeFileWhole(`${path}.crl`, authority.revoke(undefined, [], validity), 0o644);
  lines.push(
    `${path}.crt, ${path}.key: a local authority, until ${dayOf(validity.notAfter)}; ${path}.crl: whom it revoked.`,
  );
  return authority;
}

async function readAuthority(directory: string): Promise<CertificateAuthority> {
  const path = join(directory, 'ca');
  const certificate = await read(`${path}.crt`, false);
  const key = await read(`${path}.key`, true);
  try {
    return new CertificateAuthority({ certificate, key });
  } catch (error) {
    throw new CommandError(`${path}.crt and ${path}.key are no authority: ${errorText(error)}.`);
  }
}

async function read(file: string, secret: boolean): Promise<string> {
  try {
    return await readBoundedText(file, { bytesMax: FILE_BYTES_MAX, secret });
  } catch (error) {
    throw new CommandError(errorText(error));
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function refuseExisting(path: string): Promise<void> {
  for (const file of [`${path}.crt`, `${path}.key`]) {
    if (await exists(file)) throw new CommandError(`${file} is there already; --force makes it anew.`);
  }
}

async function writePair(path: string, { certificate, key }: KeyedCertificate): Promise<void> {
  await writeFileWhole(`${path}.key`, key, 0o600);
  await writeFileWhole(`${path}.crt`, certificate, 0o644);
}

/** Whoever reads it meanwhile sees the old file or the new one. */
async function writeFileWhole(file: string, text: string, mode: number): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, text, { mode, flag: 'wx' });
  await chmod(temporary, mode);
  await rename(temporary, file);
}
