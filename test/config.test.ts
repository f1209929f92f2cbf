import { expect, test } from 'vitest';
import {
  ConfigError,
  connectionSettings,
  createConfig,
  sessionSettings,
  type Config,
  type DeepPartial,
} from '../src/config.ts';
import { exposedListeners } from '../src/config/check.ts';

/** Options that neither connections nor sessions have to do with, but what guards them (src/make-guard.ts). */
const GUARD_OPTIONS: ReadonlySet<string> = new Set([
  'connectionsPerAddressMax',
  'connectionsPerUserMax',
  'pendingConnectionsMax',
  'pendingConnectionsPerAddressMax',
  'connectRateMax',
  'connectRatePerAddress',
  'addressesExempt',
  'messageRateMax',
  'byteRateMax',
  'banFile',
  'flappingConnectsMax',
  'flappingFailuresMax',
  'flappingWindowMs',
  'flappingBanMs',
  'memoryBytesMax',
]);

function problemsOf(partial: unknown): readonly string[] {
  try {
    createConfig(partial as DeepPartial<Config>);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test('without anything set it listens on loopback, keeps state durably in ./data, and limits as documented', () => {
  const config = createConfig();
  expect(config.listeners).toEqual({
    tcp: { host: '127.0.0.1', port: 1883 },
    websocket: { host: '127.0.0.1', port: 8083, path: '/mqtt', origins: [] },
    tls: { host: '127.0.0.1', port: 'off' },
    secureWebsocket: { host: '127.0.0.1', port: 'off' },
    unix: { path: '' },
    proxyProtocolFrom: [],
  });
  expect(config.store).toEqual({
    type: 'embedded',
    data: './data',
    durability: 'durable',
    minFreeBytes: 67_108_864,
    holdMs: 4,
  });
  expect(config.auth.allowAnonymous).toBe('auto');
  expect(config.session).toEqual({
    queueMessagesMax: 100_000,
    queueBytesMax: 268_435_456,
    queuePolicy: 'drop-oldest',
    queueQos0: false,
    queueWindowMessages: 1_000,
    queueWindowBytes: 4_194_304,
    queueMemoryBytes: 67_108_864,
    inFlightMessagesMax: 1_024,
    overlap: 'once',
    sharePolicy: 'round-robin',
  });
  expect(config.retained).toEqual({ messagesMax: 1_000_000, bytesMax: 268_435_456 });
  expect(config.log).toEqual({ level: 'info', format: 'auto' });
  expect(config.admin).toEqual({ sysIntervalSeconds: 10, drainTimeoutMs: 5_000 });
});

test('what is given replaces the default, next to it and nothing else; sizes may be text', () => {
  const config = createConfig({ limits: { receiveMaximum: 5 }, listeners: { tcp: { port: 'off' }, unix: undefined } });
  expect(config.limits.receiveMaximum).toBe(5);
  expect(config.limits.topicAliasMaximum).toBe(64);
  expect(config.listeners.tcp).toEqual({ host: '127.0.0.1', port: 'off' });
  const sized = createConfig({ limits: { maximumPacketSize: '1 MiB' as unknown as number } });
  expect(sized.limits.maximumPacketSize).toBe(1_048_576);
});

test('it is frozen at every depth and shares nothing with what it was made of', () => {
  const origins = ['https://dash.example'];
  const config = createConfig({ listeners: { websocket: { origins } } });
  origins.push('https://evil.example');
  expect(config.listeners.websocket.origins).toEqual(['https://dash.example']);
  for (const part of [
    config,
    config.listeners,
    config.listeners.tcp,
    config.listeners.websocket.origins,
    config.store,
  ]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
  expect(Object.isFrozen(createConfig().listeners.websocket.origins)).toBe(true);
  expect(createConfig()).toEqual(createConfig());
});

test('every wrong option of an object is named at once', () => {
  const problems = problemsOf({
    limits: { receiveMaximum: 0, nonsense: 1 },
    log: 'loud',
    listeners: { tcp: { port: '1883' } },
  });
  expect(problems).toEqual([
    'limits.receiveMaximum must be an integer from 1 to 65,535, not 0.',
    'There is no option limits.nonsense.',
    'log is a section and must be an object.',
    'listeners.tcp.port must be a port from 0 to 65,535 or off, not "1883".',
  ]);
});

test('names of object prototypes are unknown options like others', () => {
  const hostile: unknown = JSON.parse('{"__proto__":{"log":1},"constructor":{"x":1},"limits":{"toString":1}}');
  expect(problemsOf(hostile)).toEqual([
    'There is no option __proto__.',
    'There is no option constructor.',
    'There is no option limits.toString.',
  ]);
});

test('the memory store knows memory durability only', () => {
  expect(createConfig({ store: { type: 'memory' } }).store.durability).toBe('memory');
  expect(createConfig({ store: { type: 'memory', durability: 'memory' } }).store.durability).toBe('memory');
  expect(problemsOf({ store: { type: 'memory', durability: 'durable' } })).toHaveLength(1);
});

test('an embedder may listen anywhere, and can ask which listeners are exposed to anonymous clients', () => {
  const hosts = (partial: DeepPartial<Config>): string[] =>
    exposedListeners(createConfig(partial)).map(({ key }) => key);
  expect(hosts({})).toEqual([]);
  expect(hosts({ listeners: { tcp: { host: '127.0.0.2' }, websocket: { host: '::1' } } })).toEqual([]);
  expect(hosts({ listeners: { tcp: { host: 'LOCALHOST' } } })).toEqual([]);
  expect(hosts({ listeners: { tcp: { host: '0.0.0.0' } } })).toEqual(['listeners.tcp.host']);
  expect(hosts({ listeners: { tcp: { host: '127.evil.example' } } })).toEqual(['listeners.tcp.host']);
  expect(hosts({ listeners: { tcp: { host: '::' }, websocket: { host: '10.0.0.1' } } })).toHaveLength(2);
  expect(hosts({ listeners: { tcp: { host: '::', port: 'off' } } })).toEqual([]);
  expect(hosts({ listeners: { tcp: { host: '::' } }, auth: { allowAnonymous: 'everywhere' } })).toEqual([]);
});

test('a listener that others can reach is no fault where something says who clients are', () => {
  const exposed = (partial: DeepPartial<Config>): number => exposedListeners(createConfig(partial)).length;
  const open = { tcp: { host: '0.0.0.0' }, websocket: { port: 'off' } } as const;
  expect(exposed({ listeners: open })).toBe(1);
  expect(exposed({ listeners: open, auth: { passwordFile: 'users' } })).toBe(0);
  expect(exposed({ listeners: open, auth: { jwt: { keySetUrl: 'https://id.example/keys' } } })).toBe(0);
  expect(exposed({ listeners: open, auth: { webhook: { url: 'https://id.example/mqtt' } } })).toBe(0);
  expect(exposed({ listeners: open, auth: { allowAnonymous: 'nowhere' } })).toBe(0);
  const secure = { tls: { host: '0.0.0.0', port: 8883 } } as const;
  const tls = { certFiles: ['a'], keyFiles: ['b'], caFile: 'c' } as const;
  expect(exposed({ listeners: secure, tls })).toBe(1);
  expect(exposed({ listeners: secure, tls: { ...tls, clientCertificates: 'optional' } })).toBe(1);
  expect(exposed({ listeners: secure, tls: { ...tls, clientCertificates: 'required' } })).toBe(0);
});

test.each([
  [{ tls: { certFiles: ['a'] } }, 'tls.keyFiles has 0 files and tls.certFiles 1'],
  [{ listeners: { tls: { port: 8883 } } }, 'listeners.tls.port is set, but tls.certFiles is not'],
  [{ listeners: { secureWebsocket: { port: 0 } } }, 'listeners.secureWebsocket.port is set, but tls.certFiles is not'],
  [{ tls: { clientCertificates: 'required' } }, 'tls.caFile does not say who issues them'],
  [{ auth: { certificateIdentity: 'dns' } }, 'auth.certificateIdentity needs clients to show certificates'],
  [{ auth: { jwt: { secretFile: 'a', keySetFile: 'b' } } }, 'auth.jwt.secretFile and auth.jwt.keySetFile are set'],
  [{ auth: { jwt: { keySetUrl: 'http://id.example/keys' } } }, 'auth.jwt.keySetUrl must be an https URL'],
  [{ auth: { webhook: { url: 'https://user:secret@id.example/' } } }, 'auth.webhook.url must be an https URL'],
  [{ listeners: { proxyProtocolFrom: ['10.0.0.0/33'] } }, 'listeners.proxyProtocolFrom must be a list of addresses'],
] as [DeepPartial<Config>, string][])('what would leave a gap is refused: %j', (partial, sentence) => {
  const problems = problemsOf(partial).join('\n');
  expect(problems).toContain(sentence);
  expect(problems).not.toContain('user:secret');
});

test('settings of connections and sessions are those of the configuration, none left out', () => {
  const config = createConfig({
    limits: { lingerMs: 7, sessionsMax: 8, topicLevelsMax: 9 },
    retained: { messagesMax: 10, bytesMax: 11 },
    session: { queueQos0: true },
  });
  const connection = connectionSettings(config);
  expect(connection.lingerMs).toBe(7);
  const session = sessionSettings(config);
  expect(session).toMatchObject({
    sessionsMax: 8,
    topicLevelsMax: 9,
    retainedMessagesMax: 10,
    retainedBytesMax: 11,
    queueQos0: true,
  });
  const limits = Object.entries(config.limits).filter(([name]) => !GUARD_OPTIONS.has(name));
  expect({ ...session, ...connection }).toMatchObject({ ...config.session, ...Object.fromEntries(limits) });
});

test('a memory budget is auto, a size, or 0 for none; one in which no broker runs is a mistake', () => {
  expect(createConfig().limits.memoryBytesMax).toBe('auto');
  for (const size of ['512 MiB', 0, 'auto'] as (number | 'auto')[])
    expect(problemsOf({ limits: { memoryBytesMax: size } })).toEqual([]);
  expect(problemsOf({ limits: { memoryBytesMax: 'much' } })).toEqual([
    'limits.memoryBytesMax must be auto or a size from 0 to 1,099,511,627,776 bytes (such as 512 MiB), not "much".',
  ]);
  expect(problemsOf({ limits: { memoryBytesMax: 512 } })).toEqual([
    'limits.memoryBytesMax is 512 bytes, in which no broker runs: give it 64 MiB or more, 0 for no limit, or auto.',
  ]);
});

test('addresses that are exempt from limits are addresses and networks', () => {
  expect(createConfig().limits.addressesExempt).toEqual(['127.0.0.0/8', '::1']);
  for (const addressesExempt of [['10.0.0.1/8'], ['host'], ['[::1]'], ['10.0.0.0/33']])
    expect(problemsOf({ limits: { addressesExempt } })).toHaveLength(1);
});
