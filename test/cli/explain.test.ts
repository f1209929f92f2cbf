import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { finished } from './trellis.ts';

let directory: string;
let file: string;

const text = `roles:
  sensor:
    - {allow: publish, topics: ['sensors/\${clientId}/#'], qos: 1}
    - {allow: publish, topics: ['certs/\${cert.cn}', 'claims/\${claim.tenant}'], retain: false}
  reader:
    - {allow: subscribe, topics: ['sensors/#']}
users: {alice: [reader]}
everyone: [sensor]
`;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-explain-'));
  file = join(directory, 'rules.yaml');
  writeFileSync(file, text);
  writeFileSync(join(directory, 'broken.yaml'), 'roles:\n  r: []\nusers:\n  a: [s]\n  b: r\n');
  writeFileSync(join(directory, 'acl'), 'topic read public/#\n');
});

afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

async function explain(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((part) => ((stdout += String(part)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((part) => ((stderr += String(part)), true));
  const code = await run(['explain', ...args]);
  return { code, stdout, stderr: stderr.replaceAll(`${directory}/`, '') };
}

test.each<[string, number]>([
  ['publish sensors/c/x --client c', 0],
  ['publish sensors/c/x --client c --qos 2', 1],
  ['publish sensors/c/x --client d', 1],
  ['publish certs/d --cn d', 0],
  ['publish certs/d --cn d --retain', 1],
  ['publish claims/t --claims {"tenant":"t"}', 0],
  ['publish claims/t --claims {"tenant":["t"]}', 1],
  ['subscribe sensors/+ --user alice', 0],
  ['subscribe $share/g/sensors/+ --user alice', 0],
  ['subscribe sensors/+ --user bob', 1],
  ['subscribe sensors/+ --user bob --role sensor --role reader', 0],
  ['subscribe sensors/+ --user bob --default allow', 0],
  ['publish $SYS/x --default allow', 1],
  ['publish $SYS --default allow', 0],
])('%s exits with %i', async (line, code) => {
  const result = await explain(['--acl', file, ...line.split(' ')]);
  expect(result.stderr).toBe('');
  expect(result.stdout).toMatch(code === 0 ? /^Allowed: / : /^Refused: /);
  expect(result.code).toBe(code);
});

test.each<[string, string]>([
  ['', 'trellis explain needs what to explain: publish, subscribe or connect; see trellis explain --help.'],
  ['pblish a', 'trellis explain knows publish, subscribe and connect, not "pblish"; did you mean publish?'],
  ['publish', 'trellis explain publish needs one TOPIC.'],
  ['publish a b', 'trellis explain publish needs one TOPIC.'],
  ['publish a/#', 'TOPIC must be a topic name without wildcards, not "a/#".'],
  ['subscribe a#', 'TOPIC must be a topic filter of MQTT, not "a#".'],
  ['subscribe a --retain', '--retain goes with trellis explain publish only.'],
  ['publish a --qos 3', '--qos must be an integer from 0 to 2, not "3".'],
  ['publish a --default maybe', '--default must be deny or allow, not "maybe".'],
  ['publish a --claims [1]', '--claims must be a JSON object such as {"tenant":"acme"}.'],
  ['publish a --claims {', '--claims must be a JSON object such as {"tenant":"acme"}.'],
  ['publish a --user a --user b', '--user can be given once only.'],
  ['publish a --usr a', 'trellis explain has no flag --usr; did you mean --user?'],
  ['publish a --address ::1', '--address goes with trellis explain connect only.'],
  ['connect a', 'trellis explain connect takes no TOPIC.'],
  ['connect --acl a', '--acl goes with trellis explain publish and subscribe only.'],
  ['connect --address here', '--address must be an address, not "here".'],
  [
    'publish a --config c --acl b',
    '--config says which rules there are and what holds beside them: leave --acl and --default out.',
  ],
  ['publish a', 'trellis explain needs the access rules: --acl FILE, or --config FILE.'],
])('%s: one clear sentence and exit code 2', async (line, expected) => {
  const result = await explain(line.split(' ').filter((word) => word !== ''));
  expect(result).toEqual({ code: 2, stdout: '', stderr: `trellis: ${expected}\n` });
});

test('rules that cannot be used are exit code 2, each mistake with its line', async () => {
  expect(await explain(['publish', 'a', '--acl', join(directory, 'broken.yaml')])).toEqual({
    code: 2,
    stdout: '',
    stderr:
      'trellis: broken.yaml:4: there is no role s; did you mean r?\ntrellis: broken.yaml:5: b must be a list of roles, not "r".\n',
  });
  const missing = await explain(['publish', 'a', '--acl', join(directory, 'missing.yaml')]);
  expect(missing.stderr).toBe('trellis: Cannot read the access rules missing.yaml: there is no such file.\n');
  expect(missing.code).toBe(2);
});

test("as a process it reads Mosquitto's format too", async () => {
  const acl = join(directory, 'acl');
  const command = await finished(['explain', 'subscribe', '--acl', acl, 'public/+']);
  expect(command.stdout).toContain(`allowed by ${acl}:1 (role anonymous): allow subscribe public/#\n`);
  expect(command.code).toBe(0);
});

test('--help says what it takes', async () => {
  const { code, stdout } = await explain(['--help']);
  expect(code).toBe(0);
  for (const word of ['--acl FILE', '--claims JSON', 'Exit codes: 0 allowed, 1 refused'])
    expect(stdout).toContain(word);
});
