import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { run } from '../../src/cli/run.ts';
import { createConfig } from '../../src/config.ts';
import { finished } from './trellis.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-run-'));
});

afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

/** Runs a command line in this process and takes down what it writes. */
async function runHere(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((stdout += String(text)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((stderr += String(text)), true));
  const code = await run(args);
  return { code, stdout, stderr };
}

test.each<[string, string]>([
  ['', 'A command is missing: start, check, import, user, pub, sub, sim or bench; see trellis --help.'],
  ['strat', 'There is no command strat; did you mean start?'],
  ['frobnicate', 'There is no command frobnicate; see trellis --help.'],
  ['-x', 'There is no command -x; see trellis --help.'],
  ['--verison', 'There is no command --verison; did you mean --version?'],
  ['start --prot 1884', 'trellis start has no flag --prot; did you mean --port?'],
  ['start --ws_port 1', 'trellis start has no flag --ws_port; did you mean --ws-port?'],
  ['start --xyzzy', 'trellis start has no flag --xyzzy; see trellis start --help.'],
  ['start -p 1884', 'trellis start has no flag -p; see trellis start --help.'],
  ['start 1884', 'trellis start takes flags only, not "1884"; see trellis start --help.'],
  ['start --port', '--port needs PORT; see trellis start --help.'],
  ['start --port abc', '--port: listeners.tcp.port must be a port from 0 to 65,535 or off, not "abc".'],
  ['start --port 65536', '--port: listeners.tcp.port must be a port from 0 to 65,535 or off, not 65536.'],
  ['start --port -1', '--port: listeners.tcp.port must be a port from 0 to 65,535 or off, not -1.'],
  ['start --port 1e3', '--port: listeners.tcp.port must be a port from 0 to 65,535 or off, not "1e3".'],
  ['start --ws-port on', '--ws-port: listeners.websocket.port must be a port from 0 to 65,535 or off, not "on".'],
  [
    'start --host=',
    '--host: listeners.tcp.host must be a host name or an IP address, not "".\n--host: listeners.websocket.host must be a host name or an IP address, not "".',
  ],
  [
    'start --host 0.0.0.0',
    '--host: listeners.tcp.host is 0.0.0.0, where others can reach it, but clients without a user name are let in on loopback only: set auth.passwordFile (trellis user makes one) or another way to know clients, set auth.allowAnonymous to everywhere if anybody may connect, or listen on 127.0.0.1.',
  ],
  ['start --data=', '--data: store.data must be a file name of one to 4,096 bytes, not "".'],
  [
    'start --store redis://:secret@localhost:port',
    '--store: redis.url must be the URL of a Redis such as redis://127.0.0.1:6379, not "redis://:***@localhost:port": the port of the host is not a number from 1 to 65,535.',
  ],
  [
    'start --set store.type=redis://:secret@localhost',
    '--set: store.type must be redis alone; the URL is the value of redis.url.',
  ],
  [
    'start --set log.level=redis://:secret@localhost',
    '--set: log.level must be error, warn, info or debug, not "redis://:***@localhost".',
  ],
  [
    'start --store redis://localhost --durability os',
    '--durability: store.durability cannot be os while store.type is redis, where an acknowledgement always means that Redis has applied it: leave store.durability out.',
  ],
  ['start --store disk', '--store: store.type must be embedded, memory or redis, not "disk".'],
  ['start --durability strong', '--durability: store.durability must be durable, os or memory, not "strong".'],
  [
    'start --store memory --durability os',
    '--durability: store.durability cannot be os while store.type is memory, which keeps nothing on disk: set store.type to embedded or leave store.durability out.',
  ],
  ['start --log-format xml', '--log-format: log.format must be auto, json or pretty, not "xml".'],
  ['start --log-level loud', '--log-level: log.level must be error, warn, info or debug, not "loud".'],
  ['start --set', '--set needs SECTION.KEY=VALUE; see trellis start --help.'],
  ['start --set limits.receiveMaximum', '--set needs SECTION.KEY=VALUE, not "limits.receiveMaximum".'],
  ['start --set =5', '--set needs SECTION.KEY=VALUE, not "=5".'],
  [
    'start --set limits.recieveMaximum=5',
    '--set: there is no option limits.recieveMaximum; did you mean limits.receiveMaximum?',
  ],
  ['start --set limits=5', '--set: limits is a section; set one of its options.'],
  [
    'start --set limits.receiveMaximum=65536',
    '--set: limits.receiveMaximum must be an integer from 1 to 65,535, not 65536.',
  ],
  ['start --config', '--config needs FILE; see trellis start --help.'],
  ['start --config=', '--config needs the name of a file.'],
  ['start --config a --config b', '--config can be given once only.'],
  ['start --help=yes', '--help takes no value.'],
  [
    'check --config /nonexistent/broker.yaml',
    'Cannot read the configuration file /nonexistent/broker.yaml: there is no such file.',
  ],
  ['check --config /', 'Cannot read the configuration file /: it is a directory.'],
  ['check --colour', 'trellis check has no flag --colour; see trellis check --help.'],
  ['import', 'trellis import needs what to import: trellis import aedes-redis; see trellis import --help.'],
  ['import mosquitto', 'trellis import knows aedes-redis, not "mosquitto"; see trellis import --help.'],
  ['import aedes-redis', 'trellis import needs where to read from: --from redis://HOST:PORT/DB.'],
  ['import aedes-redis --from', '--from needs URL; see trellis import --help.'],
  ['import aedes-redis --from http://a', '--from needs a URL such as redis://host:6379/0 or rediss://host:6379/0.'],
  ['import aedes-redis --from nonsense', '--from needs a URL such as redis://host:6379/0 or rediss://host:6379/0.'],
  [
    'import aedes-redis --from redis://a --store memory',
    'A store in memory would be gone when the import ends: name another with --store or --data.',
  ],
  ['import aedes-redis --form redis://a', 'trellis import has no flag --form; did you mean --from?'],
  ['user', 'trellis user needs what to do: add, passwd, remove, list; see trellis user --help.'],
  ['user ad --file a', 'trellis user needs what to do: add, passwd, remove, list; see trellis user --help.'],
  ['user add alice', 'trellis user add needs a file: --file FILE.'],
  ['user add --file= alice', 'trellis user add needs a file: --file FILE.'],
  ['user add --file a', 'trellis user add needs one user name.'],
  ['user remove --file a b c', 'trellis user remove needs one user name.'],
  ['user list --file a b', 'trellis user list takes no user name.'],
  ['user list --file a --scram', 'trellis user list needs no password: leave --scram and --password-file out.'],
  [
    'user remove b --file a --password-file c',
    'trellis user remove needs no password: leave --scram and --password-file out.',
  ],
  ['user add --file a b:c', 'The user name must not hold a colon, which ends it.'],
  ['user add --file a #b', 'The user name must not begin with #, which begins a comment.'],
  ['user add --file a b\tc', 'The user name must not hold control characters.'],
  ['user add --file a ', 'The user name must not be empty.'],
  [
    'user add --file a --scram \ufb01sh',
    'The user name cannot be used with SCRAM, whose clients would spell it differently (SASLprep).',
  ],
  ['user add --file a --pasword-file b c', 'trellis user has no flag --pasword-file; did you mean --password-file?'],
  ['user passwd --file /nonexistent/users a', 'Cannot read /nonexistent/users: there is no such file.'],
  ['user list --file /', 'Cannot read /: it is a directory.'],
  ['pub', 'trellis pub needs one topic name: -t TOPIC.'],
  ['pub -t a', 'trellis pub needs one of -m, -n, -f, -s and -l.'],
  ['pub -t a -m b -n', 'trellis pub needs one of -m, -n, -f, -s and -l.'],
  ['pub -t a -t b -m c', 'trellis pub needs one topic name: -t TOPIC.'],
  ['pub -t a/# -m b', '-t must be a topic name without wildcards, not "a/#".'],
  ['pub -t  -m b', '-t must not be empty.'],
  ['pub -t a -m', '-m needs TEXT; see trellis pub --help.'],
  ['pub -t a -f /nonexistent', 'Cannot read /nonexistent: there is no such file.'],
  ['pub -t a -m b -q 3', '-q must be an integer from 0 to 2, not "3".'],
  ['pub -t a -m b --qos one', '--qos must be an integer from 0 to 2, not "one".'],
  ['pub -t a -m b -p 0', '-p must be an integer from 1 to 65535, not "0".'],
  ['pub -t a -m b -V 4', '-V must be 5, 311 or 31, not "4".'],
  ['pub -t a -m b -h ', '-h needs a host.'],
  ['pub -t a -m b -k 65536', '-k must be an integer from 0 to 65535, not "65536".'],
  ['pub -t a -m b --mesage c', 'trellis pub has no flag --mesage; did you mean --message?'],
  ['pub -t a -m b -z', 'trellis pub has no flag -z; see trellis pub --help.'],
  ['pub -t a -m b c', 'trellis pub takes flags only, not "c"; see trellis pub --help.'],
  ['pub -t a -m b --repeat 0', '--repeat must be an integer from 1 to 1000000000, not "0".'],
  ['pub -t a -m b --repeat-delay -1', '--repeat-delay must be a number of seconds from 0 to 86400, not "-1".'],
  ['pub -t a -l --repeat 2', '--repeat does not go together with -l.'],
  ['pub -t a -m b -L mqtts://host/a', 'TLS (mqtts and wss) is not available in this version; use mqtt or ws.'],
  ['pub -t a -m b -L nonsense', '-L needs a URL such as mqtt://host:1883/topic or ws://host:8083/mqtt.'],
  ['pub -t a -m b -L http://host', '-L needs a URL such as mqtt://host:1883/topic or ws://host:8083/mqtt.'],
  ['pub -m b -L mqtt://host/%zz', '-L: a % in the URL is not followed by two hexadecimal digits of UTF-8.'],
  ['pub -t a -m b -L mqtt://host -p 5', '-L does not go together with -h or -p.'],
  ['pub -t a -m b --unix /x -p 5', '--unix does not go together with -h, -p, -L or --ws.'],
  ['pub -t a -m b --unix ', '--unix needs the path of a socket.'],
  ['pub -t a -m b -c', '-c needs -i: without a client id nobody could come back to the session.'],
  ['pub -t a -m b -x -1', '-x -1 needs -i: without a client id nobody could come back to the session.'],
  ['pub -t a -m b -x many', '-x must be an integer from 0 to 4294967295, not "many".'],
  ['pub -t a -m b -x 5 -V 311', '-x needs MQTT 5: leave -V out or use -V 5.'],
  ['pub -t a -m b -P secret -V 311', '-P needs -u before MQTT 5.'],
  ['pub -t a -m b --will-payload x', 'A will needs --will-topic.'],
  ['pub -t a -m b --will-topic a/+', '--will-topic must be a topic name without wildcards, not "a/+".'],
  ['pub -t a -m b --will-topic w --will-qos 9', '--will-qos must be an integer from 0 to 2, not "9".'],
  ['pub -t a -m b -D publish', '-D needs PACKET PROPERTY VALUE; see trellis pub --help.'],
  ['pub -t a -m b -D publish user-property k', '-D needs PACKET PROPERTY VALUE; see trellis pub --help.'],
  ['pub -t a -m b -D subscribe user-property k v', '-D takes connect, publish, disconnect, will, not subscribe.'],
  [
    'pub -t a -m b -D publish nonsense 1',
    '-D: publish has no property nonsense; it has payload-format-indicator, message-expiry-interval, content-type, response-topic, correlation-data, topic-alias, user-property.',
  ],
  ['pub -t a -m b -D publish topic-alias 0', '-D publish topic-alias must be an integer from 1 to 65535, not "0".'],
  [
    'pub -t a -m b -D publish payload-format-indicator 2',
    '-D publish payload-format-indicator must be 0 or 1, not "2".',
  ],
  [
    'pub -t a -m b -D publish content-type a -D publish content-type b',
    '-D publish content-type can be given once only.',
  ],
  ['pub -t a -m b -D publish content-type a -V 311', '-D needs MQTT 5: leave -V out or use -V 5.'],
  ['sub', 'trellis sub needs a topic filter: -t FILTER.'],
  ['sub -t a/#/b', '"a/#/b" is not a topic filter: + stands for a whole level, # for the last ones.'],
  ['sub -t a -T b+', '"b+" is not a topic filter: + stands for a whole level, # for the last ones.'],
  ['sub -t a -C 0', '-C must be an integer from 1 to 999999999999999, not "0".'],
  ['sub -t a -W soon', '-W must be a number of seconds from 0 to 2147483, not "soon".'],
  ['sub -t a -F %Z', '-F does not know %Z; it knows %% %A %C %D %E %F %I %j %J %l %m %p %P %q %R %r %S %t %U %x %X.'],
  ['sub -t a -F \\q', '-F does not know \\q.'],
  ['sub -t a -R --retained-only', '-R does not go together with --retained-only.'],
  ['sub -t a --retain-as-published -V 311', '--retain-as-published needs MQTT 5: leave -V out or use -V 5.'],
  ['sub -t a -c -i ', '-c needs -i: without a client id nobody could come back to the session.'],
  [
    'sub -t a -D subscribe subscription-identifier 0',
    '-D subscribe subscription-identifier must be an integer from 1 to 268435455, not "0".',
  ],
])('trellis %s: one clear sentence and exit code 2', async (line, sentences) => {
  const { code, stdout, stderr } = await runHere(line === '' ? [] : line.split(' '));
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toBe(`${sentences.replaceAll(/^/gm, 'trellis: ')}\n`);
});

test.each(['start', 'check', 'import', 'user', 'pub', 'sub'])(
  'trellis %s --help has usage, flags, examples and exit codes, in lines that fit',
  async (command) => {
    const { code, stdout, stderr } = await runHere([command, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^Usage: trellis ${command} `));
    expect(stdout).toContain('\nExamples:\n');
    expect(stdout).toContain('\nExit codes: 0 ');
    expect(stdout.endsWith('\n')).toBe(true);
    expect(stdout.split('\n').filter((line) => line.length > 125)).toEqual([]);
  },
);

test('trellis --help names every command, trellis --version prints the version', async () => {
  const help = await runHere(['--help']);
  expect(help.code).toBe(0);
  for (const command of ['start', 'check', 'import', 'pub', 'sub'])
    expect(help.stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
  expect(await runHere(['--version'])).toEqual({
    code: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/),
    stderr: '',
  });
});

test('trellis check prints the whole effective configuration as YAML, with where each value came from', async () => {
  const file = join(directory, 'broker.yaml');
  writeFileSync(file, 'limits:\n  maximumPacketSize: 1 MiB\nlog:\n  level: debug\n');
  vi.stubEnv('TRELLIS_LOG__LEVEL', 'warn');
  const { code, stdout, stderr } = await runHere([
    'check',
    '--config',
    file,
    '--port',
    '0',
    '--set',
    'listeners.websocket.origins=https://a.example,*',
  ]);
  vi.unstubAllEnvs();
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(parse(stdout)).toEqual(
    createConfig({
      limits: { maximumPacketSize: 1_048_576 },
      log: { level: 'warn' },
      listeners: { tcp: { port: 0 }, websocket: { origins: ['https://a.example', '*'] } },
    }),
  );
  expect(stdout.split('\n').filter((line) => line.includes(' # '))).toEqual([
    '    port: 0 # --port',
    '    origins: [ https://a.example, "*" ] # --set',
    `  maximumPacketSize: 1048576 # ${file}:2`,
    '  level: warn # TRELLIS_LOG__LEVEL',
  ]);
});

test('what trellis check prints is a configuration file that means the same', async () => {
  const first = await runHere([
    'check',
    '--store',
    'memory',
    '--ws-port',
    'off',
    '--set',
    'limits.responseInformation=a: #b',
  ]);
  const file = join(directory, 'effective.yaml');
  writeFileSync(file, first.stdout);
  vi.restoreAllMocks();
  const second = await runHere(['check', '--config', file]);
  expect(second.code).toBe(0);
  expect(parse(second.stdout)).toEqual(parse(first.stdout));
});

test('as a process it exits with these codes, errors on stderr alone, no stack trace', async () => {
  const wrong = await finished(['start', '--port', 'x'], { environment: { TRELLIS_LOG__LEVEL: 'loud' } });
  expect(wrong.code).toBe(2);
  expect(wrong.stdout).toBe('');
  expect(wrong.stderr).toBe(
    'trellis: TRELLIS_LOG__LEVEL: log.level must be error, warn, info or debug, not "loud".\n' +
      'trellis: --port: listeners.tcp.port must be a port from 0 to 65,535 or off, not "x".\n',
  );
  const right = await finished(['check'], { environment: { TRELLIS_LIMITS__RECEIVE_MAXIMUM: '7' } });
  expect(right.code).toBe(0);
  expect(right.stdout).toContain('  receiveMaximum: 7 # TRELLIS_LIMITS__RECEIVE_MAXIMUM\n');
});

test.each(['22.17.1', '20.19.0', '18.0.0'])('on Node %s, too old for it, it says so and does nothing', async (node) => {
  const module = encodeURIComponent(
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${node}' } })`,
  );
  const environment = { NODE_OPTIONS: `--import data:text/javascript,${module}` };
  const { code, stdout, stderr } = await finished(['--version'], { environment });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toBe(`trellis: needs Node.js 22.18 or later; this is ${node}.\n`);
});

test('trellis check prints the URL of a Redis without the password, wherever it was set', async () => {
  const url = 'redis+sentinel://user:se%40cret@a:1,b:2/master/3';
  const { code, stdout, stderr } = await runHere(['check', '--store', url]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('\n  type: redis # --store\n');
  expect(stdout).toContain('\n  durability: durable\n');
  expect(stdout).toContain('\n  url: "redis+sentinel://user:***@a:1,b:2/master/3" # --store\n');
  const set = await runHere(['check', '--set', `redis.url=${url}`]);
  expect(set.stdout).toContain('\n  type: embedded\n');
  for (const text of [stdout, set.stdout]) expect(text).not.toMatch(/40cret|se.cret/);
});
