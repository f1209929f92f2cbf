import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Answer, endless, HttpBackend, json, silent, wrongAnswers } from '../auth/http-backend.ts';
import { forged } from '../auth/tokens.ts';
import { endAll, trellis } from '../cli/trellis.ts';
import { Materials } from './materials.ts';

let directory: string;
let materials: Materials;

beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'trellis-away-')));
  materials = new Materials(directory);
});

afterEach(endAll);
afterAll(() => rmSync(directory, { recursive: true }));

/** What a client that brings this is told, MQTT 5.0 and 3.1.1. */
async function told(url: string, username: string, password: string): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const protocolVersion of [5, 4] as const) {
    const options = { username, password, protocolVersion, reconnectPeriod: 0, connectTimeout: 60_000 };
    const answer = await mqtt.connectAsync(url, options).then(
      async (client) => {
        await client.endAsync(true);
        return 'let in';
      },
      (error: Error & { code?: unknown }) => error.code,
    );
    answers.push(answer);
  }
  return answers;
}

const REFUSED = [0x86, 4];
const gone = 'gone';

const answers: readonly (readonly [what: string, answer: Answer | typeof gone, reason: string])[] = [
  ['is not there', gone, 'it cannot be reached (ECONNREFUSED)'],
  ['does not answer', silent, 'no answer within'],
  ['answers without end', endless, 'its answer is longer than'],
  ...[...wrongAnswers].map(([what, { answer, reason }]) => [`answers with ${what}`, answer, reason] as const),
];

test.each([
  ...answers,
  ['answers with something else', json({ keys: 'none' }), 'its answer holds no key set'] as const,
])('where the URL of the key set %s the broker starts and refuses every token', async (_, answer, reason) => {
  await using backend = await HttpBackend.start(answer === gone ? silent : answer);
  const config = materials.write('jwt.json', JSON.stringify({ auth: { jwt: { keySetUrl: backend.url } } }));
  if (answer === gone) await backend[Symbol.asyncDispose]();
  const args = ['start', '--config', config, '--port', '0', '--ws-port', 'off', '--store', 'memory'];
  const broker = trellis(args, { directory });
  const [, url = ''] = await broker.until('stdout', /^ready (\S+)$/m);
  expect(broker.stderr).toContain('the keys of tokens cannot be fetched; those known stay in force');
  expect(broker.stderr).toContain(reason);
  const token = forged({ alg: 'ES256', kid: '1' }, { sub: 'alice', exp: 4_102_444_800 }, 'c2lnbmF0dXJl');
  expect(await told(url, 'alice', token)).toEqual(REFUSED);
  expect(broker.stderr).toContain('"reason":"jwt: the keys of tokens are not known: ');
  expect(broker.stderr).not.toContain(token);
});

test.each([...answers, ['answers with something else', json({ result: 'yes' }), 'its answer has no result'] as const])(
  'where the webhook %s the broker starts and refuses every client',
  async (_, answer, reason) => {
    await using backend = await HttpBackend.start(answer === gone ? silent : answer);
    const webhook = { url: backend.url, timeoutMs: 300 };
    const config = materials.write('webhook.json', JSON.stringify({ auth: { webhook } }));
    if (answer === gone) await backend[Symbol.asyncDispose]();
    const args = ['start', '--config', config, '--port', '0', '--ws-port', 'off', '--store', 'memory'];
    const broker = trellis(args, { directory });
    const [, url = ''] = await broker.until('stdout', /^ready (\S+)$/m);
    expect(await told(url, 'alice', 'wonderland')).toEqual(REFUSED);
    expect(broker.stderr).toContain('"reason":"webhook: ');
    expect(broker.stderr).toContain(reason);
    expect(broker.stderr).not.toContain('wonderland');
  },
);
