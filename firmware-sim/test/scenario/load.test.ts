import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadScenario, scenarioFrom } from '../../src/scenario/load.ts';
import { makeCertificates } from '../support/certificates.ts';
import { ScenarioError } from '../../src/scenario/scenario-error.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'scenario-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

/** The problems with the file at this path, its directory left out. */
function problemsOf(path: string): string[] {
  try {
    loadScenario(path);
  } catch (error) {
    if (error instanceof ScenarioError) return error.problems.map((problem) => problem.replaceAll(`${directory}/`, ''));
    throw error;
  }
  return [];
}

const faults = [
  'lost',
  'phantom',
  'duplicated',
  'reordered',
  'leaked',
  'corrupted',
  'retained',
  'will',
  'sessionPresent',
  'late',
];

describe('what is left out is filled in', () => {
  test('of the file', () => {
    const { fleet, ...rest } = loadScenario(write('small.yaml', 'fleet: { things: { kind: sensor } }\n'));
    expect(rest).toEqual({
      name: 'small',
      description: '',
      seed: 1,
      topicPrefix: 'sim',
      broker: {},
      stages: [
        { kind: 'ramp', name: 'ramp', seconds: 10, to: 1 },
        { kind: 'hold', name: 'hold', seconds: 30 },
        { kind: 'drain', name: 'drain', seconds: 30 },
      ],
      chaos: { killBrokerEverySeconds: 0 },
      checker: { lateAfterSeconds: 10 },
      thresholds: faults.map((metric) => ({ metric, test: '=', limit: 0 })),
    });
    expect(fleet.map(({ name }) => name)).toEqual(['things']);
  });

  test('of a sensor', () => {
    expect(scenarioFrom({ fleet: { things: { kind: 'sensor' } } }).fleet).toEqual([
      {
        name: 'things',
        kind: 'sensor',
        count: 1,
        fixedCount: false,
        connection: {
          client: 'packet',
          transport: 'tcp',
          versions: [5],
          session: 'clean',
          sessionExpirySeconds: 0,
          keepAliveSeconds: 30,
          window: 16,
          offlineMax: 1000,
          reconnectSeconds: [0.2, 5],
        },
        network: {},
        clock: { offsetSeconds: 0, driftPpm: 0 },
        subscribes: [],
        telemetry: [
          {
            topic: '{prefix}/{class}/{device}/telemetry',
            pace: { loop: 'open', everySeconds: 5 },
            qos: [1],
            retain: false,
            model: { model: 'random-walk', start: 20, step: 0.5, min: 0, max: 100 },
            sizeBytes: 0,
            format: 'json',
          },
        ],
        life: { willQos: 1, willDelaySeconds: 0 },
      },
    ]);
  });

  test('of the other kinds', () => {
    const [legacy, gateway, plant, valve, dashboard, operator] = scenarioFrom({
      fleet: {
        legacy: { kind: 'legacy' },
        gateway: { kind: 'gateway' },
        plant: { kind: 'gateway', sparkplug: {} },
        valve: { kind: 'actuator', life: { firmware: {}, configTopic: 'c/{device}' } },
        dashboard: { kind: 'dashboard', subscribes: ['#'] },
        operator: { kind: 'operator', commands: { to: 'valve' }, configures: { to: 'valve' }, firmware: {} },
      },
    }).fleet;
    expect(legacy).toMatchObject({
      kind: 'sensor',
      connection: { versions: [3, 4] },
      telemetry: [{ qos: [0, 1, 2] }],
    });
    expect(gateway).toMatchObject({
      children: 10,
      telemetry: [{ topic: '{prefix}/{class}/{device}/{child}/telemetry' }],
    });
    expect(gateway).not.toHaveProperty('sparkplug');
    expect(plant).toMatchObject({ telemetry: [], sparkplug: { groupId: 'sim', everySeconds: 1, metrics: 5 } });
    expect(valve).toMatchObject({
      commandTopic: '{prefix}/{class}/{device}/command',
      workSeconds: 0.02,
      life: { firmware: { channel: 'stable', rebootSeconds: 2 } },
    });
    expect(dashboard).toMatchObject({
      fixedCount: true,
      connection: { transport: 'websocket' },
      reopenEverySeconds: 0,
      subscribes: [{ topicFilter: '#', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
    });
    expect(operator).toMatchObject({
      fixedCount: true,
      connection: { transport: 'tcp' },
      commands: { to: 'valve', everySeconds: 1, qos: 1 },
      configures: { to: 'valve', everySeconds: 0 },
      firmware: {
        channel: 'stable',
        sizeBytes: 65_536,
        chunkBytes: 4096,
        releasesAtSeconds: [10],
        badReleases: [],
        qos: 1,
      },
    });
  });

  test('a will is on the topic of the birth unless it names one', () => {
    const lives = scenarioFrom({
      fleet: {
        a: { kind: 'sensor', life: { birthTopic: 'b/{device}' } },
        b: {
          kind: 'sensor',
          life: { birthTopic: 'b/{device}', willTopic: 'w/{index}', willDelay: '1.5s', willQos: 2 },
        },
        c: { kind: 'sensor', life: { willTopic: 'w/{device}' } },
      },
    }).fleet.map((entry) => ('life' in entry ? entry.life : undefined));
    expect(lives).toEqual([
      { birthTopic: 'b/{device}', willTopic: 'b/{device}', willQos: 1, willDelaySeconds: 0 },
      { birthTopic: 'b/{device}', willTopic: 'w/{index}', willQos: 2, willDelaySeconds: 2 },
      { willTopic: 'w/{device}', willQos: 1, willDelaySeconds: 0 },
    ]);
  });

  test('devices that sleep have a persistent session', () => {
    const [a, b] = scenarioFrom({
      fleet: {
        a: { kind: 'sensor', life: { sleep: { awake: '5s', asleep: '1m' } } },
        b: { kind: 'sensor', connection: { session: 'persistent', sessionExpiry: '1d' } },
      },
    }).fleet;
    expect(a).toMatchObject({
      connection: { session: 'persistent', sessionExpirySeconds: 3600 },
      life: { sleep: { awakeSeconds: 5, asleepSeconds: 60 } },
    });
    expect(b).toMatchObject({ connection: { session: 'persistent', sessionExpirySeconds: 86_400 } });
  });
});

describe('what is said is taken', () => {
  test('of connection, network and clock', () => {
    const [entry] = scenarioFrom({
      fleet: {
        a: {
          kind: 'sensor',
          count: 7,
          fixed: true,
          connection: {
            client: 'mqttjs',
            transport: 'websocket',
            versions: [3.1, '3.1.1', 5, '5.0'],
            keepAlive: '1m',
            username: 'u-{device}',
            password: 'p',
            receiveMaximum: 3,
            window: 2,
            offlineMax: 0,
            reconnect: ['50ms', 1],
          },
          network: {
            profile: 'mobile',
            latency: ['5ms', '5ms'],
            bandwidth: '1 KiB',
            cutAtByte: 100,
            readRate: '2 kB',
            halfOpen: 0,
          },
          clock: { offset: -5, driftPpm: 100 },
          subscribes: [{ filter: 'a/{device}', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }],
        },
      },
    }).fleet;
    expect(entry).toMatchObject({
      count: 7,
      fixedCount: true,
      connection: {
        client: 'mqttjs',
        transport: 'websocket',
        versions: [3, 4, 5, 5],
        keepAliveSeconds: 60,
        username: 'u-{device}',
        password: 'p',
        receiveMaximum: 3,
        window: 2,
        offlineMax: 0,
        reconnectSeconds: [0.05, 1],
      },
      network: {
        latencyMs: 5,
        bandwidth: 1024,
        cutEverySeconds: 90,
        cutAtByte: 100,
        halfOpen: 0,
        halfOpenSeconds: 15,
        handOverEverySeconds: 45,
        readRate: 2000,
      },
      clock: { offsetSeconds: -5, driftPpm: 100 },
      subscribes: [{ topicFilter: 'a/{device}', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }],
    });
  });

  test('of telemetry and its models', () => {
    const csv = write('values.csv', '\uFEFFa,"b ""x"""\r\n1,"2,\n3"\r\n\r\n4,5');
    const [entry] = loadScenario(
      write(
        'models.yaml',
        `fleet:
  a:
    kind: sensor
    telemetry:
      - { loop: closed, qos: 2, model: { constant: 5 } }
      - { every: 250ms, qos: [0, 1], retain: true, model: { sine: { period: 1h } }, size: 1 KiB, format: binary, expiry: 2m }
      - { model: sine }
      - { model: { random-walk: { start: 1 } } }
      - { model: { csv: ${csv.split('/').at(-1)} } }
      - { model: { template: { a: ["{counter}"] } } }
`,
      ),
    ).fleet;
    expect(entry).toMatchObject({
      telemetry: [
        { pace: { loop: 'closed' }, qos: [2], model: { model: 'constant', value: 5 } },
        {
          pace: { loop: 'open', everySeconds: 0.25 },
          qos: [0, 1],
          retain: true,
          model: { model: 'sine', mean: 20, amplitude: 5, periodSeconds: 3600, noise: 0.1 },
          sizeBytes: 1024,
          format: 'binary',
          expirySeconds: 120,
        },
        { model: { model: 'sine', mean: 20, amplitude: 5, periodSeconds: 60, noise: 0.1 } },
        { model: { model: 'random-walk', start: 1, step: 0.5, min: 0, max: 100 } },
        {
          model: {
            model: 'csv',
            header: ['a', 'b "x"'],
            rows: [
              ['1', '2,\n3'],
              ['4', '5'],
            ],
          },
        },
        { model: { model: 'template', template: { a: ['{counter}'] } } },
      ],
    });
  });

  test('of stages, which are numbered where they have no name', () => {
    const { stages } = scenarioFrom({
      fleet: { a: { kind: 'sensor' } },
      stages: [
        { ramp: { seconds: 5, to: 0.5 } },
        { hold: '1m' },
        { burst: '250ms' },
        { burst: { seconds: 1, factor: 3, name: 'rush' } },
        { storm: 2 },
        { hold: 3 },
        { drain: { seconds: 4, name: 'end' } },
      ],
    });
    expect(stages).toEqual([
      { kind: 'ramp', name: 'ramp', seconds: 5, to: 0.5 },
      { kind: 'hold', name: 'hold', seconds: 60 },
      { kind: 'burst', name: 'burst', seconds: 0.25, factor: 5 },
      { kind: 'burst', name: 'rush', seconds: 1, factor: 3 },
      { kind: 'storm', name: 'storm', seconds: 2, part: 1 },
      { kind: 'hold', name: 'hold-2', seconds: 3 },
      { kind: 'drain', name: 'end', seconds: 4 },
    ]);
  });

  test('of thresholds, which replace that a fault has to be 0, or take it away', () => {
    const { thresholds } = scenarioFrom({
      fleet: { a: { kind: 'sensor' } },
      thresholds: {
        lost: '<= 3',
        late: 'off',
        'delivery.p99': '<250ms',
        'connect.max': '<= 1.5 s',
        'stages.hold.throughput': '>= 1000',
        'classes.a.connect.count': 1,
        'sent.qos2': '== 5',
        'self.loopDelayP99': '< 20',
      },
    });
    expect(thresholds).toEqual([
      ...faults.filter((name) => name !== 'lost' && name !== 'late').map((metric) => ({ metric, test: '=', limit: 0 })),
      { metric: 'lost', test: '<=', limit: 3 },
      { metric: 'delivery.p99', test: '<', limit: 250 },
      { metric: 'connect.max', test: '<=', limit: 1500 },
      { metric: 'stages.hold.throughput', test: '>=', limit: 1000 },
      { metric: 'classes.a.connect.count', test: '=', limit: 1 },
      { metric: 'sent.qos2', test: '=', limit: 5 },
      { metric: 'self.loopDelayP99', test: '<', limit: 20 },
    ]);
  });
});

describe('where the broker is', () => {
  const fleet = { a: { kind: 'sensor' } } as const;
  const tcp = { transport: 'tcp', host: 'h', port: 1883, path: '/mqtt' };

  test('a URL with the usual port has WebSocket beside it, as a guess', () => {
    expect(scenarioFrom({ fleet, broker: { url: 'mqtt://u:p%40@h' } }).broker).toEqual({
      url: 'mqtt://h:1883',
      tcp,
      websocket: { ...tcp, transport: 'ws', port: 8083 },
      websocketIsGuess: true,
      username: 'u',
      password: 'p@',
    });
  });

  test('with any other port there is nothing to guess', () => {
    expect(scenarioFrom({ fleet, broker: { url: 'mqtt://h:4000' } }).broker).toEqual({
      url: 'mqtt://h:4000',
      tcp: { ...tcp, port: 4000 },
    });
  });

  test('a WebSocket URL is for all classes', () => {
    const websocket = { transport: 'ws', host: 'h', port: 80, path: '/x' };
    expect(scenarioFrom({ fleet, broker: { url: 'ws://h:80/x' } }).broker).toEqual({
      url: 'ws://h:80/x',
      tcp: websocket,
      websocket,
    });
  });

  test('both may be named, and who to be', () => {
    const broker = { url: 'mqtt://u:p@h', websocketUrl: 'ws://w:9001', username: 'v', metricsUrl: 'http://h/metrics' };
    expect(scenarioFrom({ fleet, broker }).broker).toEqual({
      url: 'mqtt://h:1883',
      tcp,
      websocket: { transport: 'ws', host: 'w', port: 9001, path: '/mqtt' },
      username: 'v',
      password: 'p',
      metricsUrl: 'http://h/metrics',
    });
  });
});

describe('certificates', () => {
  const certificates = makeCertificates();
  const other = makeCertificates();

  function tlsScenario(tls: string): string {
    write('ca.pem', certificates.ca);
    write('device.pem', certificates.client.cert);
    write('device.key', certificates.client.key);
    write('other.key', other.client.key);
    return write('tls.yaml', `fleet: { a: { kind: sensor } }\nbroker: { url: "mqtts://h", tls: ${tls} }\n`);
  }

  test('are read, relative to the scenario, for TLS and for WebSocket over it', () => {
    const { broker } = loadScenario(tlsScenario('{ ca: ca.pem, cert: device.pem, key: device.key, verify: false }'));
    const tls = { ca: certificates.ca, ...certificates.client, verify: false };
    expect(broker.tcp).toEqual({ transport: 'tls', host: 'h', port: 8883, path: '/mqtt', tls });
    expect(broker.websocket).toEqual({ transport: 'wss', host: 'h', port: 8084, path: '/mqtt', tls });
  });

  test('must go with their keys', () => {
    expect(problemsOf(tlsScenario('{ cert: device.pem, key: other.key }'))).toEqual([
      'tls.yaml:2:59: broker.tls.key: does not belong to the certificate',
    ]);
    expect(problemsOf(tlsScenario('{ cert: device.key, key: device.pem }'))).toEqual([
      'tls.yaml:2:42: broker.tls.cert: holds no certificate in PEM format',
      'tls.yaml:2:59: broker.tls.key: holds no private key in PEM format, or one that needs another passphrase',
    ]);
    expect(problemsOf(tlsScenario('{ key: device.key }'))).toEqual([
      'tls.yaml:2:41: broker.tls.key: needs its certificate beside it: cert',
    ]);
  });
});

describe('modules', () => {
  const defineFleet = fileURLToPath(new URL('../../src/scenario/define-fleet.ts', import.meta.url));

  test('TypeScript may make a scenario', () => {
    const path = write(
      'made.ts',
      `import { defineFleet } from ${JSON.stringify(defineFleet)};
const names: string[] = ['a', 'b'];
export default defineFleet({ fleet: Object.fromEntries(names.map((name) => [name, { kind: 'sensor', count: 3 }] as const)) });
`,
    );
    const { name, fleet } = loadScenario(path);
    expect([name, ...fleet.map((entry) => `${entry.name} ${entry.count}`)]).toEqual(['made', 'a 3', 'b 3']);
  });

  test('JavaScript as well', () => {
    const { fleet } = loadScenario(write('made.mjs', 'export default { fleet: { a: { kind: "sensor" } } };\n'));
    expect(fleet).toHaveLength(1);
  });

  test('what is wrong is told without lines', () => {
    expect(
      problemsOf(write('wrong.mjs', 'export default { fleet: { a: { kind: "sensor", count: 0, lfe: {} } } };\n')),
    ).toEqual([
      'wrong.mjs: fleet.a.count: must be an integer from 1 to 1,000,000, not 0',
      'wrong.mjs: fleet.a.lfe: unknown; did you mean life?',
    ]);
  });

  test('a module that throws, or exports nothing, is told in one sentence', () => {
    expect(problemsOf(write('throws.mjs', 'throw new Error("no more\\nthan this");\n'))).toEqual([
      'throws.mjs: cannot be loaded: no more',
    ]);
    expect(problemsOf(write('nothing.mjs', 'export const a = 1;\n'))).toEqual([
      'nothing.mjs: must have a default export: export default defineFleet({ fleet: { ... } })',
    ]);
  });
});

describe('paths', () => {
  test('a file that is not there', () => {
    for (const name of ['no.yaml', 'no.ts']) {
      expect(problemsOf(join(directory, name))).toEqual([`${name}: there is no such file`]);
    }
  });

  test('a directory', () => {
    expect(() => loadScenario(`${tmpdir()}/.yaml`)).toThrow(ScenarioError);
    expect(problemsOf(directory)).toEqual([
      `${directory}: a scenario ends in .yaml, .yml, .json, .ts, .mts, .js or .mjs`,
    ]);
  });

  test('a name is that of a scenario that comes along', () => {
    expect(loadScenario('tour').name).toBe('tour');
    expect(problemsOf('smart-hom')).toEqual([
      'smart-hom: there is no such file, and no scenario of that name; did you mean smart-home?',
    ]);
    expect(problemsOf('xyzzy')).toEqual([
      'xyzzy: there is no such file, and no scenario of that name; dashboard-wall, factory, firmware-rollout, kill-broker, smart-home, tour and trackers come along',
    ]);
  });
});
