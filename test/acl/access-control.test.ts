import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AccessControl } from '../../src/acl/access-control.ts';
import { RulesError } from '../../src/acl/rule-set.ts';
import type { ClientInfo } from '../../src/hooks/hooks.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-access-'));
  file = join(directory, 'rules.yaml');
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Rules that let one role publish to one topic, and give it to so many users. */
function write(topic: string, users: number, end = ''): void {
  const names = Array.from({ length: users }, (_, index) => `  user${index}: [r]\n`).join('');
  writeFileSync(file, `roles:\n  r:\n    - {allow: publish, topics: [${topic}]}\nusers:\n${names}${end}`);
}

function mayPublish(control: AccessControl, username: string, topic: string): boolean {
  const client: ClientInfo = { clientId: 'c', username, protocolVersion: 5, remoteAddress: '', transport: 'tcp' };
  return control.refusalOf(client, { action: 'publish', topic, qos: 0, retain: false }) === undefined;
}

test.each([3, 5_000])('rules that are read anew are in force, those for %i users as well', async (users) => {
  write('before', users);
  const control = new AccessControl({ file, otherwise: 'deny', explainsToClients: false });
  const last = `user${users - 1}`;
  const holds = (topic: string): boolean[] => [mayPublish(control, last, topic), mayPublish(control, 'other', topic)];
  expect(holds('before')).toEqual([true, false]);
  write('after', users);
  await control.reload();
  expect([holds('before'), holds('after')]).toEqual([
    [false, false],
    [true, false],
  ]);
  // What cannot be used is said each time, and leaves what was.
  write('wrong', users, '  x: [s]\n');
  for (let i = 0; i < 2; i++) {
    const reloading = control.reload();
    await expect(reloading).rejects.toThrow(`${file}:${users + 5}: there is no role s; did you mean r?`);
    await expect(reloading).rejects.toBeInstanceOf(RulesError);
  }
  expect(holds('after')).toEqual([true, false]);
  write('after', users);
  await control.reload();
  expect(holds('after')).toEqual([true, false]);
});

test('without a file nothing is read anew', async () => {
  const control = new AccessControl({ file: '', otherwise: 'deny', explainsToClients: false });
  await control.reload();
  expect(mayPublish(control, 'user0', 'before')).toBe(false);
});
