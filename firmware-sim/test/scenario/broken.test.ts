import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadScenario } from '../../src/scenario/load.ts';
import { ScenarioError } from '../../src/scenario/scenario-error.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'scenario-'));
  writeFileSync(join(directory, 'uneven.csv'), 'a,b\n1,2\n3\n');
  writeFileSync(join(directory, 'header.csv'), 'a,b\n');
  writeFileSync(join(directory, 'quote.csv'), 'a,b\n1,"2\n');
  writeFileSync(join(directory, 'text.pem'), 'not a certificate\n');
});

afterAll(() => rmSync(directory, { recursive: true }));

/** The problems of a file with this text, its directory left out. */
function problemsOf(text: string | Buffer, name = 's.yaml'): string[] {
  const file = join(directory, name);
  writeFileSync(file, text);
  try {
    loadScenario(file);
  } catch (error) {
    if (!(error instanceof ScenarioError)) throw error;
    expect(error.message).toBe(error.problems.join('\n'));
    return error.problems.map((problem) => problem.replaceAll(`${directory}/`, ''));
  }
  return [];
}

const sensor = 'fleet:\n  a: { kind: sensor }\n';
const kinds = 'sensor, gateway, actuator, dashboard, operator or legacy';

test.each<[string, string, string[]]>([
  // Not YAML, or not a scenario.
  ['an empty file', '', ['s.yaml: is empty; a scenario needs a fleet (sim init writes one to begin with)']],
  ['comments alone', '# nothing\n', ['s.yaml: is empty; a scenario needs a fleet (sim init writes one to begin with)']],
  ['a list', '- a\n', ['s.yaml:1:1: must be a mapping with fleet and more, not a list']],
  ['a word', 'hello\n', ['s.yaml:1:1: must be a mapping with fleet and more, not "hello"']],
  [
    'a bracket left open',
    'fleet: {\n  a: 1\n',
    ['s.yaml:3:1: not valid YAML: Flow map in block collection must be sufficiently indented and end with a }'],
  ],
  ['a key twice', `${sensor}seed: 1\nseed: 2\n`, ['s.yaml:4:1: the same key twice']],
  [
    'an alias of nothing',
    'fleet:\n  a: *base\n',
    ['s.yaml: cannot be used: Unresolved alias (the anchor must be set before the alias): base'],
  ],
  [
    'aliases that explode',
    `a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [${'*a,'.repeat(9)}]\nc: &c [${'*b,'.repeat(9)}]\nd: &d [${'*c,'.repeat(9)}]\nfleet: *d\n`,
    ['s.yaml: cannot be used: Excessive alias count indicates a resource exhaustion attack'],
  ],
  [
    'no fleet',
    'name: x\n',
    ['s.yaml:1:1: fleet: missing; it must be a mapping from names of classes to what they are'],
  ],
  ['a fleet of none', 'fleet: {}\n', ['s.yaml:1:1: fleet: has no class of devices']],
  [
    'a fleet that is a list',
    'fleet:\n  - kind: sensor\n',
    ['s.yaml:1:1: fleet: must be a mapping from names of classes to what they are, not a list'],
  ],

  // Names.
  ['a section misspelt', `${sensor}chekcer: {}\n`, ['s.yaml:3:1: chekcer: unknown; did you mean checker?']],
  [
    'a section like nothing',
    `${sensor}xyzzy: {}\n`,
    [
      's.yaml:3:1: xyzzy: unknown; the fields are name, description, seed, topicPrefix, broker, fleet, stages, chaos, checker and thresholds',
    ],
  ],
  [
    'a field misspelt',
    'fleet:\n  trackers:\n    kind: sensor\n    conection: {}\n',
    ['s.yaml:4:5: fleet.trackers.conection: unknown; did you mean connection?'],
  ],
  [
    'a field with its unit',
    'fleet:\n  a:\n    kind: sensor\n    connection: { keepAliveSeconds: 5 }\n',
    ['s.yaml:4:19: fleet.a.connection.keepAliveSeconds: unknown; did you mean keepAlive?'],
  ],
  [
    'several fields of one section',
    'fleet:\n  a:\n    kind: sensor\n    life: { sleeep: 1, craash: 2 }\n',
    [
      's.yaml:4:13: fleet.a.life.sleeep: unknown; did you mean sleep?',
      's.yaml:4:24: fleet.a.life.craash: unknown; did you mean crash?',
    ],
  ],
  [
    'a field deep in a list',
    'fleet:\n  a:\n    kind: sensor\n    telemetry:\n      - topic: a\n      - topc: b\n',
    ['s.yaml:6:9: fleet.a.telemetry[1].topc: unknown; did you mean topic?'],
  ],
  ['a class without kind', 'fleet:\n  a: { count: 1 }\n', [`s.yaml:2:3: fleet.a.kind: missing; it must be ${kinds}`]],
  [
    'a kind misspelt',
    'fleet:\n  a: { kind: senser }\n',
    [`s.yaml:2:14: fleet.a.kind: must be ${kinds}, not "senser"; did you mean sensor?`],
  ],
  [
    'a class that is a number',
    'fleet:\n  a: 5\n',
    [`s.yaml:2:6: fleet.a: must be a mapping with kind (${kinds}) and what belongs to it, not 5`],
  ],
  [
    'a class whose name would break a path',
    'fleet:\n  a.b: { kind: sensor }\n',
    ['s.yaml:2:3: fleet.a.b: a class is named with letters, digits, - and _, and begins with a letter'],
  ],
  [
    'a class with a name of object prototypes',
    'fleet:\n  __proto__: { kind: sensor }\n  a: { kind: sensor }\n',
    ['s.yaml:2:3: fleet.__proto__: a class is named with letters, digits, - and _, and begins with a letter'],
  ],
  [
    'a network misspelt',
    'fleet:\n  a: { kind: sensor, network: satelite }\n',
    [
      's.yaml:2:31: fleet.a.network: must be good, 3g, edge, satellite, lossy or mobile, or a mapping with what the network does, not "satelite"; did you mean satellite?',
    ],
  ],
  [
    'a field of a network misspelt',
    'fleet:\n  a: { kind: sensor, network: { latncy: 5ms } }\n',
    ['s.yaml:2:33: fleet.a.network.latncy: unknown; did you mean latency?'],
  ],

  // Values.
  [
    'a count in words',
    'fleet:\n  a:\n    kind: sensor\n    count: many\n',
    ['s.yaml:4:12: fleet.a.count: must be an integer from 1 to 1,000,000, not "many"'],
  ],
  [
    'a count of none',
    'fleet:\n  a: { kind: sensor, count: 0 }\n',
    ['s.yaml:2:29: fleet.a.count: must be an integer from 1 to 1,000,000, not 0'],
  ],
  [
    'a count left empty',
    'fleet:\n  a:\n    kind: sensor\n    count:\n',
    ['s.yaml:4:5: fleet.a.count: must be an integer from 1 to 1,000,000, not nothing'],
  ],
  [
    'a number that is none',
    `${sensor}seed: .nan\n`,
    ['s.yaml:3:7: seed: must be an integer from 0 to 4,294,967,295, not NaN'],
  ],
  [
    'a wrong unit',
    `${sensor}checker:\n  lateAfter: 5 parsecs\n`,
    ['s.yaml:4:14: checker.lateAfter: must be a duration from 1ms to 1d, such as 250ms, 30s or 2m, not "5 parsecs"'],
  ],
  [
    'milliseconds that are taken for seconds',
    'fleet:\n  a: { kind: sensor, network: { latency: 250 } }\n',
    [
      's.yaml:2:42: fleet.a.network.latency: must be a duration from 0s to 1m, not 250 s; for milliseconds write "250ms"',
    ],
  ],
  [
    'a duration far too long',
    `${sensor}checker: { lateAfter: 90000 }\n`,
    [
      's.yaml:3:23: checker.lateAfter: must be a duration from 1ms to 1d, not 90000 s; for milliseconds write "90000ms"',
    ],
  ],
  [
    'a duration below zero',
    `${sensor}checker: { lateAfter: -5s }\n`,
    ['s.yaml:3:23: checker.lateAfter: must be a duration from 1ms to 1d, not "-5s"'],
  ],
  [
    'a size too large',
    'fleet:\n  a: { kind: sensor, telemetry: [{ size: 1024 MiB }] }\n',
    ['s.yaml:2:42: fleet.a.telemetry[0].size: must be a size from 0 B to 16 MiB, not "1024 MiB"'],
  ],
  [
    'a QoS of 3',
    'fleet:\n  a: { kind: sensor, telemetry: [{ qos: 3 }] }\n',
    ['s.yaml:2:41: fleet.a.telemetry[0].qos: must be 0, 1 or 2, or a list of them, not 3'],
  ],
  [
    'a QoS of 3 in a list',
    'fleet:\n  a: { kind: sensor, telemetry: [{ qos: [1, 3] }] }\n',
    ['s.yaml:2:45: fleet.a.telemetry[0].qos[1]: must be 0, 1 or 2, not 3'],
  ],
  [
    'a protocol level in place of a version',
    'fleet:\n  a: { kind: sensor, connection: { versions: [3.1, 4] } }\n',
    ['s.yaml:2:52: fleet.a.connection.versions[1]: must be 3.1, 3.1.1 or 5, not 4'],
  ],
  [
    'wildcards in a topic name',
    'fleet:\n  a: { kind: sensor, telemetry: [{ topic: "a/#" }] }\n',
    ['s.yaml:2:43: fleet.a.telemetry[0].topic: is a topic name and must not contain + or #'],
  ],
  [
    'a placeholder misspelt',
    'fleet:\n  a: { kind: sensor, telemetry: [{ topic: "a/{devise}" }] }\n',
    [
      's.yaml:2:43: fleet.a.telemetry[0].topic: has {devise}, which is none of {prefix}, {class}, {device}, {index}, {child}; did you mean {device}?',
    ],
  ],
  [
    'a filter with # in the middle',
    'fleet:\n  a: { kind: dashboard, subscribes: ["a/#/b"] }\n',
    ['s.yaml:2:38: fleet.a.subscribes[0]: has a wildcard that is not a level of its own, or a # that is not the last'],
  ],
  [
    'a password that is a number, which is not repeated',
    'fleet:\n  a: { kind: sensor, connection: { username: u, password: 1234 } }\n',
    ['s.yaml:2:59: fleet.a.connection.password: must be text; put it in quotes'],
  ],
  [
    'a ramp above 1',
    `${sensor}stages:\n  - ramp: { seconds: 5, to: 2 }\n`,
    ['s.yaml:4:29: stages[0].ramp.to: must be a number from 0 to 1, not 2'],
  ],

  // Stages.
  [
    'two stages in one',
    `${sensor}stages:\n  - ramp: 5s\n    hold: 5s\n`,
    ['s.yaml:4:5: stages[0]: must be one of ramp, hold, burst, storm and drain, not ramp and hold'],
  ],
  [
    'a stage of nothing',
    `${sensor}stages:\n  - ramp: 5s\n  - {}\n`,
    ['s.yaml:5:5: stages[1]: must be one of ramp, hold, burst, storm and drain, not nothing'],
  ],
  [
    'a stage misspelt',
    `${sensor}stages:\n  - ramp: 5s\n  - brust: 5s\n`,
    ['s.yaml:5:5: stages[1].brust: unknown; did you mean burst?'],
  ],
  [
    'stages without a ramp',
    `${sensor}stages:\n  - hold: 5s\n`,
    ['s.yaml:3:1: stages: has no ramp, so that no device is ever switched on'],
  ],
  [
    'a drain amid the run',
    `${sensor}stages: [{ ramp: 5s }, { drain: 5s }, { hold: 5s }]\n`,
    ['s.yaml:3:24: stages[1]: a drain must be the last stage'],
  ],
  [
    'two stages of one name',
    `${sensor}stages:\n  - ramp: 5s\n  - hold: { seconds: 5, name: ramp }\n`,
    ['s.yaml:5:5: stages[1]: is named ramp, like a stage before it'],
  ],

  // Thresholds.
  [
    'a metric misspelt',
    `${sensor}thresholds:\n  delivry.p99: "< 5 ms"\n`,
    ['s.yaml:4:16: thresholds.delivry.p99: there is no such metric; did you mean delivery.p99?'],
  ],
  [
    'a distribution in place of a number',
    `${sensor}thresholds: { classes.a.connect: "< 5 ms" }\n`,
    [
      's.yaml:3:34: thresholds.classes.a.connect: is a distribution; say which number of it, such as classes.a.connect.p99',
    ],
  ],
  [
    'a class in a metric misspelt',
    'fleet:\n  trackers: { kind: sensor }\nthresholds: { classes.tracker.lost: 0 }\n',
    ['s.yaml:3:37: thresholds.classes.tracker.lost: there is no class tracker; did you mean trackers?'],
  ],
  [
    'a stage in a metric that is not there',
    `${sensor}thresholds: { stages.burst.sent: "> 1" }\n`,
    ['s.yaml:3:34: thresholds.stages.burst.sent: there is no stage burst, only ramp, hold or drain'],
  ],
  [
    'a time without comparison',
    `${sensor}thresholds: { connect.max: 250 }\n`,
    ['s.yaml:3:28: thresholds.connect.max: must say how to compare, such as "<= 250 ms"'],
  ],
  [
    'a time in a wrong unit',
    `${sensor}thresholds: { connect.max: "< 5 parsecs" }\n`,
    ['s.yaml:3:28: thresholds.connect.max: has the unit parsecs; times are in ms, s or m'],
  ],
  [
    'a number with a unit',
    `${sensor}thresholds: { lost: "= 5 ms" }\n`,
    ['s.yaml:3:21: thresholds.lost: is a number without unit, not ms'],
  ],
  [
    'a comparison that is none',
    `${sensor}thresholds: { lost: "about 5" }\n`,
    ['s.yaml:3:21: thresholds.lost: must be a condition such as "<= 250 ms", ">= 1000", 0 or off, not "about 5"'],
  ],

  // What fields mean together.
  [
    'a command topic that all devices share',
    'fleet:\n  a: { kind: actuator, commandTopic: "a/command" }\n',
    ['s.yaml:2:38: fleet.a.commandTopic: must contain {device} or {index}, so that each device has its own'],
  ],
  [
    'a will that says all devices are offline',
    'fleet:\n  a: { kind: sensor, count: 2, life: { birthTopic: "a/status" } }\n',
    ['s.yaml:2:52: fleet.a.life.birthTopic: must contain {device} or {index}, so that each device has its own'],
  ],
  [
    '{child} where there are no children',
    'fleet:\n  a: { kind: sensor, telemetry: [{ topic: "{child}" }] }\n',
    ['s.yaml:2:43: fleet.a.telemetry[0].topic: {child} is only for gateways'],
  ],
  [
    'a dashboard that looks at nothing',
    'fleet:\n  a: { kind: dashboard }\n',
    ['s.yaml:2:3: fleet.a.subscribes: a dashboard must subscribe to something'],
  ],
  [
    'an operator that does nothing',
    'fleet:\n  a: { kind: operator }\n',
    ['s.yaml:2:3: fleet.a: an operator must have commands, configures or firmware'],
  ],
  [
    'commands to nobody',
    'fleet:\n  valves: { kind: actuator }\n  b: { kind: operator, commands: { to: valve } }\n',
    ['s.yaml:3:40: fleet.b.commands.to: no class is named valve; did you mean valves?'],
  ],
  [
    'commands to sensors',
    'fleet:\n  a: { kind: sensor }\n  b: { kind: operator, commands: { to: a } }\n',
    ['s.yaml:3:40: fleet.b.commands.to: a is a sensor; commands go to a class of actuators'],
  ],
  [
    'a configuration that nobody reads',
    'fleet:\n  a: { kind: sensor }\n  b: { kind: operator, configures: { to: a } }\n',
    ['s.yaml:3:42: fleet.b.configures.to: a has no life.configTopic to write to'],
  ],
  [
    'a configuration that nobody writes',
    'fleet:\n  a: { kind: sensor, life: { configTopic: "c/{device}" } }\n',
    [
      's.yaml:2:43: fleet.a.life.configTopic: nobody writes a configuration there, and devices would wait for it for ever; add an operator that configures this class',
    ],
  ],
  [
    'a firmware channel that nobody announces',
    'fleet:\n  a: { kind: sensor, life: { firmware: { channel: beta } } }\n',
    [
      's.yaml:2:51: fleet.a.life.firmware.channel: nobody announces firmware in channel beta; add an operator with firmware: { channel: beta }',
    ],
  ],
  [
    'a firmware channel that nobody follows',
    `${sensor}  b: { kind: operator, firmware: { channel: beta } }\n`,
    [
      's.yaml:3:45: fleet.b.firmware.channel: no class follows channel beta; add life: { firmware: { channel: beta } } to one',
    ],
  ],
  [
    'releases out of order, too late, and bad ones that are none',
    'fleet:\n  a: { kind: sensor, life: { firmware: {} } }\n  b: { kind: operator, firmware: { releasesAt: [5s, 2s, 9m], badReleases: [3], size: 64, chunk: 65 } }\n',
    [
      's.yaml:3:36: fleet.b.firmware.releasesAt: must be ascending',
      's.yaml:3:36: fleet.b.firmware.releasesAt: has a release after 9m, when the stages before the drain, 40s in all, are over',
      's.yaml:3:76: fleet.b.firmware.badReleases[0]: is no release; there are 3, counted from 0',
      's.yaml:3:97: fleet.b.firmware.chunk: a piece must not be larger than the image',
    ],
  ],
  [
    'sleep with a clean session',
    'fleet:\n  a: { kind: sensor, connection: { session: clean }, life: { sleep: { awake: 5, asleep: 5 } } }\n',
    ['s.yaml:2:45: fleet.a.connection.session: must be persistent where devices sleep, or nothing waits for them'],
  ],
  [
    'an expiry of no session',
    'fleet:\n  a: { kind: sensor, connection: { sessionExpiry: 5 } }\n',
    ['s.yaml:2:51: fleet.a.connection.sessionExpiry: is only for session: persistent'],
  ],
  [
    'a closed loop on a schedule, at QoS 0',
    'fleet:\n  a: { kind: sensor, telemetry: [{ loop: closed, every: 5, qos: 0 }] }\n',
    [
      's.yaml:2:57: fleet.a.telemetry[0].every: does not go with loop: closed, which is as fast as the broker acknowledges',
      's.yaml:2:65: fleet.a.telemetry[0].qos: a closed loop needs QoS 1 or 2, which are acknowledged',
    ],
  ],
  [
    'two models',
    'fleet:\n  a: { kind: sensor, telemetry: [{ model: { sine: {}, constant: 1 } }] }\n',
    [
      's.yaml:2:36: fleet.a.telemetry[0].model: must be exactly one of constant, random-walk, sine, csv and template, not sine and constant',
    ],
  ],
  [
    'a walk between nothing',
    'fleet:\n  a: { kind: sensor, telemetry: [{ model: { random-walk: { min: 5, max: 1 } } }] }\n',
    ['s.yaml:2:45: fleet.a.telemetry[0].model.random-walk: has a min of 5, above its max of 1'],
  ],
  [
    'a placeholder of a template misspelt',
    'fleet:\n  a: { kind: sensor, telemetry: [{ model: { template: { x: ["{rnadom:1:2}"], y: "{{ value_json.y }}" } } }] }\n',
    [
      's.yaml:2:45: fleet.a.telemetry[0].model.template: has {rnadom:1:2}, which is none of {counter}, {time}, {device}, {index}, {random:low:high}, {pick:a|b|c}; did you mean {random:low:high}?',
    ],
  ],
  [
    'a member where the stamp goes',
    'fleet:\n  a: { kind: sensor, telemetry: [{ model: { template: { sim: 1 } } }] }\n',
    [
      's.yaml:2:45: fleet.a.telemetry[0].model.template: must have no member sim, which is where the simulator puts its stamp',
    ],
  ],
  [
    'a part of cuts that never come',
    'fleet:\n  a: { kind: sensor, network: { halfOpen: 0.5 } }\n',
    ['s.yaml:2:43: fleet.a.network.halfOpen: is a part of the cuts; add cutEvery or cutAtByte'],
  ],
  [
    'ranges the wrong way round',
    'fleet:\n  a: { kind: sensor, network: { latency: [5ms, 1ms] }, connection: { reconnect: [5s, 1s] } }\n',
    [
      's.yaml:2:33: fleet.a.network.latency: must not have the least above the most',
      's.yaml:2:70: fleet.a.connection.reconnect: must not have a longest wait below the shortest',
    ],
  ],

  // Files.
  [
    'CSV files that are not there, uneven, without rows, and with a quote left open',
    `fleet:
  a:
    kind: sensor
    telemetry:
      - model: { csv: nope.csv }
      - model: { csv: uneven.csv }
      - model: { csv: header.csv }
      - model: { csv: quote.csv }
`,
    [
      's.yaml:5:23: fleet.a.telemetry[0].model.csv: cannot read nope.csv: there is no such file',
      's.yaml:6:23: fleet.a.telemetry[1].model.csv: uneven.csv has 1 fields on line 3 and 2 in its header',
      's.yaml:7:23: fleet.a.telemetry[2].model.csv: header.csv has a header and no rows',
      's.yaml:8:23: fleet.a.telemetry[3].model.csv: quote.csv has a quote that is out of place on line 2',
    ],
  ],
  [
    'certificates that are not there, and what is no certificate',
    `${sensor}broker: { url: "mqtts://h", tls: { ca: text.pem, cert: nope.pem } }\n`,
    [
      's.yaml:3:56: broker.tls.cert: cannot read nope.pem: there is no such file',
      's.yaml:3:56: broker.tls.cert: needs its key beside it',
    ],
  ],
  [
    'an authority that is no certificate',
    `${sensor}broker: { url: "mqtts://h", tls: { ca: text.pem } }\n`,
    ['s.yaml:3:40: broker.tls.ca: holds no certificate in PEM format'],
  ],
  [
    'a URL that is none of a broker; its password is not repeated',
    `${sensor}broker: { url: "http://u:secret@h" }\n`,
    [
      "s.yaml:3:16: broker.url: The broker's URL begins with 'http://', which is no way to speak MQTT. It must be mqtt://, mqtts://, ws:// or wss://",
    ],
  ],
  [
    'a WebSocket URL that is none, and nothing to be beside of',
    `${sensor}broker: { websocketUrl: "mqtt://h", metricsUrl: nowhere, password: x }\n`,
    [
      's.yaml:3:11: broker.websocketUrl: needs a url beside it',
      's.yaml:3:25: broker.websocketUrl: must begin with ws:// or wss://',
      's.yaml:3:37: broker.metricsUrl: needs a url beside it',
      's.yaml:3:49: broker.metricsUrl: must be a URL such as http://host:9090/metrics',
      's.yaml:3:58: broker.password: needs a username beside it',
    ],
  ],
])('%s is told in plain words, with its place', (_, text, expected) => {
  expect(problemsOf(text)).toEqual(expected);
});

test('all problems are told at once, in the order of the file, those between sound parts included', () => {
  const problems = problemsOf(`fleet:
  a: { kind: sensor, count: x }
  b: { kind: operator, commands: { to: c } }
  d: { kind: dashboard }
stages:
  - hold: 5 parsecs
  - drain: 5s
  - ramp: 1s
thresholds:
  lots: 0
`);
  expect(problems.map((problem) => problem.split(': ', 2).join(': '))).toEqual([
    's.yaml:2:29: fleet.a.count',
    's.yaml:3:40: fleet.b.commands.to',
    's.yaml:4:3: fleet.d.subscribes',
    's.yaml:6:11: stages[0].hold',
    's.yaml:7:5: stages[1]',
    's.yaml:10:9: thresholds.lots',
  ]);
});

test('a class that is wrong in itself still counts as one others may refer to', () => {
  expect(
    problemsOf('fleet:\n  valves: { kind: actuator, count: x }\n  b: { kind: operator, commands: { to: valves } }\n'),
  ).toEqual(['s.yaml:2:36: fleet.valves.count: must be an integer from 1 to 1,000,000, not "x"']);
});

test('what is wrong with an anchored piece is told where it stands, and merged keys count', () => {
  const text = 'fleet:\n  a: &base\n    kind: sensor\n    count: x\n  b:\n    <<: *base\n    count: 3\n  c: *base\n';
  expect(problemsOf(text)).toEqual([
    's.yaml:4:12: fleet.a.count: must be an integer from 1 to 1,000,000, not "x"',
    's.yaml:4:12: fleet.c.count: must be an integer from 1 to 1,000,000, not "x"',
  ]);
});

test('JSON is read as well, with places', () => {
  expect(problemsOf('{\n "fleet": {"a": {"kind": "sensor", "count": 1.5}}\n}', 's.json')).toEqual([
    's.json:2:45: fleet.a.count: must be an integer from 1 to 1,000,000, not 1.5',
  ]);
});

test('a file that is not UTF-8 is told', () => {
  expect(problemsOf(Buffer.from([0x66, 0xff]))).toEqual(['s.yaml: it is not UTF-8 text']);
});

test('nesting deeper than any stack is told, not thrown', () => {
  const [problem, ...more] = problemsOf(`fleet: ${'['.repeat(100_000)}`);
  expect(problem).toMatch(/^s\.yaml(?::\d+:\d+)?: /);
  expect(more.length).toBeLessThan(3);
});
