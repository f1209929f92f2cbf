import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConfigError } from '../../src/config.ts';
import { environmentName, loadConfig, type ConfigSources } from '../../src/config/load.ts';
import { optionKeys } from '../../src/config/options.ts';

let directory: string;
let file: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-config-'));
  file = join(directory, 'broker.yaml');
});

afterAll(() => rmSync(directory, { recursive: true }));

/** The problems found, the file's directory left out of them. */
function problemsOf(text: string | Buffer | undefined, sources: ConfigSources = {}): string[] {
  if (text !== undefined) writeFileSync(file, text);
  try {
    loadConfig(text === undefined ? sources : { file, ...sources });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => problem.replaceAll(`${directory}/`, ''));
  }
  return [];
}

const sectionList =
  'the sections are listeners, tls, limits, session, retained, store, redis, cluster, auth, acl, log, admin.';

test.each<[string, string, string[]]>([
  [
    'a key with two letters swapped',
    'limits:\n  recieveMaximum: 5\n',
    ['broker.yaml:2: there is no option limits.recieveMaximum; did you mean limits.receiveMaximum?'],
  ],
  [
    'a right key in the wrong section',
    'session:\n  receiveMaximum: 5\n',
    ['broker.yaml:2: there is no option session.receiveMaximum; did you mean limits.receiveMaximum?'],
  ],
  [
    'a key without its section',
    '\nport: 5\n',
    ['broker.yaml:2: there is no option port; did you mean listeners.tcp.port?'],
  ],
  [
    'a section misspelt',
    'listners:\n  tcp: {}\n',
    ['broker.yaml:1: there is no option listners; did you mean listeners?'],
  ],
  ['a key like nothing', 'xyzzy: 1\n', [`broker.yaml:1: there is no option xyzzy; ${sectionList}`]],
  [
    'a key with the wrong case',
    'log:\n  Level: info\n',
    ['broker.yaml:2: there is no option log.Level; did you mean log.level?'],
  ],
  [
    'a name of object prototypes',
    '__proto__:\n  polluted: 1\n',
    [`broker.yaml:1: there is no option __proto__; ${sectionList}`],
  ],
  ['a key that is a list', '? [a, b]\n: 1\n', [`broker.yaml:1: there is no option ?; ${sectionList}`]],
  [
    'a port in quotes',
    'listeners:\n  tcp:\n    port: "1883"\n',
    ['broker.yaml:3: listeners.tcp.port must be a port from 0 to 65,535 or off, not "1883".'],
  ],
  [
    'a port too large',
    'listeners: { tcp: { port: 65536 } }\n',
    ['broker.yaml:1: listeners.tcp.port must be a port from 0 to 65,535 or off, not 65536.'],
  ],
  [
    'a port below zero',
    'listeners: { tcp: { port: -1 } }\n',
    ['broker.yaml:1: listeners.tcp.port must be a port from 0 to 65,535 or off, not -1.'],
  ],
  [
    'a fraction',
    'limits:\n  receiveMaximum: 1.5\n',
    ['broker.yaml:2: limits.receiveMaximum must be an integer from 1 to 65,535, not 1.5.'],
  ],
  [
    'a number that is none',
    'limits:\n  receiveMaximum: .nan\n',
    ['broker.yaml:2: limits.receiveMaximum must be an integer from 1 to 65,535, not NaN.'],
  ],
  [
    'a value left out',
    'limits:\n  receiveMaximum:\n',
    ['broker.yaml:2: limits.receiveMaximum must be an integer from 1 to 65,535, not nothing.'],
  ],
  [
    'a section in place of a value',
    'limits:\n  receiveMaximum: { a: 1 }\n',
    ['broker.yaml:2: limits.receiveMaximum must be an integer from 1 to 65,535, not a section.'],
  ],
  [
    'a size without a number',
    'limits:\n  maximumPacketSize: MiB\n',
    [
      'broker.yaml:2: limits.maximumPacketSize must be a size from 1,024 to 268,435,460 bytes (such as 65536 or 64 KiB), not "MiB".',
    ],
  ],
  [
    'a size too large',
    'limits:\n  maximumPacketSize: 1 GiB\n',
    [
      'broker.yaml:2: limits.maximumPacketSize must be a size from 1,024 to 268,435,460 bytes (such as 65536 or 64 KiB), not "1 GiB".',
    ],
  ],
  [
    'a boolean as text',
    'limits:\n  retainAvailable: "yes"\n',
    ['broker.yaml:2: limits.retainAvailable must be true or false, not "yes".'],
  ],
  [
    'a choice there is not',
    'session:\n  queuePolicy: drop\n',
    ['broker.yaml:2: session.queuePolicy must be drop-oldest, drop-newest or refuse, not "drop".'],
  ],
  [
    'a boolean for anonymous clients',
    'auth:\n  allowAnonymous: true\n',
    ['broker.yaml:2: auth.allowAnonymous must be auto, nowhere, loopback or everywhere, not true.'],
  ],
  [
    'an empty host',
    'listeners:\n  tcp:\n    host: ""\n',
    ['broker.yaml:3: listeners.tcp.host must be a host name or an IP address, not "".'],
  ],
  [
    'a host with a space',
    'listeners: { tcp: { host: a b } }\n',
    ['broker.yaml:1: listeners.tcp.host must be a host name or an IP address, not "a b".'],
  ],
  [
    'a WebSocket path without a slash',
    'listeners: { websocket: { path: mqtt } }\n',
    ['broker.yaml:1: listeners.websocket.path must be a path that begins with /, not "mqtt".'],
  ],
  [
    'an origin with a path',
    'listeners:\n  websocket:\n    origins: [https://a.example/]\n',
    [
      'broker.yaml:3: listeners.websocket.origins must be a list of origins such as https://dash.example (no path, no / at the end), or *, not a list of "https://a.example/".',
    ],
  ],
  [
    'an origin that is no list',
    'listeners: { websocket: { origins: https://a.example } }\n',
    [
      'broker.yaml:1: listeners.websocket.origins must be a list of origins such as https://dash.example (no path, no / at the end), or *, not "https://a.example".',
    ],
  ],
  [
    'a socket path longer than the system takes',
    `listeners: { unix: { path: /${'a'.repeat(107)} } }\n`,
    [`broker.yaml:1: listeners.unix.path must be a file name of zero to 107 bytes, not "/${'a'.repeat(59)}…".`],
  ],
  [
    'a NUL in a file name',
    'store:\n  data: "a\\0b"\n',
    ['broker.yaml:2: store.data must be a file name of one to 4,096 bytes, not "a\\u0000b".'],
  ],
  [
    'a Redis store',
    'store:\n  type: redis://localhost\n',
    ['broker.yaml:2: store.type must be redis alone; the URL is the value of redis.url.'],
  ],
  [
    'memory for acknowledgements of Redis',
    'store:\n  type: redis\n  durability: memory\n',
    [
      'broker.yaml:3: store.durability cannot be memory while store.type is redis, where an acknowledgement always means that Redis has applied it: leave store.durability out.',
    ],
  ],
  [
    'a Redis without a host',
    'redis:\n  url: redis://:secret@\n',
    [
      'broker.yaml:2: redis.url must be the URL of a Redis such as redis://127.0.0.1:6379, not "redis://:***@": the host is missing.',
    ],
  ],
  [
    'a password for Redis in two places',
    'redis:\n  url: redis://:secret@h\n  passwordFile: secret.txt\n',
    ['broker.yaml:3: redis.passwordFile is set while redis.url holds a password as well: keep one of them.'],
  ],
  [
    'a prefix that would end the braces',
    'redis:\n  prefix: a}b\n',
    ['broker.yaml:2: redis.prefix must be one to 64 letters, digits, underscores, hyphens and dots, not "a}b".'],
  ],
  [
    'durable memory',
    'store:\n  type: memory\n  durability: os\n',
    [
      'broker.yaml:3: store.durability cannot be os while store.type is memory, which keeps nothing on disk: set store.type to embedded or leave store.durability out.',
    ],
  ],
  ['a section that is a number', 'limits: 5\n', ['broker.yaml:1: limits is a section with options below it, not 5.']],
  [
    'a section that is a list',
    'limits:\n  - receiveMaximum: 5\n',
    ['broker.yaml:1: limits is a section with options below it, not a list.'],
  ],
  ['a list at the top', '- a\n', ['broker.yaml:1: must be sections such as "listeners:", not a list.']],
  ['a word at the top', 'hello\n', ['broker.yaml:1: must be sections such as "listeners:", not a text.']],
  [
    'the same key twice',
    'log:\n  level: info\n  level: debug\n',
    ['broker.yaml:3:3: not valid YAML: the same key twice.'],
  ],
  ['an alias to nothing', 'log: *other\n', ['broker.yaml:1: log refers to *other, which is not defined before.']],
  ['a tag', 'log: !include other.yaml\n', ['broker.yaml:1:6: not valid YAML: Unresolved tag: !include.']],
  [
    'an address others can reach',
    'listeners:\n  tcp:\n    host: 0.0.0.0\n',
    [
      'broker.yaml:3: listeners.tcp.host is 0.0.0.0, where others can reach it, but clients without a user name are let in on loopback only: set auth.passwordFile (trellis user makes one) or another way to know clients, set auth.allowAnonymous to everywhere if anybody may connect, or listen on 127.0.0.1.',
    ],
  ],
])('%s is refused with its place', (_, text, problems) => {
  expect(problemsOf(text)).toEqual(problems);
});

test.each<[string, string]>([
  ['an unclosed bracket', 'log: [\n'],
  ['a tab for indentation', 'log:\n\tlevel: info\n'],
  ['an unclosed quote', 'log:\n  level: "info\n'],
  ['broken JSON', '{ "log": { "level": "info", }, , }\n'],
  ['two documents', 'log: {}\n---\nlog: {}\n'],
  ['lists nested deeper than a stack', '['.repeat(100_000)],
  ['binary', '\u0001\u0002\u0000'],
])('%s is malformed, and the sentence says where', (_, text) => {
  const problems = problemsOf(text);
  expect(problems.length).toBeGreaterThan(0);
  expect(problems.length).toBeLessThanOrEqual(3);
  for (const problem of problems)
    expect(problem).toMatch(/^broker\.yaml:\d+(:\d+: not valid YAML: \S|: must be sections)[^\n]*\.$/);
});

test('a file that cannot be read is named with the reason', () => {
  const missing = join(directory, 'missing.yaml');
  expect(problemsOf(undefined, { file: missing })).toEqual([
    'Cannot read the configuration file missing.yaml: there is no such file.',
  ]);
  expect(problemsOf(undefined, { file: directory })).toEqual([
    `Cannot read the configuration file ${directory}: it is a directory.`,
  ]);
  expect(problemsOf(Buffer.from([0x6c, 0xff, 0xfe]))).toEqual([
    'Cannot read the configuration file broker.yaml: it is not UTF-8 text.',
  ]);
});

test.each<[Record<string, string>, string[]]>([
  [
    { TRELLIS_LISTENERS__TCP__PRT: '1' },
    ['TRELLIS_LISTENERS__TCP__PRT sets no option there is; did you mean TRELLIS_LISTENERS__TCP__PORT?'],
  ],
  [{ TRELLIS_XYZZY__PLUGH: '1' }, ['TRELLIS_XYZZY__PLUGH sets no option there is.']],
  [{ TRELLIS___PROTO__: '1' }, ['TRELLIS___PROTO__ sets no option there is.']],
  [
    { TRELLIS_LIMITS__RECEIVEMAXIMUM: 'many' },
    ['TRELLIS_LIMITS__RECEIVEMAXIMUM: limits.receiveMaximum must be an integer from 1 to 65,535, not "many".'],
  ],
  [
    { TRELLIS_LIMITS__RECEIVEMAXIMUM: '' },
    ['TRELLIS_LIMITS__RECEIVEMAXIMUM: limits.receiveMaximum must be an integer from 1 to 65,535, not "".'],
  ],
  [
    { TRELLIS_LIMITS__RECEIVEMAXIMUM: '0x10' },
    ['TRELLIS_LIMITS__RECEIVEMAXIMUM: limits.receiveMaximum must be an integer from 1 to 65,535, not "0x10".'],
  ],
  [
    { TRELLIS_LIMITS__RETAINAVAILABLE: '1' },
    ['TRELLIS_LIMITS__RETAINAVAILABLE: limits.retainAvailable must be true or false, not "1".'],
  ],
  [
    { TRELLIS_STORE__TYPE: 'rediss://h' },
    ['TRELLIS_STORE__TYPE: store.type must be redis alone; the URL is the value of redis.url.'],
  ],
  [
    { TRELLIS_LISTENERS__WEBSOCKET__ORIGINS: 'https://a.example,nonsense' },
    [
      'TRELLIS_LISTENERS__WEBSOCKET__ORIGINS: listeners.websocket.origins must be a list of origins such as https://dash.example (no path, no / at the end), or *, not a list of "https://a.example", "nonsense".',
    ],
  ],
  [
    { TRELLIS_LIMITS__RECEIVEMAXIMUM: '5', TRELLIS_LIMITS__RECEIVE_MAXIMUM: '6' },
    [
      'TRELLIS_LIMITS__RECEIVE_MAXIMUM and TRELLIS_LIMITS__RECEIVEMAXIMUM both set limits.receiveMaximum; keep one of them.',
    ],
  ],
])('the environment %j is refused', (environment, problems) => {
  expect(problemsOf(undefined, { environment })).toEqual(problems);
});

test('all problems of all sources are told at once', () => {
  const problems = problemsOf('a: 1\nlog:\n  level: loud\n', {
    environment: { TRELLIS_LOG__LEVEL: 'louder' },
    flags: [
      { key: 'log.level', text: 'loudest', flag: '--log-level' },
      { key: 'log', text: 'x', flag: '--set' },
      { key: 'log.levle', text: 'info', flag: '--set' },
    ],
  });
  expect(problems).toEqual([
    `broker.yaml:1: there is no option a; ${sectionList}`,
    'broker.yaml:3: log.level must be error, warn, info or debug, not "loud".',
    'TRELLIS_LOG__LEVEL: log.level must be error, warn, info or debug, not "louder".',
    '--log-level: log.level must be error, warn, info or debug, not "loudest".',
    '--set: log is a section; set one of its options.',
    '--set: there is no option log.levle; did you mean log.level?',
  ]);
});

test('a flag wins over the environment, the environment over the file, the file over the default', () => {
  writeFileSync(file, 'limits:\n  receiveMaximum: 10\n  topicAliasMaximum: 10\n  serverKeepAlive: 10\n');
  const { config, origins } = loadConfig({
    file,
    environment: { TRELLIS_LIMITS__TOPICALIASMAXIMUM: '20', TRELLIS_LIMITS__SERVERKEEPALIVE: '20' },
    flags: [{ key: 'limits.serverKeepAlive', text: '30', flag: '--set' }],
  });
  expect(config.limits).toMatchObject({
    receiveMaximum: 10,
    topicAliasMaximum: 20,
    serverKeepAlive: 30,
    writeDelayMs: 1,
    lingerMs: 1_000,
  });
  expect(Object.fromEntries(origins)).toEqual({
    'limits.receiveMaximum': `${file}:2`,
    'limits.topicAliasMaximum': 'TRELLIS_LIMITS__TOPICALIASMAXIMUM',
    'limits.serverKeepAlive': '--set',
  });
});

test('JSON, also indented with tabs, is read like YAML', () => {
  writeFileSync(
    file,
    '{\n\t"listeners": {\n\t\t"tcp": { "port": 0 },\n\t\t"websocket": { "port": "off", "origins": ["*"] }\n\t}\n}\n',
  );
  const { config } = loadConfig({ file });
  expect(config.listeners.tcp.port).toBe(0);
  expect(config.listeners.websocket).toMatchObject({ port: 'off', origins: ['*'] });
});

test('aliases, a byte order mark, empty files and empty sections are fine', () => {
  writeFileSync(
    file,
    '\ufefflimits:\n  maximumPacketSize: &size 64 KiB\n  connectBytesMax: *size\nlog:\n  # level: debug\n',
  );
  expect(loadConfig({ file }).config.limits).toMatchObject({ maximumPacketSize: 65_536, connectBytesMax: 65_536 });
  for (const empty of ['', '# nothing\n', '---\n', 'null\n', '{}'])
    expect([empty, problemsOf(empty)]).toEqual([empty, []]);
});

test.each<[string, number]>([
  ['65536', 65_536],
  ['64KiB', 65_536],
  ['64 KIB', 65_536],
  ['2 MB', 2_000_000],
  ['1 MiB', 1_048_576],
  ['2048 B', 2_048],
])('the size %j is %i bytes', (text, bytes) => {
  const environment = { TRELLIS_LIMITS__MAXIMUMPACKETSIZE: text };
  expect(loadConfig({ environment }).config.limits.maximumPacketSize).toBe(bytes);
});

test('variables without two underscores, or of others, are left alone', () => {
  const environment = {
    TRELLIS_CONFIG: 'x',
    TRELLIS_: 'x',
    MY_TRELLIS_A__B: 'x',
    trellis_a__b: 'x',
    TRELLIS_LOG__LEVEL: undefined,
  };
  expect(problemsOf(undefined, { environment })).toEqual([]);
});

test('every option can be set in the environment, in upper case or as written', () => {
  for (const key of optionKeys) {
    const problems = problemsOf(undefined, { environment: { [environmentName(key)]: '\0' } });
    expect(problems[0]).toContain(`${environmentName(key)}: ${key} must be`);
  }
  const mixed = loadConfig({ environment: { TRELLIS_log__Level: 'debug', TRELLIS_LISTENERS__WEBSOCKET__ORIGINS: '' } });
  expect(mixed.config.log.level).toBe('debug');
  expect(mixed.config.listeners.websocket.origins).toEqual([]);
});

test('listening beyond loopback is fine once anybody may connect, and a listener that is off exposes nobody', () => {
  const environment = { TRELLIS_LISTENERS__TCP__HOST: '0.0.0.0' };
  expect(problemsOf(undefined, { environment })).toHaveLength(1);
  expect(
    problemsOf(undefined, { environment: { ...environment, TRELLIS_AUTH__ALLOWANONYMOUS: 'everywhere' } }),
  ).toEqual([]);
  expect(problemsOf(undefined, { environment: { ...environment, TRELLIS_LISTENERS__TCP__PORT: 'off' } })).toEqual([]);
});
