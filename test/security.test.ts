import { expect, test } from 'vitest';
import type { Hooks } from '../src/hooks/hooks.ts';
import type { Logger } from '../src/lib/logger.ts';
import { SecurityFiles } from './security/security-files.ts';
import { startTestBroker } from './support/test-broker.ts';

/** Answers to clients without and with a user name, where nothing but the settings and perhaps a hook says who clients are. */
const ANSWERS = [
  { allowAnonymous: 'auto', withHook: false, answers: [0, 0], asked: [] },
  { allowAnonymous: 'loopback', withHook: false, answers: [0, 0], asked: [] },
  { allowAnonymous: 'everywhere', withHook: false, answers: [0, 0], asked: [] },
  { allowAnonymous: 'nowhere', withHook: false, answers: [0x87, 0x86], asked: [] },
  { allowAnonymous: 'auto', withHook: true, answers: [0, 0], asked: ['', 'ann'] },
  { allowAnonymous: 'loopback', withHook: true, answers: [0, 0], asked: ['', 'ann'] },
  { allowAnonymous: 'everywhere', withHook: true, answers: [0, 0], asked: ['', 'ann'] },
  { allowAnonymous: 'nowhere', withHook: true, answers: [0x87, 0], asked: ['ann'] },
] as const;

test.for(ANSWERS)(
  'auth.allowAnonymous $allowAnonymous, hook: $withHook: a user name is not what keeps a client out',
  async ({ allowAnonymous, withHook, answers, asked }) => {
    const names: string[] = [];
    const authenticate: NonNullable<Hooks['authenticate']> = ({ username }) => {
      names.push(username);
      return { allow: true, username };
    };
    await using broker = await startTestBroker({
      config: { auth: { allowAnonymous } },
      ...(withHook && { hooks: { authenticate } }),
    });
    for (const [index, connect] of [{}, { username: 'ann', password: 'x' }].entries()) {
      const client = await broker.open();
      client.sendConnect(connect);
      await client.expectConnack(answers[index] as number);
    }
    expect(names).toEqual(asked);
  },
);

test('rules without anything that says who clients are come with a warning', async () => {
  using files = new SecurityFiles();
  const file = files.write('rules.json', '{"roles": {"r": []}, "users": {"ann": ["r"]}}');
  const warnings: string[] = [];
  const logger: Logger = { level: 'warn', error() {}, warn: (text) => void warnings.push(text), info() {}, debug() {} };
  const hooks: Hooks = { authenticate: () => ({ allow: true }) };
  await using _known = await startTestBroker({ logger, hooks, config: { acl: { file } } });
  expect(warnings).toEqual([]);
  await using _ = await startTestBroker({ logger, config: { acl: { file } } });
  expect(warnings.join()).toContain('each may use any user name');
});
